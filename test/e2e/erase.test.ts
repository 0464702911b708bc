// A person is erased: before, everything names her; after, no byte of the data folder does, and nobody else has lost
// anything.
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.ts'
import { keysDir } from '../../src/audit/key-file.ts'
import { PersonKeys } from '../../src/audit/person-keys.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { auditCommand } from '../../src/cli/audit.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { systemClock } from '../../src/clock.ts'
import { until } from '../audit/fixture.ts'
import { ok, startReceiver, type ReceivedRecord } from '../audit/receiver.ts'
import { connectBytes, requestBytes, sent, startAsking, type AskWorld } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'
import { readJournal } from '../support/proxy.ts'
import { strictOrigin, type StrictOrigin } from '../support/strict-origin.ts'

const owner = 'Quentin.Zebulon@corp.example'
const reviewer = 'griselda.ruiz'
const comment = 'quentin wants his vacation photos'
const other = 'someone.else'
const path = '/albums/quentin/vacation'
const otherPath = '/albums/of-all'

/** A question of hers that a reviewer answered, one that waits, and the same of somebody else. */
async function busy(t: Test, origin: StrictOrigin, more: Parameters<typeof startAsking>[2] = {}): Promise<AskWorld & { readonly line: string; readonly authorization: string }> {
  const world = await startAsking(t, origin.port, {
    flags: { control: '127.0.0.1:0' },
    // nobody takes them, so they stay in the outbox
    change: (settings) => ({ ...settings, notifications: { ...settings.notifications, slack: { url: 'http://127.0.0.1:9/x' }, webhook: { url: 'http://127.0.0.1:9/y', secret: 's'.repeat(32) } } }),
    ...more,
  })
  const { proxy, control } = world
  const authorization = `Bearer ${await control.createToken({ name: reviewer, role: 'reviewer' })}`
  const desk = new ControlClient(proxy.control)
  const session = await control.createSession({ owner, team: 'web' })
  const others = await control.createSession({ owner: other, team: 'web' })
  for (const [{ line }, asked, program] of [[session, path, 'quentins-uploader/1.0'], [others, otherPath, 'curl/8']] as const) {
    const client = await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, asked, { fields: `${line}User-Agent: ${program}\r\n` }))
    const question = await control.pending('one.ask.test')
    t.equal((await desk.answer(question, { verdict: 'allow', term: 'always', comment }, { authorization, 'idempotency-key': `k-${question.id}` })).status, 200)
    t.equal((await client.next())?.status, 200)
  }
  const refused = await sent(t, proxy, connectBytes(`three.ask.test:${origin.port}`, session.line))
  t.equal((await desk.answer(await control.pending('three.ask.test'), { verdict: 'deny', term: 'until', duration: '1h', comment }, { authorization })).status, 200)
  t.equal((await refused.next())?.status, 403)
  await sent(t, proxy, connectBytes(`two.ask.test:${origin.port}`, session.line))
  await control.pending('two.ask.test')
  return { ...world, line: session.line, authorization }
}

/** Files of a folder that hold one of the texts, whatever its case; every byte of every file. */
function naming(dir: string, texts: readonly string[]): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).flatMap((entry) => {
    const held = readFileSync(join(entry.parentPath, entry.name), 'latin1').toLowerCase()
    return texts.filter((text) => held.includes(text.toLowerCase())).map((text) => `${entry.name}: ${text}`)
  })
}

const hers = [owner, 'quentin']
const reviewers = [reviewer, 'griselda']

async function erasedWithin(t: Test, dataDir: string, texts: readonly string[]): Promise<void> {
  t.strictSame(naming(dataDir, texts), [], 'no byte names her')
  const verified = await verifyJournal(join(dataDir, 'journal'))
  t.ok(verified.ok, 'and the chain holds')
}

