// What an agent may do about its own questions on the proxy listener: read how they stand, wait, say what they are
// for. Of other sessions it learns nothing.
import t from 'tap'
import { connectBytes, problemIn, requestBytes, sent, startAsking, type AskWorld } from '../support/ask-world.ts'
import { basicField } from '../support/issued-sessions.ts'
import type { Answer } from '../support/wire-client.ts'

interface Own {
  readonly method?: string
  readonly fields?: string
  readonly host?: string
  readonly body?: string
  readonly type?: string
}

function own(port: number, path: string, { method = 'GET', fields = '', host = `127.0.0.1:${port}`, body, type = 'text/plain' }: Own = {}): string {
  const framing = body === undefined ? '' : `Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}${framing}\r\n${body ?? ''}`
}

type Scope = Parameters<typeof sent>[0]

async function ask(t: Scope, { proxy }: AskWorld, path: string, more: Own = {}): Promise<Answer | undefined> {
  return (await sent(t, proxy, own(proxy.port, path, more))).next()
}

t.test('an agent reads how its question stands, waits for the answer, and reads what the reviewer said', async (t) => {
  const world = await startAsking(t, 8443)
  const { control, proxy } = world
  const session = await control.createSession({ hold: '1s' })
  const pending = await (await sent(t, proxy, connectBytes('one.ask.test:443', session.line))).next()
  const id = String(problemIn(pending?.body)['approval'])
  const now = await ask(t, world, `/approvals/${id}`, { fields: session.line })
  t.equal(now?.status, 200)
  t.match(problemIn(now?.body), { id, state: 'pending', scheme: 'https', host: 'one.ask.test', port: 443, attempts: 1, hint: /A reviewer has been asked/ })
  t.notOk('by' in problemIn(now?.body))
  const waiting = ask(t, world, `/approvals/${id}?wait=20`, { fields: session.line })
  await control.decide('one.ask.test', { verdict: 'deny', comment: 'ask the build team' }, () => true)
  const answer = problemIn((await waiting)?.body)
  t.match(answer, { id, state: 'denied', comment: 'ask the build team' })
  t.notMatch(JSON.stringify(answer), /"by"|root/, 'and not who the reviewer is')
})

t.test('a wait that nobody answers ends with the question as it is', async (t) => {
  const world = await startAsking(t, 8443, { holdMs: 0 })
  const id = String(problemIn((await (await sent(t, world.proxy, connectBytes('one.ask.test:443'))).next())?.body)['approval'])
  t.match(problemIn((await ask(t, world, `/approvals/${id}?wait=1`))?.body), { id, state: 'pending' })
  const head = await sent(t, world.proxy, own(world.proxy.port, `/approvals/${id}`, { method: 'HEAD' }))
  t.match(await head.answers(1, ['HEAD']), [{ status: 200, body: '' }])
})

t.test('an agent says what it is for, and the reviewer reads it; a reviewer who had not read it has to look again', async (t) => {
  const world = await startAsking(t, 8443)
  const { control, proxy } = world
  const session = await control.createSession()
  const held = await sent(t, proxy, connectBytes('one.ask.test:443', session.line))
  const before = await control.pending('one.ask.test')
  const reason = `/approvals/${before.id}/reason`
  const said = await ask(t, world, reason, { method: 'POST', fields: session.line, body: 'the tests download fixtures' })
  t.equal(said?.status, 200)
  t.match(problemIn(said?.body), { id: before.id, stated_reason: 'the tests download fixtures' })
  t.equal((await control.approval(before.id)).stated_reason, 'the tests download fixtures')
  t.equal((await control.answer(before, { verdict: 'allow' })).status, 412)
  t.equal((await ask(t, world, reason, { method: 'POST', fields: session.line, body: '{"reason":"fixtures \\u202e for tests"}', type: 'application/json' }))?.status, 200)
  for (const body of ['', '   ', 'x'.repeat(501)]) t.equal((await ask(t, world, reason, { method: 'POST', fields: session.line, body }))?.status, 400, JSON.stringify(body.slice(0, 5)))
  t.equal((await ask(t, world, reason, { method: 'POST', fields: session.line, body: '{"reason":5}', type: 'application/json' }))?.status, 400)
  t.equal((await ask(t, world, reason, { method: 'POST', fields: session.line, body: 'x'.repeat(5000) }))?.status, 400, 'one that is no reason is no request of this listener')
  await control.decide('one.ask.test', { verdict: 'deny' })
  t.equal((await held.next())?.status, 403)
  t.equal((await ask(t, world, reason, { method: 'POST', fields: session.line, body: 'too late' }))?.status, 404)
})

