import type { Test } from 'tap'
import t from 'tap'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { nextStep } from '../../src/cli/next-step.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { whyCommand } from '../../src/cli/why.ts'
import { errorTable } from '../../src/errors.ts'
import { parseCase } from '../../src/policy/cases.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { allowed, denied, folder, openTestJournal, redaction, subject } from '../audit/fixture.ts'

async function run(dir: string, ...argv: string[]): Promise<{ code: number; text: string; errors: string }> {
  const said = { text: '', errors: '' }
  const io: CommandIo = { cwd: dir, isTty: false, out: (text) => void (said.text += text), err: (text) => void (said.errors += text) }
  return { code: await whyCommand.run([...argv, '--data', dir], io), ...said }
}

async function journaled(t: Test): Promise<string> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const about = (requestId: string, host: string) => ({ ...subject, requestId, host })
  const ending = { bytesFromClient: 0, bytesFromOrigin: 0 }
  const monitored = { verdict: 'deny', code: 'not_allowed', reason: 'no rule allows new.test', rule: undefined } as const
  await journal.append(decisionEvent(about('r-1', 'api.example.com'), allowed, 'policy', redaction))
  await journal.append(decisionEvent(about('r-2', 'pastebin.com'), denied, 'policy', redaction))
  await journal.append(endedEvent(about('r-2', 'pastebin.com'), { ...ending, outcome: 'refused', code: 'denied_by_rule' }, 1))
  await journal.append(decisionEvent({ ...about('r-3', 'raw.example.com'), protocol: 'http', method: 'POST', path: '/x' }, { ...denied, code: 'request_not_allowed', reason: 'only GET is open' }, 'policy', redaction))
  await journal.append(endedEvent(about('r-4', 'down.example.com'), { ...ending, outcome: 'failed', code: 'connection_refused' }, 1))
  await journal.append(decisionEvent({ ...about('r-5', 'new.test'), mode: 'monitor' }, { ...allowed, monitored }, 'policy', redaction))
  await journal.close()
  return dir
}

const requests = (text: string): string[] => [...text.matchAll(/request {2}(r-\d)/g)].map(([, id = '']) => id)

t.test('why lists refusals and failures, newest first, without allows and doubles', async (t) => {
  const { code, text } = await run(await journaled(t))
  t.equal(code, 0)
  t.strictSame(requests(text), ['r-5', 'r-4', 'r-3', 'r-2'])
})

t.test('a refusal says the reason, the rule and its line, the request id and what to do next', async (t) => {
  const { text } = await run(await journaled(t), 'pastebin.com')
  t.match(text, 'pastebin.com is on the denied list (denied_by_rule)')
  t.match(text, 'denied_domains at policies/10-base.toml:9, pattern pastebin.com')
  t.match(text, 'session s-1, agent codex, from 127.0.0.1')
  t.match(text, /next {5}this is intended/)
  t.strictSame(requests(text), ['r-2'])
})

t.test('the id of a request that a client was told of is asked about as well as a host', async (t) => {
  const dir = await journaled(t)
  t.strictSame(requests((await run(dir, 'r-3')).text), ['r-3'])
  t.match((await run(dir, 'r-1')).text, /^no refusal of `r-1` is in the journal\nthe last record about it: /)
})

t.test('a host may be given as a URL, with port, dot or capitals, or as a pattern', async (t) => {
  const dir = await journaled(t)
  for (const host of ['https://PASTEBIN.com/raw/x?y', 'pastebin.com:443', 'pastebin.com.', 'Pastebin.Com']) t.strictSame(requests((await run(dir, host)).text), ['r-2'], host)
  t.strictSame(requests((await run(dir, '*.example.com')).text), ['r-4', 'r-3'])
  for (const pattern of ['*.EXAMPLE.com:443', 'd?wn.example.com', 'https://d*.example.com/x?y']) t.match(requests((await run(dir, pattern)).text), ['r-4'], pattern)
  t.strictSame(requests((await run(dir, '*.example.com:80')).text), [])
  t.strictSame(requests((await run(dir, '-n', '1')).text), ['r-5'])
})

