// Many at once: equal questions share one answer, and floods end at a limit.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { askPolicy, connectBytes, problemIn, requestBytes, sent, startAsking } from '../support/ask-world.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { WireClient, type Answer } from '../support/wire-client.ts'

function codeOf(answer: Answer | undefined): string {
  return `${answer?.status ?? 'none'} ${String(problemIn(answer?.body)['code'])}`
}

t.test('500 requests for one host are one question, and one yes releases them all', async (t) => {
  const origin = await strictOrigin(t)
  const { proxy, control } = await startAsking(t, origin.port)
  const clients = await Promise.all(Array.from({ length: 500 }, (_, at) => sent(t, proxy, requestBytes(`one.ask.test:${origin.port}`, `/${at}`))))
  const approval = await control.pending('one.ask.test', ({ waiting }) => waiting === 500)
  t.equal(approval.attempts, 500)
  t.equal((await control.approvals()).length, 1)
  t.equal(origin.connections(), 0)
  await control.decide('one.ask.test', { verdict: 'allow' })
  const answers = await Promise.all(clients.map((client) => client.next()))
  t.strictSame(answers.map((answer) => answer?.body), answers.map((_, at) => `GET /${at}\n`))
  const counted = (event: string): number => proxy.records().filter(({ name }) => name === event).length
  t.strictSame(['requested', 'decided'].map((what) => counted(`sallyport.approval.${what}`)), [1, 1])
  t.strictSame([counted('sallyport.grant.created'), counted('sallyport.grant.used')], [1, 1])
  t.equal(counted('sallyport.decision'), 1000)
})

t.test('500 CONNECTs for one host are one question, and one no refuses them all', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  const clients = await Promise.all(Array.from({ length: 500 }, () => sent(t, proxy, connectBytes('one.ask.test:443'))))
  await control.decide('one.ask.test', { verdict: 'deny', comment: 'no' }, ({ waiting }) => waiting === 500)
  const answers = await Promise.all(clients.map((client) => client.next()))
  t.strictSame(new Set(answers.map((answer) => codeOf(answer))), new Set(['403 approval_denied']))
})

t.test('one host on two ports is two questions', async (t) => {
  const { proxy, control } = await startAsking(t, 8443)
  await sent(t, proxy, connectBytes('one.ask.test:443'))
  await sent(t, proxy, connectBytes('one.ask.test:8443'))
  await control.pending('one.ask.test', ({ port }) => port === 443)
  await control.pending('one.ask.test', ({ port }) => port === 8443)
  t.equal((await control.approvals()).length, 2)
})

t.test('a session that asks for 2,000 hosts gets 20 questions open and 429 for the rest, and another one is heard', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0 })
  const [flooder, other] = [await control.createSession(), await control.createSession({ hold: '1m' })]
  const statuses = new Map<string, number>()
  const flood = async (worker: number): Promise<void> => {
    for (let at = 0; at < 100; at++) {
      const client = await WireClient.open(proxy.port)
      client.send(connectBytes(`h${worker}-${at}.flood.test:443`, flooder.line))
      const answer = await client.next()
      client.socket.resetAndDestroy()
      const code = codeOf(answer)
      statuses.set(code, (statuses.get(code) ?? 0) + 1)
      if (answer?.status === 429 && answer.fields.get('retry-after') !== '60') t.fail('429 says when to come again')
    }
  }
  await Promise.all(Array.from({ length: 20 }, (_, worker) => flood(worker)))
  t.strictSame(Object.fromEntries(statuses), { '403 approval_pending': 20, '429 approval_limit': 1980 })
  t.equal((await control.approvals()).length, 20)
  const heard = await sent(t, proxy, connectBytes('quiet.test:443', other.line))
  t.match(await control.pending('quiet.test', ({ session }) => session === other.id), { session: other.id, attempts: 1 })
  t.equal((await control.approvals()).length, 21)
  heard.socket.destroy()
})

t.test('an answered question makes no room for more than 30 new ones in a minute', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0 })
  const codes: unknown[] = []
  for (let at = 0; at < 32; at++) {
    codes.push(problemIn((await (await sent(t, proxy, connectBytes(`h${at}.flood.test:443`))).next())?.body)['code'])
    for (const approval of at % 10 === 9 ? await control.approvals() : []) await control.answer(approval, { verdict: 'deny' })
  }
  t.strictSame(codes, [...Array.from({ length: 30 }, () => 'approval_pending'), 'approval_rate', 'approval_rate'])
})

t.test('a limit of the policy is for the agents that it names, counts as soon as it is saved, and refuses whoever does not say who asks', async (t) => {
  const { proxy, control } = await startAsking(t, 8443, { holdMs: 0, policy: askPolicy(8443) })
  const [ci, dev] = [await control.createSession({ agent: 'ci-7' }), await control.createSession({ agent: 'codex' })]
  const ask = async (host: string, line: string): Promise<Answer | undefined> => (await sent(t, proxy, connectBytes(`${host}:443`, line))).next()
  for (const host of ['one.flood.test', 'two.flood.test']) t.equal(codeOf(await ask(host, ci.line)), '403 approval_pending')
  const { length: revisions } = proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded')
  writeFileSync(proxy.policyFile, askPolicy(8443, '\n[[network.limits]]\nagents = ["ci-*"]\nopen_approvals = 2\n'))
  await proxy.recorded(() => proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length > revisions)
  const refused = await ask('three.flood.test', ci.line)
  t.equal(codeOf(refused), '429 approval_limit')
  t.match(refused?.body, /limit of open approvals: 2/)
  for (const host of ['one.flood.test', 'two.flood.test', 'three.flood.test']) t.equal(codeOf(await ask(host, dev.line)), '403 approval_pending', host)
  for (const { id } of [ci, dev]) await control.endSession(id)
  t.equal((await ask('one.flood.test', ''))?.status, 407, 'no session is live, and the limit names agents')
})
