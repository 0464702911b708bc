import t from 'tap'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { encodeEvent, parseLine, sealLine, zeroHash } from '../../src/audit/record.ts'
import { scrubText } from '../../src/audit/redaction.ts'
import { errorTable, type ErrorCode } from '../../src/errors.ts'
import { quoted } from '../../src/target/quoted.ts'
import { allowed, anyText, denied, redaction, subject } from './fixture.ts'
import * as fc from '../support/property.ts'

t.test('an allow carries who, what, which rule and the words of Codex', async (t) => {
  const event = decisionEvent(subject, allowed, 'policy', redaction)
  t.equal(event.name, 'sallyport.decision')
  t.equal(event.severity, 'INFO')
  t.equal(event.body, 'allowed api.example.com:443: api.example.com is allowed (allowed, rule allowed_domains at policies/10-base.toml:4)')
  t.match(event.attributes, {
    'sallyport.request.id': subject.requestId,
    'session.id': 's-1',
    'gen_ai.agent.name': 'codex',
    'user.name': 'alice',
    'client.address': '127.0.0.1',
    'server.address': 'api.example.com',
    'server.port': 443,
    'http.request.method': 'none',
    'network.transport.protocol': 'https_connect',
    'network.policy.scope': 'domain',
    'network.policy.decision': 'allow',
    'network.policy.source': 'baseline_policy',
    'network.policy.reason': 'allow',
    'network.policy.override': false,
    'security_rule.name': 'allowed_domains',
    'security_rule.ruleset.name': 'policies/10-base.toml',
    'sallyport.rule.line': 4,
    'sallyport.rule.pattern': '*.example.com',
    'sallyport.stage': 'policy',
    'sallyport.code': 'allowed',
    'sallyport.policy.revision': '0123456789ab',
    'sallyport.mode': 'enforce',
    'sallyport.advisory': false,
  })
})

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code)
const severity = (answer: typeof allowed) => decisionEvent(subject, answer, 'policy', redaction).severity

t.test('severity is INFO for allow, INFO2 for ask, WARN for deny, ERROR for a fault of our own', async (t) => {
  t.equal(severity(allowed), 'INFO')
  t.equal(severity({ ...denied, verdict: 'ask', code: 'approval_required' }), 'INFO2')
  t.equal(severity(denied), 'WARN')
  t.equal(severity({ ...denied, code: 'internal_error' }), 'ERROR')
  t.equal(severity({ ...denied, code: 'policy_unavailable' }), 'ERROR')
})

t.test('monitor mode says what happened and what enforce mode would have said', async (t) => {
  const monitored = { verdict: 'deny', code: 'denied_by_rule', reason: denied.reason, rule: denied.rule } as const
  const event = decisionEvent({ ...subject, mode: 'monitor' }, { ...allowed, monitored }, 'policy', redaction)
  t.equal(event.severity, 'INFO')
  t.match(event.attributes, {
    'network.policy.decision': 'allow',
    'sallyport.mode': 'monitor',
    'sallyport.monitored.verdict': 'deny',
    'sallyport.monitored.code': 'denied_by_rule',
    'sallyport.monitored.reason': denied.reason,
    'sallyport.monitored.rule.name': 'denied_domains',
    'sallyport.monitored.rule.line': 9,
  })
  t.match(event.body, /enforce mode says deny/)
})

t.test('an exchange that a grant let through says which, and whose yes overrode the miss', async (t) => {
  const grant = { id: 'g-1', approvalId: 'a-1' }
  const event = decisionEvent(subject, { ...allowed, reason: 'no rule allows it; approved by bob', grant }, 'policy', redaction)
  t.match(event.attributes, {
    'sallyport.approval.id': 'a-1', 'sallyport.grant.id': 'g-1', 'sallyport.code': 'allowed', 'network.policy.decision': 'allow', 'network.policy.scope': 'domain',
    'network.policy.source': 'decider', 'network.policy.reason': 'not_allowed', 'network.policy.override': true,
  })
  t.equal(event.severity, 'INFO')
})

t.test('an exchange that a grant refused was overridden by nobody', async (t) => {
  const event = decisionEvent(subject, { ...denied, code: 'approval_denied', grant: { id: 'g-1', approvalId: 'a-1' } }, 'approval', redaction)
  t.match(event.attributes, { 'sallyport.grant.id': 'g-1', 'network.policy.decision': 'deny', 'network.policy.source': 'decider', 'network.policy.reason': 'denied', 'network.policy.override': false })
})

