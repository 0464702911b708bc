import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { decisionEvent, type Answer } from '../../src/audit/decision-event.ts'
import { sessionStartedEvent } from '../../src/audit/session-events.ts'
import { replayCommand } from '../../src/cli/replay.ts'
import { readTarget } from '../../src/policy/explain-target.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Facts } from '../../src/policy/facts.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { folder, openTestJournal, redaction, session as anySession, subject } from '../audit/fixture.ts'
import * as fc from '../support/property.ts'
import { fakeIo } from './fake-io.ts'

const old = `[network]
unknown = "ask"
allowed_domains = ["api.example.com", "*.files.example.net", "open.example"]
denied_domains = ["pastebin.com"]

[[network.rules]]
id = "read"
hosts = ["git.example.com"]
methods = ["GET"]
paths = ["/repos/**"]
verdict = "allow"

[[network.rules]]
id = "codex-only"
hosts = ["models.example"]
agents = ["codex"]
verdict = "allow"
`

function compiled(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'policies/10-test.toml', text, layer: 'policy' }], new Map(), {})
  if (policy === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
  return policy
}

interface Asked {
  readonly url: string
  readonly method?: string
  readonly agent?: string
  readonly session?: string
  readonly grant?: Answer['grant']
}

let count = 0

/** The decisions that the proxy would journal for a URL: of the tunnel, and of the request in it where it is looked into. */
function decisionsOf(policy: Policy, { url, method = 'GET', agent = 'codex', session = 's-1', grant }: Asked): readonly { readonly facts: Facts; readonly answer: Answer }[] {
  const principal = { session, agent, team: undefined, owner: 'alice' }
  const { facts, inner } = readTarget(url, { method, upgrade: undefined, principal })
  const outer = evaluate(policy, facts, 0)
  const all = [{ facts, answer: outer as Answer }]
  if (inner !== undefined && outer.verdict === 'allow' && outer.obligations.inspect !== 'none') all.push({ facts: inner, answer: evaluate(policy, inner, 0) })
  return grant === undefined ? all : all.map((each) => ({ ...each, answer: { ...each.answer, verdict: 'allow', code: 'allowed', grant } }))
}

async function journaled(t: Test, asked: readonly Asked[], policy = compiled(old)): Promise<string> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await journal.append(sessionStartedEvent({ ...anySession, id: 's-trusting', trustsCa: true }, 'alice'))
  for (const each of asked) {
    for (const { facts, answer } of decisionsOf(policy, each)) {
      const { principal, host, port, scheme, method, path, query, stage } = facts
      const about = { ...subject, requestId: `r-${(count += 1)}`, principal, host: host.text, port, scheme, method: method ?? 'CONNECT', path, query, protocol: stage === 'connect' ? 'https_connect' as const : 'http' as const }
      await journal.append(decisionEvent(about, answer, 'policy', redaction))
    }
  }
  await journal.close()
  return dir
}

async function replayed(dir: string, text: string, ...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const next = join(dir, 'next')
  mkdirSync(next, { recursive: true })
  writeFileSync(join(next, '10-test.toml'), text)
  const io = fakeIo(dir)
  const code = await replayCommand.run(['--policy', 'next', '--data', dir, ...argv], io)
  return { code, out: io.stdout(), err: io.stderr() }
}

interface Json {
  readonly replayed: number
  readonly same: number
  readonly changed: number
  readonly untold: Readonly<Record<string, number>>
  readonly looked_into: number
  readonly changes: readonly { readonly from: string; readonly to: string; readonly count: number; readonly request: Readonly<Record<string, unknown>>; readonly was: { readonly granted: number; readonly rule: { readonly line: number } | null }; readonly becomes: { readonly code: string; readonly rule: { readonly id: string; readonly file: string; readonly line: number } | null } }[]
}

async function json(dir: string, text: string, ...argv: string[]): Promise<Json> {
  const { out } = await replayed(dir, text, '--json', ...argv)
  return JSON.parse(out)
}

