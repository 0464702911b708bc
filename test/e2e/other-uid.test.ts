// An agent that runs as another user than the proxy: nothing of the proxy's is open to it, and what it asks is not
// advisory. One that runs as the same user is, and every event says so.
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectBytes, problemIn, sent, startAsking, type AskWorld } from '../support/ask-world.ts'
import { asUser, findOtherUser, type Try } from '../support/other-user.ts'

const { user, options } = findOtherUser()

/** With folders that somebody made too open before the proxy started, and a umask that closes nothing. */
async function openWorld(t: Test): Promise<AskWorld> {
  const umask = process.umask(0)
  t.teardown(() => process.umask(umask))
  const world = await startAsking(t, 8443, {
    flags: { control: '127.0.0.1:0' },
    holdMs: 0,
    before: async (dataDir) => {
      for (const folder of [dataDir, join(dataDir, 'journal')]) {
        mkdirSync(folder, { recursive: true })
        chmodSync(folder, 0o777)
      }
    },
  })
  // the folder of a test is closed to others; one in which people work is not
  chmodSync(world.proxy.dir, 0o755)
  chmodSync(join(world.proxy.dir, 'policies'), 0o755)
  chmodSync(world.proxy.policyFile, 0o644)
  await world.control.createToken({ name: 'ann', role: 'admin' })
  return world
}

/** The proxy looks no owner up then; those that wait out their end count too. */
function tooManySockets(): boolean {
  const [, inUse = '0', waiting = '0'] = /^TCP: inuse (\d+) .*?\btw (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1')) ?? []
  return Number(inUse) + Number(waiting) > 2_000
}

/** Every file under a folder. */
function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name))
}

t.test('another user can open nothing under the data folder, and write no policy', options, async (t) => {
  const { proxy, control } = await openWorld(t)
  await control.createSession()
  const data = join(proxy.dir, 'var')
  const files = filesIn(data)
  for (const name of ['control.sock', 'sallyport.db', 'redaction.key', 'segment-000000000001.jsonl']) t.ok(files.some((file) => file.endsWith(name)), `there is a ${name}`)
  const attempts: readonly Try[] = [
    { what: 'list', where: data },
    { what: 'list', where: join(data, 'journal') },
    { what: 'write', where: join(data, 'new') },
    { what: 'connect', where: proxy.controlSocket },
    ...files.flatMap((where): Try[] => [{ what: 'read', where }, { what: 'write', where }]),
    { what: 'write', where: proxy.policyFile },
    { what: 'write', where: join(proxy.dir, 'policies/99-mine.toml') },
    { what: 'write', where: join(proxy.dir, 'policies/90-approved.toml') },
  ]
  const got = await asUser(user, attempts)
  t.strictSame(attempts.map(({ what, where }, at) => `${what} ${where}: ${got[at]}`), attempts.map(({ what, where }) => `${what} ${where}: EACCES`))

  // and with the folders open each of them is closed by itself
  for (const folder of [data, join(data, 'journal')]) chmodSync(folder, 0o755)
  const inside: readonly Try[] = [{ what: 'connect', where: proxy.controlSocket }, ...files.flatMap((where): Try[] => [{ what: 'read', where }, { what: 'write', where }])]
  const gotInside = await asUser(user, inside)
  t.ok(inside.length > 10)
  for (const [at, { what, where }] of inside.entries()) t.match(gotInside[at], /^(?:EACCES|ENXIO)$/, `${what} ${where}`)
  t.equal((await asUser(user, [{ what: 'list', where: data }]))[0], 'listed', 'which are open now')
})

t.test('another user gets 401 at the control listener, 403 with its session, and reaches it by no way through the proxy', options, async (t) => {
  const { proxy, control } = await openWorld(t)
  const session = await control.createSession()
  const { host, port } = new URL(proxy.control)
  const line = session.line.replace('Proxy-Authorization', 'Authorization')
  const call = (fields: string): Try => ({ what: 'send', where: Number(port), bytes: `GET /v1/approvals HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n` })
  const got = await asUser(user, [call(''), call(line), { what: 'send', where: proxy.port, bytes: connectBytes(host, session.line) }])
  t.strictSame(got.map((text) => text.slice(9, 12)), ['401', '403', '403'])
})

t.test('what another user asks for is not advisory, in the events and on the approval', options, async (t) => {
  const { proxy, control } = await openWorld(t)
  // whose a connection is, is looked up on a budget, and not at all among very many sockets: until then it is unproven
  const untilMs = Date.now() + 15_000
  for (let at = 0; ; at++) {
    if (tooManySockets() && Date.now() > untilMs) {
      t.pass('not seen', { skip: 'this machine has so many sockets that the owner of none is looked up' })
      return
    }
    const host = `h${at}.test`
    const [answer] = await asUser(user, [{ what: 'send', where: proxy.port, bytes: connectBytes(`${host}:443`) }])
    t.match(answer, /^HTTP\/1\.1 403 Waiting for approval/)
    const { attributes } = await proxy.recorded((record) => record.name === 'sallyport.decision' && record.attributes['server.address'] === host)
    const approval = await control.pending(host, () => true)
    t.equal(approval.advisory, attributes['sallyport.advisory'], 'the reviewer is shown what is on record')
    await control.answer(approval, { verdict: 'deny' })
    if (attributes['sallyport.advisory'] === false) break
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
  const records = proxy.records().filter(({ name, attributes }) => name !== 'sallyport.control.called' && attributes['sallyport.advisory'] === false).map(({ name }) => name)
  t.strictSame(records, ['sallyport.decision', 'sallyport.approval.requested', 'sallyport.exchange.ended'])
})

t.test('what the same user asks for is advisory, in the events and on the approval', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0 })
  const session = await control.createSession()
  for (const bytes of [connectBytes('one.ask.test:443', session.line), connectBytes('denied.test:443', session.line)]) t.equal((await (await sent(t, proxy, bytes)).next())?.status, 403)
  const [approval] = await control.approvals()
  t.equal(approval?.advisory, true)
  t.strictSame(proxy.decisions().map(({ attributes }) => attributes['sallyport.advisory']), [true, true])
  const card = await control.call('GET', `/v1/approvals/${approval?.id}`)
  t.match(card.body, { advisory: true })
  t.match(JSON.stringify(problemIn(JSON.stringify(card.body))['hints']), /"code":"advisory"/, 'and the reviewer is told what that means')
})