t.test('an address is found however it is written, and shown as it is written in a URL', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  for (const [at, host] of ['2001:db8::7', '192.0.2.7'].entries()) await journal.append(decisionEvent({ ...subject, requestId: `r-${at}`, host }, denied, 'policy', redaction))
  await journal.close()
  for (const host of ['2001:db8::7', '[2001:db8::7]', '[2001:DB8:0::7]:443', '2001:db8:0:0::7', 'https://[2001:db8::7]/x']) t.strictSame(requests((await run(dir, host)).text), ['r-0'], host)
  for (const host of ['192.0.2.7', '192.0.2.7:8443', 'http://192.0.2.7']) t.strictSame(requests((await run(dir, host)).text), ['r-1'], host)
  t.match((await run(dir, '2001:db8::7')).text, /^\[2001:db8::7\]:443\n/)
})

t.test('a target that the proxy could not read is found as it was asked for', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const targets = ['a..b:443', 'http://127.1/x?y', 'https://bob:hunter2@a.test/', 'a.test:0']
  for (const [at, host] of targets.entries()) await journal.append(decisionEvent({ ...subject, requestId: `r-${at}`, host, port: 0 }, denied, 'policy', redaction))
  await journal.close()
  for (const [at, host] of targets.entries()) t.strictSame(requests((await run(dir, host)).text), [`r-${at}`], host)
  t.match((await run(dir, 'a..b:443')).text, /^a\.\.b:443\n/, 'and its port is not said twice')
  t.strictSame(requests((await run(dir, '127.0.0.1')).text), [], 'and never taken for another host')
})

t.test('a failure that was no verdict is not called policy', async (t) => {
  t.match((await run(await journaled(t), 'down.example.com')).text, /why {6}the destination refused the connection \(connection_refused\)\n[^]*next {5}the policy allowed this; the destination failed/)
})

t.test('monitor mode says that it went through and what enforce mode would say', async (t) => {
  t.match((await run(await journaled(t), 'new.test')).text, /it went through; enforce mode says deny: no rule allows new\.test \(not_allowed\)/)
})

t.test('a host that was never refused is told apart from one that was never seen', async (t) => {
  const dir = await journaled(t)
  t.match((await run(dir, 'api.example.com')).text, /no refusal of `api\.example\.com`.*\nthe last record about it: .* allowed api\.example\.com:443/)
  t.match((await run(dir, 'never.test')).text, /nor anything else about it/)
})

t.test('--json gives the same as data', async (t) => {
  const { text } = await run(await journaled(t), 'pastebin.com', '--json')
  t.match(JSON.parse(text), {
    refusals: [{ host: 'pastebin.com', port: 443, verdict: 'deny', code: 'denied_by_rule', rule: { id: 'denied_domains', file: 'policies/10-base.toml', line: 9 }, request_id: 'r-2', session: 's-1', next: String }],
  })
})

t.test('without a journal why ends with 1, and with two hosts it is a usage error', async (t) => {
  const dir = folder(t)
  t.equal((await run(dir)).code, 1)
  await t.rejects(run(dir, 'a.test', 'b.test'), { name: 'UsageError' })
})

t.test('the next step names the host, the rule and the line to paste', async (t) => {
  const unknown = { id: 'unknown', file: 'policies/10-default.toml', line: '9' }
  t.match(nextStep('not_allowed', { host: 'new.test', port: '443', rule: unknown }), '`network.allowed_domains = ["new.test"]` into a new file policies/50-allowed.toml')
  t.match(nextStep('approval_unavailable', { host: 'new.test', port: '8443', rule: unknown }), '["new.test:8443"]')
  t.match(nextStep('approval_unavailable', { host: 'r.test', rule: { ...unknown, id: 'review_domains' } }), 'until its entry at policies/10-default.toml:9 goes')
  t.match(nextStep('approval_unavailable', { host: 'r.test', rule: { ...unknown, id: 'mine' } }), 'rule mine at policies/10-default.toml:9')
  t.match(nextStep('client_handshake_failed', { host: 'api.test' }), '`sallyport ca export`')
  t.match(nextStep('ip_denied', { host: '127.0.0.1', port: '8081' }), '`hosts = ["127.0.0.1:8081"]`')
  t.match(nextStep('ip_literal_denied', { host: '2001:db8::7', port: '443' }), '`hosts = ["[2001:db8::7]:443"]`')
  t.match(nextStep('ip_denied', { host: 'intranet.test', port: '443' }), '`local`')
})

