import t from 'tap'
import {
  approvalDecidedEvent, approvalExpiredEvent, approvalRequestedEvent, approvalWithdrawnEvent,
  grantCreatedEvent, grantExpiredEvent, grantRevokedEvent, grantUsedEvent,
} from '../../src/audit/approval-events.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent, parseLine, sealLine, zeroHash } from '../../src/audit/record.ts'
import { liveReading } from '../../src/policy/grant.ts'
import * as fc from '../support/property.ts'
import { anyText, approval, decided, grant } from './fixture.ts'

/** Every event of this file, of one subject. */
const all = (about: typeof approval, how: typeof decided, of: typeof grant, text: string): AuditEvent[] => [
  approvalRequestedEvent(about, text), approvalDecidedEvent(about, how), approvalExpiredEvent(about, 1), approvalWithdrawnEvent(about, 'session_ended', 1),
  grantCreatedEvent(of), grantUsedEvent(of, text, text), grantRevokedEvent(of, text), grantExpiredEvent(of),
]

t.test('a question says who asks for what, why, and by which rule', async (t) => {
  const event = approvalRequestedEvent(approval, '0123456789ab')
  t.equal(event.severity, 'INFO2')
  t.match(event.attributes, {
    'sallyport.approval.id': approval.id, 'sallyport.approval.kind': 'host', 'session.id': approval.session, 'gen_ai.agent.name': 'codex', 'user.name': 'alice@example.com',
    'sallyport.team': 'web', 'server.address': 'files.example.net', 'server.port': 443, 'client.address': '127.0.0.1', 'sallyport.advisory': false,
    'security_rule.name': 'unknown', 'security_rule.ruleset.name': 'policies/10-base.toml', 'sallyport.policy.revision': '0123456789ab',
  })
  t.equal(event.attributes['sallyport.reason'], approval.reason)
})

t.test('an unknown client address is called unknown', async (t) => {
  t.equal(approvalRequestedEvent({ ...approval, clientAddress: '' }, 'r').attributes['client.address'], 'unknown')
})

t.test('a path in the reason is left out, whatever stands around it', async (t) => {
  const secret = 'abcdEFGH1234ijklMNOP5678'
  const shown = (reason: string) => approvalRequestedEvent({ ...approval, kind: 'request', method: 'POST', reason }, 'r')
  const event = shown(`no rule of hooks.test allows POST /services/${secret}, and approvals decide`)
  t.equal(event.attributes['sallyport.reason'], 'no rule of hooks.test allows POST /..., and approvals decide')
  for (const path of [`/${secret}`, `/a,b/${secret}`, `/x?key=${secret}`, `/${secret},`]) t.notMatch(encodeEvent(shown(`no rule allows GET ${path}`)), /EFGH/, path)
  t.equal(shown('rule r asks: read/write access').attributes['sallyport.reason'], 'rule r asks: read/write access')
})

t.test('a yes is INFO and a no is WARN, each with its reviewers, its term and how long it took', async (t) => {
  const yes = approvalDecidedEvent(approval, decided)
  t.equal(yes.severity, 'INFO')
  t.match(yes.attributes, {
    'sallyport.approval.verdict': 'allow', 'sallyport.approval.term': 'until', 'sallyport.approval.until': '2026-01-02T11:04:05.000Z', 'sallyport.approval.waited_ms': 41_250,
    'sallyport.reviewer.name': 'bob', 'sallyport.reviewer.kind': 'person', 'sallyport.reviewer.second': 'carol', 'sallyport.comment': 'the data of the spring report', 'sallyport.grant.id': grant.id,
  })
  t.equal(yes.body, `bob and carol allowed files.example.net:443 for codex, until 2026-01-02T11:04:05.000Z: the data of the spring report (approval ${approval.id})`)
  const no = approvalDecidedEvent(approval, { ...decided, verdict: 'deny', term: 'once', secondBy: undefined, comment: undefined, grantId: undefined })
  t.equal(no.severity, 'WARN')
  t.equal(no.body, `bob denied files.example.net:443 for codex, once (approval ${approval.id})`)
})

t.test('the first of four eyes is not told as an allow', async (t) => {
  const event = approvalDecidedEvent(approval, { ...decided, isComplete: false, secondBy: undefined, grantId: undefined, comment: undefined })
  t.equal(event.attributes['sallyport.approval.complete'], false)
  t.match(event.body, /^bob would allow .*; a second person has to agree/)
})

t.test('an answer that is wider than its question says so in the line for people', async (t) => {
  const wide = approvalDecidedEvent(approval, { ...decided, subdomains: true, allPorts: true, who: 'team', term: 'always' })
  t.match(wide.body, 'allowed **.files.example.net:443 and every other port for every session of team web, always')
})