t.test('a person is erased while the proxy runs: her session ends, nothing names her, and the others keep what is theirs', { timeout: 120_000 }, async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control, line, authorization } = await busy(t, origin)
  const dataDir = join(proxy.dir, 'var')
  t.strictSame(naming(join(dataDir, 'journal'), [...hers, ...reviewers, 'uploader']), [], 'nothing of people is in the journal in the clear')
  t.ok(naming(dataDir, [owner]).some((where) => where.startsWith('sallyport.db')), 'but the database names her')
  const before = proxy.records()
  t.ok(before.some(({ attributes }) => attributes['user.name'] === owner && attributes['url.path'] === path), 'and readers see her')
  t.ok(before.some(({ attributes }) => attributes['sallyport.comment'] === comment))
  t.ok(before.some(({ attributes }) => attributes['sallyport.code'] === 'approval_denied' && String(attributes['sallyport.reason']).includes(comment)), 'the words of a refusal')

  const asReviewer = await new ControlClient(proxy.control).call('POST', '/v1/people/erase', { body: { person: owner }, headers: { authorization } })
  t.equal(asReviewer.status, 403, 'an admin alone erases')
  const dry = await control.call('POST', '/v1/people/erase', { body: { person: owner, dry_run: true } })
  t.match(dry.body, { keys: [], sessions: 1, approvals: 3, unsealed: 0 })
  t.ok((dry.body as { readonly records: number }).records > 5)
  const { status, body } = await control.call('POST', '/v1/people/erase', { body: { person: owner.toUpperCase() } })
  t.equal(status, 200, JSON.stringify(body))
  t.match(body, { sessions: 1, approvals: 3, unsealed: 0, tokens: 0 })
  await erasedWithin(t, dataDir, [owner])

  const after = readJournal(join(dataDir, 'journal'))
  const names = after.slice(before.length).map(({ name }) => name)
  t.ok(names.indexOf('sallyport.session.ended') < names.indexOf('sallyport.audit.erased'), names.join(' '))
  t.ok(names.indexOf('sallyport.approval.withdrawn') < names.indexOf('sallyport.audit.erased'))
  const event = after.find(({ name }) => name === 'sallyport.audit.erased')
  t.strictSame(event?.attributes['sallyport.erasure.keys'], (body as { readonly keys: unknown }).keys)
  t.notMatch(JSON.stringify(after), new RegExp(owner.replaceAll('.', '\\.'), 'i'))
  const hidden = after.filter(({ attributes }) => attributes['sallyport.erased'] === true)
  t.ok(hidden.some(({ name, attributes }) => name === 'sallyport.decision' && attributes['server.address'] === 'one.ask.test' && attributes['url.path'] === undefined))
  t.ok(hidden.some(({ name, attributes }) => name === 'sallyport.approval.decided' && attributes['sallyport.reviewer.name'] === reviewer && attributes['user.name'] === undefined), 'her reviewer stays')
  t.ok(after.some(({ attributes }) => attributes['user.name'] === other && attributes['url.path'] === otherPath), 'and so does everybody else')
  t.equal((await (await sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, '/', { fields: line }))).next())?.status, 407, 'her credentials are worth nothing')

  t.equal((await control.call('POST', '/v1/people/erase', { body: { person: reviewer } })).status, 200, 'the reviewer, too')
  await erasedWithin(t, dataDir, [owner, 'quentin', ...reviewers])
  t.equal((await new ControlClient(proxy.control).call('GET', '/v1/approvals', { headers: { authorization } })).status, 401, 'whose token is revoked')
  t.ok((await control.call('GET', '/v1/approvals?state=allowed')).status === 200)
  t.match((await control.call('GET', '/v1/grants')).body, { items: [{ by: '[erased]' }] })
  await proxy.stop()
  await erasedWithin(t, dataDir, [...hers, ...reviewers])
})

t.test('a collector gets what is opened, and of an erased person nothing more, not even what it refused before', { timeout: 120_000 }, async (t) => {
  const receiver = await startReceiver(t)
  const { proxy, control } = await startAsking(t, 8443, { change: (settings) => ({ ...settings, otel: { ...settings.otel, exporter: { endpoint: receiver.endpoint, protocol: 'json', headers: {}, headersWritten: {}, compression: 'gzip', tls: {} } } }) })
  const { line } = await control.createSession({ owner })
  const refuse = async (host: string): Promise<void> => {
    t.equal((await (await sent(t, proxy, connectBytes(`${host}:443`, line))).next())?.status, 403)
  }
  const dataDir = join(proxy.dir, 'var')
  const decisions = (records: readonly ReceivedRecord[]): readonly ReceivedRecord[] => records.filter(({ eventName, attributes }) => eventName === 'sallyport.decision' && attributes['server.address'] === 'denied.test')
  await refuse('denied.test')
  await until(() => decisions(receiver.accepted).length === 1)
  t.match(decisions(receiver.accepted), [{ attributes: { 'user.name': owner, 'client.address': '127.0.0.1' } }])
  t.notOk('sallyport.sealed' in (decisions(receiver.accepted)[0]?.attributes ?? {}))
  // as collectors do that map fields: it repeats the value that it does not like
  receiver.answer = ({ records }) => (decisions(records).length > 0 ? { status: 400, body: `failed to parse field [user.name]: '${owner}'` } : ok)
  await refuse('denied.test')
  await proxy.recorded(({ name, attributes }) => name === 'sallyport.audit.gap' && attributes['sallyport.gap.cause'] === 'export_rejected')
  t.strictSame(naming(join(dataDir, 'journal'), [owner]), [], 'what it says of sealed records is kept nowhere')
  receiver.answer = () => ({ status: 503 })
  await refuse('denied.test')
  await until(() => decisions(receiver.posts.flatMap(({ records }) => records)).length > 1)
  t.equal((await control.call('POST', '/v1/people/erase', { body: { person: owner } })).status, 200)
  receiver.answer = () => ok
  const delivered = receiver.accepted.length
  await until(() => receiver.accepted.some(({ eventName }) => eventName === 'sallyport.audit.erased'))
  const later = receiver.accepted.slice(delivered)
  t.match(decisions(later)[0]?.attributes, { 'sallyport.erased': true, 'session.id': /^s/ })
  t.notMatch(JSON.stringify(later), /zebulon/i)
})

