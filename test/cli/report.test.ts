import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { approvalDecidedEvent, approvalExpiredEvent, approvalRequestedEvent } from '../../src/audit/approval-events.ts'
import { decisionEvent, type Answer } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { gapEvent } from '../../src/audit/service-events.ts'
import { reportCommand } from '../../src/cli/report.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Clock } from '../../src/clock.ts'
import { allowed, approval, decided, denied, folder, openTestJournal, redaction, subject } from '../audit/fixture.ts'
import { fakeIo } from './fake-io.ts'

const startMs = Date.parse('2027-01-10T08:00:00Z')
let nowMs = startMs
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs }

const about = (host: string, more: Partial<typeof subject> = {}): typeof subject => ({ ...subject, host, ...more })
const team = (name: string): Partial<typeof subject> => ({ principal: { ...subject.principal, team: name, agent: `agent-of-${name}` } })
const asking: Answer = { ...allowed, verdict: 'ask', code: 'approval_required', reason: 'nobody named it', rule: { id: 'unknown', pattern: '', file: 'policies/10-base.toml', line: 2 } }

function question(host: string, answer: 'allow' | 'deny' | undefined, more: Partial<typeof decided> = {}): readonly AuditEvent[] {
  const one = { ...approval, host, id: `a-${host}` }
  return [approvalRequestedEvent(one, 'rev'), answer === undefined ? approvalExpiredEvent(one, 900_000) : approvalDecidedEvent(one, { ...decided, verdict: answer, waitedMs: 30_000, ...more })]
}

const busy: readonly (readonly AuditEvent[])[] = [
  [
    decisionEvent(about('api.example.com', team('web')), allowed, 'policy', redaction),
    endedEvent(about('api.example.com', team('web')), { outcome: 'completed', bytesFromClient: 2048, bytesFromOrigin: 5_000_000 }, 3),
    decisionEvent(about('api.example.com', team('data')), allowed, 'policy', redaction),
    decisionEvent(about('pastebin.com', team('data')), denied, 'policy', redaction),
    // passed by policy, and refused for what it resolved to
    decisionEvent(about('inner.example.com', team('web')), allowed, 'policy', redaction),
    decisionEvent(about('inner.example.com', team('web')), { ...denied, code: 'ip_denied', rule: undefined }, 'address', redaction),
  ],
  [
    decisionEvent(about('files.example.net', { port: 8443 }), asking, 'policy', redaction),
    decisionEvent(about('files.example.net', { port: 8443 }), allowed, 'approval', redaction),
    ...question('good.example', 'allow'), ...question('good.example', 'allow', { waitedMs: 3_600_000 }),
    ...question('bad.example', 'deny'), ...question('bad.example', 'deny'),
    ...question('mixed.example', 'allow'), ...question('mixed.example', 'deny'), ...question('mixed.example', undefined),
    ...question('program.example', 'allow', { byKind: 'program' }), ...question('program.example', 'allow', { byKind: 'program' }),
    ...question('half.example', 'allow', { isComplete: false }),
    gapEvent({ cause: 'session_quota', count: 7, detail: 'too many' }),
  ],
  [decisionEvent(about('new.example', { mode: 'monitor' }), { ...allowed, monitored: { verdict: 'deny', code: 'not_allowed', reason: 'no rule', rule: undefined } }, 'policy', redaction)],
]

/** Each list an hour after the one before. */
async function journaled(t: Test, hours: readonly (readonly AuditEvent[])[] = busy): Promise<string> {
  const dir = folder(t)
  nowMs = startMs
  const journal = await openTestJournal(t, dir, { clock })
  for (const events of hours) {
    for (const event of events) await journal.append(event)
    nowMs += 3_600_000
  }
  await journal.close()
  mkdirSync(join(dir, 'policies'))
  writeFileSync(join(dir, 'policies', '10-base.toml'), `[network]
unknown = "ask"
allowed_domains = ["*.example.com", "never.example"]
denied_domains = ["pastebin.com", "10.0.0.0/8"]

[[network.rules]]
id = "unused"
hosts = ["git.example"]
verdict = "allow"
`)
  return dir
}

async function report(dir: string, ...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = fakeIo(dir)
  const code = await reportCommand.run(['--data', dir, '--policies', 'policies', ...argv], io)
  return { code, out: io.stdout(), err: io.stderr() }
}

t.test('verdicts are counted by host, agent and team, and a later refusal takes back what policy let pass', async (t) => {
  const { out } = await report(await journaled(t), '--json')
  const got = JSON.parse(out)
  t.match(got, {
    first: '2027-01-10T08:00:00.000Z', sessions: 2,
    totals: { allowed: 4, asked: 1, denied: 2, bytes_from_client: 2048, bytes_from_origin: 5_000_000 },
    by_hour: [{ time: '2027-01-10T08:00:00.000Z', allowed: 2, denied: 2 }, { allowed: 1, asked: 1 }, { allowed: 1 }],
    refusals_by_code: [{ name: 'denied_by_rule', count: 1 }, { name: 'ip_denied', count: 1 }],
    monitored: [{ name: 'new.example not_allowed', count: 1 }],
    gaps: [{ cause: 'session_quota', count: 7 }],
  })
  const of = (list: readonly { readonly name: string }[], name: string): unknown => list.find((each) => each.name === name)
  t.match(of(got.by_host, 'api.example.com'), { allowed: 2, denied: 0 })
  t.match(of(got.by_host, 'inner.example.com'), { allowed: 0, denied: 1 })
  t.match(of(got.by_host, 'files.example.net:8443'), { allowed: 1, asked: 1 })
  t.match(of(got.by_team, 'data'), { allowed: 1, denied: 1 })
  t.match(of(got.by_agent, 'agent-of-web'), { allowed: 1, denied: 1 })
})