t.test('a question and a pending answer name their approval, and no grant', async (t) => {
  for (const code of ['approval_required', 'approval_pending'] as const) {
    const { attributes, severity: level } = decisionEvent(subject, { ...denied, verdict: 'ask', code, approvalId: 'a-1' }, 'approval', redaction)
    t.equal(attributes['sallyport.approval.id'], 'a-1', code)
    t.notOk(Object.hasOwn(attributes, 'sallyport.grant.id'), code)
    t.equal(level, 'INFO2', code)
  }
  t.notOk(Object.hasOwn(decisionEvent(subject, allowed, 'policy', redaction).attributes, 'sallyport.approval.id'))
})

t.test('plain HTTP carries method and redacted path, never a query value', async (t) => {
  const event = decisionEvent({ ...subject, protocol: 'http', scheme: 'http', port: 80, method: 'GET', path: '/search', query: 'q=hunter2' }, allowed, 'policy', redaction)
  t.match(event.attributes, { 'http.request.method': 'GET', 'url.path': '/search', 'url.query': 'q', 'url.scheme': 'http' })
  t.notMatch(encodeEvent(event), /hunter2/)
})

t.test('every code of the error table has a source and a scope that Codex knows', async (t) => {
  for (const code of Object.keys(errorTable)) {
    if (!isErrorCode(code)) throw new Error(code)
    const { attributes } = decisionEvent(subject, { ...denied, code }, 'policy', redaction)
    t.ok(['domain', 'non_domain'].includes(String(attributes['network.policy.scope'])), code)
    t.ok(['baseline_policy', 'mode_guard', 'proxy_state', 'decider'].includes(String(attributes['network.policy.source'])), code)
  }
})

t.test('fields are cut to their caps', async (t) => {
  const long = 'x'.repeat(100_000)
  const event = decisionEvent(
    { ...subject, host: long, userAgent: long, method: long, protocol: 'http', path: `/${'y/'.repeat(50_000)}`, query: long, principal: { session: long, agent: long, team: long, owner: long } },
    { ...denied, reason: long },
    'policy',
    redaction,
  )
  t.equal(String(event.attributes['server.address']).length, 253)
  t.equal(String(event.attributes['user_agent.original']).length, 512)
  t.ok(encodeEvent(event).length < 12_000)
})

t.test('a target that could not be parsed shows neither credentials nor query values', async (t) => {
  const event = decisionEvent({ ...subject, host: 'http://user:hunter2@example.com/?key=hunter2', port: 0 }, { ...denied, code: 'target_syntax', reason: 'the request-target is not valid: `user:hunter2@example.com`' }, 'policy', redaction)
  t.notMatch(encodeEvent(event), /hunter2/)
})

t.test('a target that could not be parsed shows nothing of its path, whatever audit.url says', async (t) => {
  const secret = 'abcdEFGH1234ijklMNOP5678'
  for (const url of ['host', 'path', 'full'] as const) {
    for (const [host, shown] of [
      [`https://hooks.test/services/T01ABCDEF/${secret}`, 'https://hooks.test'], [`/services/${secret}`, ''], [`a.test?${secret}`, 'a.test'],
      [`http://bob:${secret}'x@a.test/`, 'http://***@a.test'], [`http://bob:${secret.repeat(30)}@a.test/`, 'http://***@a.test'],
      [`http://bob:x/${secret}@a.test/`, 'http://***'], [`bob:${secret.repeat(12)}@a.test:443`, '***@a.test:443'],
    ] as const) {
      const reason = `the request-target is not valid: character that no target has: ${quoted(host)}`
      const about = { ...subject, host, port: 0, path: undefined }
      const event = decisionEvent(about, { ...denied, code: 'target_syntax', reason, rule: undefined }, 'policy', { ...redaction, url })
      t.notMatch(encodeEvent(event), /services|abcdEFGH/, host.slice(0, 40))
      t.equal(event.attributes['server.address'], shown)
      t.notMatch(encodeEvent(endedEvent(about, { outcome: 'refused', bytesFromClient: 0, bytesFromOrigin: 0 }, 0)), /services|abcdEFGH/)
    }
  }
})

t.test('half of a password that the parser took for a port is not repeated as the reason', async (t) => {
  const event = decisionEvent({ ...subject, host: 'http://bob:hunter2/x@a.test/', port: 0 }, { ...denied, code: 'authority_syntax', reason: 'the authority is not host:port: bad port: `bob:hunter2`' }, 'policy', redaction)
  t.equal(event.attributes['sallyport.reason'], 'the authority is not host:port: bad port: `***`')
})

t.test('a reason that repeats the path keeps of it what url.path keeps', async (t) => {
  const path = '/services/abcdEFGH1234ijklMNOP5678'
  const about = { ...subject, protocol: 'http', scheme: 'http', method: 'POST', path } as const
  const reason = `no rule of hooks.test allows POST ${path}`
  const monitored = { verdict: 'deny', code: 'request_not_allowed', reason, rule: undefined } as const
  const answer = { ...denied, reason, monitored }
  for (const url of ['host', 'path'] as const) t.notMatch(encodeEvent(decisionEvent(about, answer, 'policy', { ...redaction, url })), /abcdEFGH1234/, url)
  t.equal(decisionEvent(about, answer, 'policy', { ...redaction, url: 'host' }).attributes['sallyport.reason'], 'no rule of hooks.test allows POST /...')
  t.equal(decisionEvent(about, answer, 'policy', { ...redaction, url: 'full' }).attributes['sallyport.reason'], reason)
})