t.test('the credentials have to be right, and the question has to be its own', async (t) => {
  const world = await startAsking(t, 8443)
  const { control, proxy } = world
  const [mine, other] = [await control.createSession(), await control.createSession()]
  await sent(t, proxy, connectBytes('one.ask.test:443', mine.line))
  const { id } = await control.pending('one.ask.test')
  const both = [{ path: `/approvals/${id}`, more: {} }, { path: `/approvals/${id}?wait=1`, more: {} }, { path: `/approvals/${id}/reason`, more: { method: 'POST', body: 'because' } }]
  for (const { path, more } of both) {
    for (const fields of ['', `Proxy-Authorization: ${basicField(mine.id, other.token)}\r\n`, `Proxy-Authorization: ${basicField(mine.id, 'x')}\r\n`]) {
      const answer = await ask(t, world, path, { ...more, fields })
      t.equal(answer?.status, 407, `${path} ${fields}`)
      t.equal(answer?.body, '', path)
    }
    const answer = await ask(t, world, path, { ...more, fields: other.line })
    t.equal(answer?.status, 404, path)
    t.notMatch(answer?.body, /one\.ask\.test/, path)
  }
  t.equal((await ask(t, world, `/approvals/${id.replace(/.$/, id.endsWith('0') ? '1' : '0')}`, { fields: mine.line }))?.status, 404, 'one that is not there is the same')
  t.match(await control.approval(id), { state: 'pending', version: 1, stated_reason: null })
})

t.test('a page of another name that leads to the proxy is not answered', async (t) => {
  const world = await startAsking(t, 8443, { holdMs: 0 })
  const id = String(problemIn((await (await sent(t, world.proxy, connectBytes('one.ask.test:443'))).next())?.body)['approval'])
  for (const host of ['evil.test', `evil.test:${world.proxy.port}`, '127.0.0.1.evil.test']) {
    for (const [path, more] of [['/', {}], [`/approvals/${id}`, {}], [`/approvals/${id}/reason`, { method: 'POST', body: 'because' }]] as const) {
      const answer = await ask(t, world, path, { ...more, host })
      t.equal(answer?.status, 400, `${host}${path}`)
      t.match(problemIn(answer?.body), { code: 'not_a_proxy_request' })
      t.notMatch(answer?.body, /one\.ask\.test/)
    }
  }
  for (const host of ['localhost', '[::1]:3128', '127.0.0.1']) t.equal((await ask(t, world, `/approvals/${id}`, { host }))?.status, 200, host)
  t.equal((await world.control.approval(id)).stated_reason, null)
})

t.test('the page of the listener shows a session what it was refused, and nothing of others', async (t) => {
  const world = await startAsking(t, 8443)
  const { control, proxy } = world
  const [mine, other] = [await control.createSession(), await control.createSession()]
  await (await sent(t, proxy, connectBytes('denied.test:443', mine.line))).next()
  const page = await ask(t, world, '/', { fields: mine.line })
  t.equal(page?.status, 200)
  t.match(page?.body, /denied\.test/)
  for (const fields of [other.line, '']) {
    const elsewhere = await ask(t, world, '/', { fields })
    t.equal(elsewhere?.status, 200)
    t.notMatch(elsewhere?.body, /denied\.test/)
  }
  t.equal((await ask(t, world, '/', { fields: `Proxy-Authorization: ${basicField(mine.id, 'x')}\r\n` }))?.status, 407)
})

t.test('a question is followed on the connection that asked it, and the request behind it is served', async (t) => {
  const { proxy } = await startAsking(t, 8443, { holdMs: 0 })
  const client = await sent(t, proxy, requestBytes('one.ask.test', '/'))
  const id = String(problemIn((await client.next())?.body)['approval'])
  client.send(own(proxy.port, `/approvals/${id}/reason`, { method: 'POST', body: 'because' }))
  t.match(problemIn((await client.next())?.body), { id, stated_reason: 'because' })
  client.send(own(proxy.port, `/approvals/${id}`))
  t.match(problemIn((await client.next())?.body), { id, state: 'pending' })
  client.send(requestBytes('denied.test', '/'))
  t.match(problemIn((await client.next())?.body), { code: 'denied_by_rule' })
})