const traffic: readonly Asked[] = [
  { url: 'https://api.example.com/' }, { url: 'https://api.example.com/' }, { url: 'https://pastebin.com/' }, { url: 'https://new.example/' },
  { url: 'https://git.example.com/repos/a' }, { url: 'https://git.example.com/repos/a', method: 'POST' }, { url: 'http://open.example/page?q=1' },
  { url: 'https://models.example/', agent: 'other' }, { url: 'https://models.example/' }, { url: 'https://api.example.com:9999/' }, { url: 'https://192.0.2.1/' },
]

t.test('the policy that decided answers as it did', async (t) => {
  const dir = await journaled(t, traffic)
  const { code, out } = await replayed(dir, old, '--check')
  t.equal(code, 0)
  t.match(out, /13 decisions from .* asked again of policy [0-9a-f]{12}\n {2}13 the same\n {2}0 otherwise/)
  t.match(out, 'nothing would change')
})

t.test('what would be refused, asked about or let through is told with the rule that does it', async (t) => {
  const dir = await journaled(t, traffic)
  const next = old.replace('"pastebin.com"', '"api.example.com"').replace('unknown = "ask"', 'unknown = "deny"')
  const { replayed: all, same, changed, changes } = await json(dir, next)
  t.same([all, same, changed], [13, 8, 5])
  t.match(changes[0], { from: 'allow', to: 'deny', count: 2, request: { method: 'CONNECT', host: 'api.example.com', port: 443 }, becomes: { code: 'denied_by_rule', rule: { id: 'denied_domains', file: 'next/10-test.toml', line: 4 } }, was: { rule: { line: 3 } } })
  t.same(changes.map(({ from, to, request }) => `${from} ${to} ${String(request['host'])}`), [
    'allow deny api.example.com', 'ask deny new.example', 'ask deny models.example', 'ask deny api.example.com',
  ])
  const { code, out } = await replayed(dir, next, '--check')
  t.equal(code, 3, 'something that passed would be refused')
  t.match(out, /\n2 would be refused that passed\n/)
  t.match(out, /CONNECT api\.example\.com:443 +codex +allowed_domains at policies\/10-test\.toml:3 +denied_by_rule: denied_domains at next\/10-test\.toml:4 +r-\d+/)
})

t.test('a looser policy passes the check', async (t) => {
  const dir = await journaled(t, traffic)
  const { code, out } = await replayed(dir, old.replace('unknown = "ask"', 'unknown = "allow"').replace('denied_domains = ["pastebin.com"]', ''), '--check')
  t.equal(code, 0)
  t.match(out, 'would pass that policy asked about')
  t.match(out, 'would pass that was refused')
})

t.test('what a reviewer allowed is what policy asked about', async (t) => {
  const dir = await journaled(t, [{ url: 'https://new.example/', grant: { id: 'g-1', approvalId: 'a-1' } }])
  t.match(await json(dir, old), { same: 1, changed: 0 })
  t.match(await json(dir, old.replace('"pastebin.com"', '"new.example"')), { changes: [{ from: 'ask', to: 'deny', was: { granted: 1 } }] })
  t.match((await replayed(dir, old.replace('"pastebin.com"', '"new.example"'))).out, 'and a reviewer allowed it')
})

t.test('a tunnel whose requests would be looked into is said, and so is what cannot be told', async (t) => {
  const dir = await journaled(t, traffic)
  const wanting = (term: string): string => `${old}\n[[network.rules]]\nid = "more"\nhosts = ["open.example"]\n${term}\nverdict = "deny"\n`
  t.match(await json(dir, wanting('query = { q = ["2"] }')), { untold: { count: 1, query: 1, headers: 0 } })
  t.match(await json(dir, wanting('headers = { "X-Team" = ["*"] }')), { untold: { count: 1, headers: 1 }, same: 12 })
  t.match(await json(dir, wanting('methods = ["PUT"]\nheaders = { "X-Team" = ["*"] }')), { untold: { count: 0 }, same: 13 }, 'a rule for another method does not matter')
  t.match(await json(dir, old.replace('"api.example.com", ', '').replace('["git.example.com"]', '["git.example.com", "api.example.com"]')), { looked_into: 4 })
  t.match((await replayed(dir, wanting('headers = { "X-Team" = ["*"] }'))).out, '1 cannot be told: rules look at header fields, which the journal does not hold')
})