t.test('credentials in a User-Agent are blotted out', async (t) => {
  // in two parts, so that secret scanners leave this file alone
  const token = ['ghp', 'abcdefghijklmnopqrstuvwxyz0123456789'].join('_')
  const userAgent = `tool (${token}; key=topSecret; http://bob:topSecret@a.test)`
  const event = decisionEvent({ ...subject, userAgent }, allowed, 'policy', redaction)
  t.notMatch(encodeEvent(event), /ghp_|topSecret/)
  t.match(event.attributes['user_agent.original'], /^tool \(/)
})

t.test('log injection in every field stays inside one record and out of the terminal', async (t) => {
  const evil = 'a\r\n{"seq":1}\u001b[2J\u202e\u0000\u2028"\\'
  const event = decisionEvent(
    { ...subject, requestId: evil, host: evil, method: evil, protocol: 'http', path: `/${evil}`, query: `${evil}=1`, userAgent: evil, clientAddress: evil, principal: { session: evil, agent: evil, team: evil, owner: evil } },
    { ...denied, reason: evil, rule: { id: evil, pattern: evil, file: evil, line: 1 } },
    'policy',
    redaction,
  )
  t.notMatch(encodeEvent(event), /[^\x20-\x7e]/)
  t.notMatch(event.body, /[\p{Cc}\u202e\u2028]/u)
})

t.test('an unknown client address is called unknown', async (t) => {
  t.equal(decisionEvent({ ...subject, clientAddress: '' }, allowed, 'policy', redaction).attributes['client.address'], 'unknown')
})

t.test('any text in any field is read back from the line as it was, beside a body without controls', async () => {
  fc.assert(
    fc.property(anyText, anyText, anyText, (who, where, why) => {
      const event = decisionEvent(
        { ...subject, requestId: who, host: where, method: who, protocol: 'http', userAgent: where, clientAddress: `a${who}`, principal: { session: who, agent: where, team: why, owner: who } },
        { ...denied, reason: why.replace(/[@=_-]/g, ''), rule: { id: who, pattern: where, file: why, line: 1 }, monitored: { verdict: 'ask', code: 'not_allowed', reason: '', rule: { id: where, pattern: who, file: who, line: 0 } } },
        'tls',
        redaction,
      )
      const { line } = sealLine(encodeEvent(event), 1, zeroHash, 'u', '2026-01-02T03:04:05.006Z', 'i')
      const { record } = parseLine(line.slice(0, -1))
      const expected = {
        'sallyport.request.id': who, 'session.id': who, 'gen_ai.agent.name': where, 'user.name': who, 'sallyport.team': why, 'client.address': `a${who}`,
        'server.address': where, 'http.request.method': who.slice(0, 64), 'user_agent.original': scrubText(where, 512),
        'security_rule.name': who, 'security_rule.ruleset.name': why, 'sallyport.rule.pattern': where, 'sallyport.monitored.rule.name': where, 'sallyport.monitored.rule.file': who,
      }
      return record !== undefined && record.body === event.body && !/\p{Cc}/u.test(record.body) && Object.entries(expected).every(([name, value]) => record.attributes[name] === value)
    }),
  )
})

t.test('a body is cut at 1,024 characters, whether plain or not', async (t) => {
  const rule = { id: 'r'.repeat(2000), pattern: 'x', file: 'f', line: 1 }
  for (const reason of ['plain', 'not "plain"']) t.equal(decisionEvent(subject, { ...denied, reason, rule }, 'policy', redaction).body.length, 1025)
})

t.test('a host that was parsed is logged as it was matched, whatever it looks like', async (t) => {
  for (const host of ['sk-abcdefghijklmnop.example.com', 'task-management-board.example.com']) {
    t.equal(decisionEvent({ ...subject, host }, denied, 'policy', redaction).attributes['server.address'], host)
  }
})

t.test('of a field that a refusal quotes only what a host may be is repeated', async (t) => {
  for (const code of ['host_mismatch', 'field_syntax', 'misdirected'] as const) {
    const reason = `refused: Host is ${quoted('api.example.com?hunter2')}`
    const event = decisionEvent(subject, { ...denied, code, reason, rule: undefined }, 'policy', redaction)
    t.equal(event.attributes['sallyport.reason'], 'refused: Host is `api.example.com`', code)
    t.notMatch(encodeEvent(event), /hunter2/, code)
  }
})