t.test('questions are told with their answers and how long they waited', async (t) => {
  const { out } = await report(await journaled(t), '--json')
  const { questions } = JSON.parse(out)
  t.match(questions, { asked: 10, allowed: 5, denied: 3, expired: 1, waited_ms: { median: 30_000, longest: 3_600_000 }, by_reviewer: [{ name: 'bob', count: 8 }] })
  t.match(questions.by_host.find(({ host }: { host: string }) => host === 'mixed.example'), { asked: 3, allowed: 1, denied: 1, expired: 1, agents: ['codex'] })
})

t.test('what people always answered is proposed as policy that compiles, and nothing that a program answered', async (t) => {
  const { out } = await report(await journaled(t), '--patch')
  const { policy, problems } = compilePolicy([{ path: 'policies/50-approved.toml', text: out, layer: 'policy' }], new Map())
  t.ok(policy, problems.map(({ message }) => message).join('\n'))
  t.match(out, '"good.example:443",  # allowed 2 times, for codex')
  t.match(out, '"bad.example",  # refused 2 times, for codex')
  t.notMatch(out, /mixed|program|half/)
  t.match(await report(await journaled(t, [[decisionEvent(about('a.example'), allowed, 'policy', redaction)]]), '--patch'), { out: '', err: /nothing to propose/, code: 0 })
})

t.test('an agent that is called like policy proposes nothing', async (t) => {
  const evil = { ...approval, host: 'good.example', agent: 'x\n]\nunknown = "allow"\n#' }
  const dir = await journaled(t, [[1, 2].flatMap(() => [approvalRequestedEvent(evil, 'rev'), approvalDecidedEvent(evil, decided)])])
  const { out } = await report(dir, '--patch')
  t.equal(out.split('\n').filter((line) => line !== '').length, 5, out)
  t.notMatch(out, /^unknown/m)
})

t.test('rules and entries that decided nothing are named, feeds of figures are not', async (t) => {
  const { out } = await report(await journaled(t), '--json')
  t.same(JSON.parse(out).suggestions.never_hit.map(({ id, pattern, line }: { id: string; pattern: string; line: number }) => `${id} ${pattern} ${line}`), [
    'unused  6', 'denied_domains 10.0.0.0/8 4', 'allowed_domains never.example 3',
  ])
  const { suggestions } = JSON.parse((await report(await journaled(t), '--json', '--team', 'web')).out)
  t.equal(suggestions.never_hit, null, 'a part of what happened does not tell')
})

t.test('on the terminal it reads without colours, and shows no control character', async (t) => {
  const dir = await journaled(t, [...busy, [decisionEvent(about('api.example.com', { principal: { ...subject.principal, agent: 'a\u001b[31m\u202e' } }), allowed, 'policy', redaction)]])
  const { out } = await report(dir)
  t.match(out, /^2027-01-10 08:00Z to 2027-01-10 11:00Z: 8 decisions of 4 agents in 2 sessions\n/)
  t.match(out, /allowed +5 {2}█{40}\n {2}asked +1 {2}▒{8}\n {2}denied +2 {2}x{16}\n/)
  t.match(out, /api\.example\.com +3 +0 +0 +2\.0 KiB +4\.8 MiB {2}█+/)
  t.match(out, 'answered after 30 s (median), 9 of 10 within 60 min, the longest after 60 min')
  t.match(out, 'suggestion: reviewers answered these the same way each time')
  t.match(out, /mixed\.example +3 times, answered until/)
  t.notMatch(out, /[^\n\x20-\x7e█▒…]/)
})

t.test('the page holds everything, loads nothing, and is no markup of an agent', async (t) => {
  const evil = '<img src=x onerror=alert(1)>'
  const dir = await journaled(t, [...busy, [decisionEvent(about('api.example.com', { principal: { ...subject.principal, agent: evil } }), allowed, 'policy', redaction)]])
  const { code, err } = await report(dir, '--html', 'report.html')
  t.equal(code, 0)
  t.match(err, 'the report is in ')
  const page = readFileSync(join(dir, 'report.html'), 'utf8')
  t.equal(statSync(join(dir, 'report.html')).mode & 0o777, 0o600)
  t.match(page, 'default-src &#39;none&#39;'.replaceAll('&#39;', "'"))
  t.notMatch(page, /<img|<script|https?:\/\//)
  t.match(page, '&lt;img src=x onerror=alert(1)&gt;')
  for (const part of ['By host', 'By team', 'Questions', 'aria-label="decisions over time"', 'good.example:443', 'session_quota', '10.0.0.0/8']) t.match(page, part)
})

t.test('a question that nothing answers, and a journal that is not there, are said', async (t) => {
  const dir = await journaled(t)
  t.match(await report(dir, '--agent', 'nobody'), { code: 1, err: 'the journal has no records of --agent nobody\n' })
  t.match(await report(folder(t)), { code: 1, err: /there is no journal/ })
  await t.rejects(report(dir, '--patch', '--json'), { name: 'UsageError' })
  await t.rejects(report(dir, '--since', 'soon'), { name: 'UsageError' })
  t.match(JSON.parse((await report(dir, '--json', '--host', '*.example.com')).out), { totals: { allowed: 2, denied: 1 } })
  t.match(JSON.parse((await report(dir, '--json', '--since', '2027-01-10T09:30Z')).out), { totals: { allowed: 1, asked: 0 } })
})