t.test('a path that redaction covered is not guessed at', async (t) => {
  const dir = await journaled(t, [{ url: 'http://open.example/v1/sk-live-0123456789abcdefghij' }])
  const next = `${old}\n[[network.rules]]\nid = "paths"\nhosts = ["open.example"]\npaths = ["/v1/*"]\nverdict = "allow"\n`
  t.match(await json(dir, next), { untold: { count: 1, path: 1 }, same: 0 })
})

t.test('a session that trusts our certificate authority is asked inside, as the proxy does', async (t) => {
  const dir = await journaled(t, [{ url: 'https://new.example/', session: 's-trusting' }])
  t.match(await json(dir, old), { changes: [{ from: 'ask', to: 'allow', request: { stage: 'connect' } }], looked_into: 1 })
})

t.test('only what policy decides is asked again', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const answer: Answer = { verdict: 'deny', code: 'credentials_invalid', reason: 'wrong', rule: undefined, revision: 'x', monitored: undefined }
  await journal.append(decisionEvent(subject, answer, 'policy', redaction))
  await journal.append(decisionEvent({ ...subject, host: 'a..b', port: 0 }, { ...answer, code: 'host_syntax' }, 'policy', redaction))
  await journal.append(decisionEvent(subject, { ...answer, code: 'ip_denied' }, 'address', redaction))
  await journal.close()
  t.match(await json(dir, old), { replayed: 0, changed: 0 })
  t.match((await replayed(dir, old)).out, 'there is nothing that a policy decided in this time')
})

t.test('a part of the journal may be asked for; what is not there is said', async (t) => {
  const dir = await journaled(t, traffic)
  t.match(await json(dir, old, '--since', '1h'), { replayed: 13 })
  t.match(await replayed(dir, old, '--until', '2020-01-01'), { code: 1, err: 'the journal has no records of that time\n' })
  t.match(await replayed(folder(t), old), { code: 1, err: /there is no journal/ })
  t.match(await replayed(dir, '[network]\nallowed_domains = 3\n'), { code: 1, err: /10-test\.toml:2.*error/ })
  await t.rejects(replayCommand.run([], fakeIo(dir)), { name: 'UsageError', message: /--policy DIR/ })
  await t.rejects(replayed(dir, old, '--since', 'soon'), { name: 'UsageError' })
})

const anyUrl = fc.record({
  scheme: fc.constantFrom('http', 'https'),
  host: fc.constantFrom('api.example.com', 'a.files.example.net', 'pastebin.com', 'git.example.com', 'models.example', 'new.example', '192.0.2.7', '[2001:db8::1]', 'xn--bcher-kva.example'),
  port: fc.constantFrom('', ':8443', ':25', ':80'),
  path: fc.constantFrom('/', '/repos/a/b', '/repos/%2f/x', '/a//b', '/other?x=1&y'),
}).map(({ scheme, host, port, path }) => `${scheme}://${host}${port}${path}`)

t.test('whatever was asked, the same policy answers the same from its journal', async (t) => {
  const policy = compiled(old)
  await fc.assert(fc.asyncProperty(fc.array(fc.record({ url: anyUrl, method: fc.constantFrom('GET', 'POST', 'DELETE'), agent: fc.constantFrom('codex', 'other') }), { minLength: 1, maxLength: 12 }), async (asked) => {
    const dir = await journaled(t, asked, policy)
    const { changed, changes, untold } = await json(dir, old)
    t.equal(changed, 0, JSON.stringify(changes))
    t.equal(untold['count'], 0)
  }), { numRuns: 25 })
})