t.test('a question that nobody answered is WARN, one that is withdrawn says why', async (t) => {
  t.equal(approvalExpiredEvent(approval, 600_000).severity, 'WARN')
  t.match(approvalWithdrawnEvent(approval, 'session_ended', 7.6).attributes, { 'sallyport.approval.cause': 'session_ended', 'sallyport.approval.waited_ms': 8 })
})

t.test('a grant names its holder by what it is, and says how wide it is', async (t) => {
  t.match(grantCreatedEvent(grant).attributes, { 'sallyport.grant.id': grant.id, 'sallyport.approval.id': approval.id, 'session.id': approval.session, 'server.port': 443, 'sallyport.grant.one_request': false })
  const team = grantCreatedEvent({ ...grant, who: 'team', holder: 'web', port: undefined, subdomains: true, requestDigest: 'abc' })
  t.equal(team.attributes['sallyport.team'], 'web')
  t.equal(team.attributes['session.id'], undefined)
  t.equal(team.attributes['sallyport.grant.one_request'], true)
  t.notMatch(encodeEvent(team), /abc"/, 'the digest of a body that may be guessed is not told')
  t.match(team.body, /^\*\*\.files\.example\.net on every port allowed for team web by bob/)
})

t.test('a grant that closes is WARN', async (t) => {
  t.equal(grantCreatedEvent({ ...grant, verdict: 'deny' }).severity, 'WARN')
  t.equal(grantUsedEvent({ ...grant, verdict: 'deny' }, 'r', 's').severity, 'WARN')
  t.equal(grantCreatedEvent(grant).severity, 'INFO')
})

t.test('a grant that is used names the exchange, one that is revoked names who did it', async (t) => {
  t.match(grantUsedEvent({ ...grant, who: 'agent', holder: 'codex' }, 'r-1', 's-9').attributes, { 'sallyport.request.id': 'r-1', 'session.id': 's-9', 'gen_ai.agent.name': 'codex' })
  t.match(grantRevokedEvent(grant, 'dave').attributes, { 'sallyport.actor.name': 'dave', 'sallyport.reviewer.name': 'bob' })
})

t.test('credentials and query values that somebody wrote into a comment are blotted out', async (t) => {
  // in two parts, so that secret scanners leave this file alone
  const token = ['ghp', 'abcdefghijklmnopqrstuvwxyz0123456789'].join('_')
  const event = approvalDecidedEvent(approval, { ...decided, comment: `use ${token} or http://bob:hunter2@a.test/?key=hunter2` })
  t.notMatch(encodeEvent(event), /ghp_|hunter2/)
})

t.test('any text in any field stays in one line of ASCII, within bounds, under a body without controls', async () => {
  fc.assert(
    fc.property(anyText, fc.nat({ max: 3 }), (some, times) => {
      const text = some.repeat(1 + 40 * times)
      const about = { ...approval, session: text, agent: text, owner: text, team: text, host: text, method: text, reason: text, clientAddress: text, rule: { id: text, pattern: text, file: text, line: 1 } }
      const how = { ...decided, by: text, secondBy: text, comment: text, who: 'team' }
      return all(about, how, { ...grant, holder: text, host: text, by: text }, text).every((event) => {
        const encoded = encodeEvent(event)
        const { line } = sealLine(encoded, 1, zeroHash, 'u', '2026-01-02T03:04:05.006Z', 'i')
        const { record } = parseLine(line.slice(0, -1))
        return record !== undefined && !/[^\x20-\x7e]/.test(encoded) && !/\p{Cc}/u.test(record.body) && encoded.length < 80_000
          && Object.values(record.attributes).every((value) => typeof value !== 'string' || value.length <= 1024)
      })
    }),
  )
})

t.test('a page that was fetched is told from a host that is read live', async (t) => {
  const page = { ...approval, kind: 'fetch' } as const
  const fetched = approvalDecidedEvent(page, { ...decided, term: 'once', untilMs: undefined, grantId: undefined, isFetch: true })
  t.match(fetched, { body: /had fetched one page of .* for codex, once/, attributes: { 'sallyport.approval.fetch': true, 'sallyport.approval.kind': 'fetch' } })
  t.match(approvalDecidedEvent(page, { ...decided, isComplete: false, isFetch: true }).body, /would fetch one page of/)
  t.match(approvalDecidedEvent(page, decided), { body: /allowed .*, read live, for codex/, attributes: { 'sallyport.approval.fetch': false } })
  t.match(approvalWithdrawnEvent(page, 'cached', 1000), { body: /the page is in the cache now/, attributes: { 'sallyport.approval.cause': 'cached' } })
  t.match(grantCreatedEvent({ ...grant, requestDigest: liveReading }).attributes, { 'sallyport.grant.live_reading': true, 'sallyport.grant.one_request': false })
})