t.test('what waits for a reviewer names the command that answers it', async (t) => {
  for (const code of ['approval_pending', 'approval_required']) {
    t.match(nextStep(code, { host: 'new.test', port: '443' }), '`sallyport approvals allow new.test` or `sallyport approvals deny new.test`')
    t.match(nextStep(code, { host: '2001:db8::7', port: '8443', approval: '01JQ' }), '`sallyport approvals allow 01JQ` or `sallyport approvals deny 01JQ`, then the client tries again; `sallyport approvals show 01JQ`')
    t.match(nextStep(code, { host: 'new.test', port: '8443' }), 'allow new.test:8443`')
  }
  t.match(nextStep('approval_denied', { approval: '01JQ' }), '`sallyport approvals show 01JQ`')
})

t.test('why takes the question from the record', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const event = decisionEvent({ ...subject, host: 'new.test' }, { ...denied, verdict: 'ask', code: 'approval_pending' }, 'approval', redaction)
  await journal.append({ ...event, attributes: { ...event.attributes, 'sallyport.approval.id': '01JQ0000000000000000000AAA' } })
  await journal.close()
  t.match((await run(dir)).text, 'sallyport approvals allow 01JQ0000000000000000000AAA')
  t.match(JSON.parse((await run(dir, '--json')).text), { refusals: [{ approval_id: '01JQ0000000000000000000AAA' }] })
})

t.test('why tells of a miss of the web cache, and of the question about its page', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const reason = 'only cached content may be read from docs.test, and this is not in the cache'
  const missed = decisionEvent({ ...subject, host: 'docs.test' }, { ...denied, code: 'cache_miss', reason }, 'approval', redaction)
  const asked = decisionEvent({ ...subject, host: 'asked.test' }, { ...denied, verdict: 'ask', code: 'approval_required', reason: `${reason}, so it needs an approval` }, 'approval', redaction)
  await journal.append(missed)
  await journal.append({ ...asked, attributes: { ...asked.attributes, 'sallyport.approval.id': '01JQ0000000000000000000AAA' } })
  await journal.close()
  t.match((await run(dir, 'docs.test')).text, /this is not in the cache \(cache_miss\)[^]*`sallyport cache add URL`/)
  t.match((await run(dir, 'asked.test')).text, '`sallyport approvals allow 01JQ0000000000000000000AAA --fetch`')
})

t.test('what is pasted as the next step says is a policy that opens the host', async (t) => {
  for (const [host, port, line] of [['new.test', '443', 0], ['127.0.0.1', '8081', 1]] as const) {
    const [, pasted = ''] = /`((?:network\.|hosts)[^`]*)`/.exec(nextStep('not_allowed', { host, port })) ?? []
    const text = line === 0 ? `${pasted}\n` : `[[network.rules]]\nid = "x"\n${pasted}\nverdict = "allow"\n`
    const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
    t.same(problems, [])
    if (policy === undefined) return
    const facts = parseCase(`CONNECT ${host}:${port}`)
    t.ok(!('wrong' in facts) && evaluate(policy, facts, 0).verdict === 'allow', pasted)
  }
})

t.test('a request without a known path leaves no space at the end of its line', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await journal.append(decisionEvent({ ...subject, protocol: 'http', method: 'GET', path: undefined }, denied, 'policy', redaction))
  await journal.close()
  t.match((await run(dir)).text, /^\S+ {2}GET\n/)
})

t.test('there is a next step for every code', async (t) => {
  for (const code of Object.keys(errorTable)) t.ok(nextStep(code).length > 10, code)
  t.ok(nextStep('no such code').length > 10)
})