t.test('whoever asks is not erased by that call', async (t) => {
  const { control, proxy } = await startAsking(t, 8443)
  await control.createSession({ owner })
  const { attributes } = await proxy.recorded(({ name }) => name === 'sallyport.control.called')
  const { status, body } = await control.call('POST', '/v1/people/erase', { body: { person: attributes['sallyport.actor.name'] } })
  t.equal(status, 400)
  t.match(body, { code: 'invalid', errors: [{ pointer: '/person' }] })
})

t.test('an erasure that was killed when the key was gone and the rest was not is finished by the next start', async (t) => {
  const origin = await strictOrigin(t)
  const first = await busy(t, origin)
  await first.proxy.stop()
  const left = join(first.proxy.dir, 'var')
  t.ok(naming(left, [owner]).length > 0)
  // what the process had done when it was killed
  const keys = new PersonKeys({ dir: keysDir(left), clock: systemClock, onFault: (error) => t.fail(String(error)) })
  keys.load()
  keys.destroy(owner)
  const { proxy } = await startAsking(t, origin.port, { before: async (dataDir) => cpSync(left, dataDir, { recursive: true, filter: (source) => !source.endsWith('.sock') }) })
  await erasedWithin(t, join(proxy.dir, 'var'), [owner])
  t.ok(proxy.records().some(({ name }) => name === 'sallyport.audit.erased'))
  t.ok(proxy.records().some(({ attributes }) => attributes['user.name'] === other))
})

t.test('a person is erased from a data folder whose proxy does not run, and again without harm', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy } = await busy(t, origin)
  await proxy.stop()
  const dataDir = join(proxy.dir, 'var')
  writeFileSync(join(dataDir, 'journal', 'export.poison.jsonl'), `{"record":{"attributes":{"user.name":"${owner}"}}}\n{"record":{"attributes":{"user.name":"${other}"}}}\n{"record":{"attributes":{"user.name":" ${owner.toLowerCase()} "}}}\n${JSON.stringify({ text: `{"attributes":{"user.name":"${owner}","x` })}\n`)
  writeFileSync(join(dataDir, 'journal', 'segment-000000000001.jsonl.7.torn'), `{"v":1,"attributes":{"user.name":"${owner}","cli`)
  const io = { text: '', errors: '' }
  const command = auditCommand({ createApp, env: {} })
  const run = (...argv: string[]): Promise<number> => command.run(['erase', ...argv, '--data', dataDir], { out: (text) => void (io.text += text), err: (text) => void (io.errors += text), isTty: false, cwd: proxy.dir } satisfies CommandIo)
  await t.rejects(run(owner), { name: 'UsageError' }, 'nobody is there to be asked')
  await t.rejects(run('--yes'), { name: 'UsageError' })
  t.equal(await run(owner, '--dry-run'), 0, io.errors)
  t.match(io.text, /1 session, 3 approvals, .*\nnothing was erased\n$/)
  t.ok(naming(dataDir, [owner]).length > 0)
  io.text = ''
  t.equal(await run(owner, '--yes', '--json'), 0, io.errors)
  t.match(JSON.parse(io.text), { sessions: 1, approvals: 3, unsealed: 0 })
  await erasedWithin(t, dataDir, [owner])
  t.match(readFileSync(join(dataDir, 'journal', 'export.poison.jsonl'), 'utf8'), other)
  io.text = ''
  t.equal(await run(owner, '--yes', '--json'), 0, io.errors)
  t.match(JSON.parse(io.text), { records: 0, sessions: 0, approvals: 0, others: 0 })
  await erasedWithin(t, dataDir, [owner])
})

t.test('with sealing off records are written as they were, and an erasure says how many it cannot reach', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await busy(t, origin, { change: (settings) => ({ ...settings, audit: { ...settings.audit, sealPersonal: false } }) })
  const dataDir = join(proxy.dir, 'var')
  t.ok(naming(join(dataDir, 'journal'), [owner]).length > 0)
  const { body } = await control.call('POST', '/v1/people/erase', { body: { person: owner } })
  t.match(body, { records: 0, sessions: 1 })
  t.ok((body as { readonly unsealed: number }).unsealed > 3)
  t.strictSame([...new Set(naming(dataDir, [owner]).map((where) => where.replace(/:.*/, '')))], ['segment-000000000001.jsonl'], 'the journal alone, which is never changed')
  t.ok((await verifyJournal(join(dataDir, 'journal'))).ok)
})
