// docs/events.md is the catalogue of every event: held to the builders in both directions.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  approvalDecidedEvent, approvalExpiredEvent, approvalRequestedEvent, approvalWithdrawnEvent,
  grantCreatedEvent, grantExpiredEvent, grantRevokedEvent, grantUsedEvent,
} from '../../src/audit/approval-events.ts'
import { cacheFilledEvent, cacheHitEvent, cacheMissedEvent } from '../../src/audit/cache-events.ts'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { eventNames, type AuditEvent, type EventName } from '../../src/audit/event.ts'
import { createEncoding, toLogRecord } from '../../src/audit/otlp-encoding.ts'
import { encodeEvent, parseLine, sealLine, zeroHash } from '../../src/audit/record.ts'
import { sessionEndedEvent, sessionSharedEvent, sessionStartedEvent } from '../../src/audit/session-events.ts'
import { destinationChangedEvent, heartbeatEvent } from '../../src/audit/delivery-events.ts'
import { checkpointEvent, erasedEvent, gapEvent, policyLoadedEvent, policyRejectedEvent, processStartedEvent, processStoppedEvent } from '../../src/audit/service-events.ts'
import { allowed, approval, call, decided, denied, grant, redaction, session, subject } from '../audit/fixture.ts'
import { exampleOf, namesIn, sections } from '../support/events-page.ts'

const http = { ...subject, principal: { ...subject.principal, team: 'web' }, host: 'pastebin.com', port: 80, protocol: 'http', scheme: 'http', method: 'POST', path: '/api/create', query: 'lang=en' } as const
const reader = { requestId: '01JD0000000000000000000000', session: 's1a2b3c4d5e6f', agent: 'codex', owner: 'alice', place: { scheme: 'https', host: 'docs.example.net', port: 443, path: '/guide/start', query: 'lang=en' } } as const
const examples: Record<EventName, AuditEvent> = {
  'sallyport.decision': decisionEvent(http, denied, 'policy', redaction),
  'sallyport.exchange.ended': endedEvent(subject, { outcome: 'completed', status: 200, bytesFromClient: 1482, bytesFromOrigin: 90_210, peerAddress: '192.0.2.7' }, 812.4),
  'sallyport.approval.requested': approvalRequestedEvent(approval, '0123456789ab'),
  'sallyport.approval.decided': approvalDecidedEvent({ ...approval, attempts: 3, version: 2 }, decided),
  'sallyport.approval.expired': approvalExpiredEvent(approval, 600_000),
  'sallyport.approval.withdrawn': approvalWithdrawnEvent(approval, 'policy_changed', 42_000),
  'sallyport.grant.created': grantCreatedEvent(grant),
  'sallyport.grant.used': grantUsedEvent(grant, '01JD0000000000000000000000', 's1a2b3c4d5e6f'),
  'sallyport.grant.revoked': grantRevokedEvent(grant, 'carol'),
  'sallyport.grant.expired': grantExpiredEvent(grant),
  'sallyport.cache.hit': cacheHitEvent(reader, { ageS: 86_400, source: 'added', status: 200, bytes: 18_204 }, redaction),
  'sallyport.cache.missed': cacheMissedEvent(reader, 'not-in-cache', redaction),
  'sallyport.cache.filled': cacheFilledEvent({ place: reader.place, source: 'fetched', by: 'bob', partition: 'team:web', status: 200, bytes: 18_204, digest: 'cd'.repeat(32), requestId: '01JD0000000000000000000000', approvalId: '01JD00000000000000000000AP' }, redaction),
  'sallyport.session.started': sessionStartedEvent(session, 'alice'),
  'sallyport.session.shared': sessionSharedEvent(session, { address: '127.0.0.1', uid: 1000 }, { address: '127.0.0.1', uid: 1001 }),
  'sallyport.session.ended': sessionEndedEvent(session, 'ended', 'alice'),
  'sallyport.control.called': controlCalledEvent(call),
  'sallyport.policy.loaded': policyLoadedEvent({ revision: '0123456789ab', previousRevision: 'ba9876543210', mode: 'enforce', ruleCount: 42, feedNames: 1_000_000, files: ['policies/10-base.toml'], warnings: 0 }),
  'sallyport.policy.rejected': policyRejectedEvent({ revision: '0123456789ab', problems: [{ file: 'policies/20-team.toml', line: 7, message: 'unknown key `host`, did you mean `hosts`?' }] }),
  'sallyport.audit.gap': gapEvent({ cause: 'journal_unavailable', count: 12, detail: 'the journal could not be written: ENOSPC: no space left on device, write', sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5), untilMs: Date.UTC(2026, 0, 2, 3, 4, 9) }),
  'sallyport.audit.checkpoint': checkpointEvent('closed', { segment: 'segment-000000000001.jsonl', lastSeq: 51_200, lastHash: 'ab'.repeat(32), bytes: 67_108_864 }, {
    journal: '5f0c9a3b7d21e864', time: '2026-01-02T03:04:05.006Z', keyId: '0f1e2d3c4b5a6978', signature: `${'q6ur'.repeat(21)}qw==`,
  }),
  'sallyport.audit.erased': erasedEvent(['0123456789abcdefghijklmnop'], { records: 18_204, unsealed: 0, sessions: 2, approvals: 3, grants: 1, tokens: 0, others: 4 }),
  'sallyport.audit.heartbeat': heartbeatEvent({ sinceMs: 60_000, records: 412, allowed: 180, denied: 24, asked: 2, destinations: [{ name: 'otel', undelivered: 12 }, { name: 'siem', undelivered: 0 }], oldestUndeliveredMs: 840, uptimeMs: 86_400_000 }),
  'sallyport.destination.changed': destinationChangedEvent({ name: 'otel', change: 'moved', was: 'otel otlp-http https://collector.example/v1/logs', is: 'otel otlp-http https://elsewhere.example/v1/logs' }),
  'sallyport.process.started': processStartedEvent({ version: '0.1.0', pid: 4711, listeners: ['http://127.0.0.1:3128'], revision: '0123456789ab', mode: 'enforce', advisory: false, exporterEndpoint: 'https://collector.example/v1/logs', destinations: ['otel otlp-http https://collector.example/v1/logs', 'siem syslog tls://siem.example:6514 only deny,ask,sallyport.approval.*'] }),
  'sallyport.process.stopped': processStoppedEvent({ version: '0.1.0', pid: 4711, reason: 'SIGTERM', uptimeMs: 86_400_000 }),
}

const monitored = { verdict: 'deny', code: 'denied_by_rule', reason: denied.reason, rule: denied.rule } as const
/** The events with everything in them that there can be, where no example has it all. */
const fullest: Partial<Record<EventName, AuditEvent>> = {
  'sallyport.decision': decisionEvent(http, { ...allowed, monitored, grant: { id: grant.id, approvalId: grant.approvalId } }, 'policy', redaction),
  'sallyport.exchange.ended': endedEvent(http, { outcome: 'expired', code: 'policy_changed', status: 200, bytesFromClient: 0, bytesFromOrigin: 0, peerAddress: '192.0.2.7' }, 0),
}

/** Names each builder can set, given or not. */
function namesOf(name: EventName): string[] {
  return Object.keys((fullest[name] ?? examples[name]).attributes)
}

t.test('every event has a section, in the order of the names, and every section about an event is about one', async (t) => {
  t.strictSame([...sections.keys()].filter((heading) => heading.startsWith('sallyport.')), eventNames)
})

t.test('the shared attributes are the ones that both events of an exchange have of their subject', async (t) => {
  const inDecision = namesOf('sallyport.decision')
  // each has a code of its own, with a meaning of its own
  const shared = namesOf('sallyport.exchange.ended').filter((name) => inDecision.includes(name) && name !== 'sallyport.code')
  t.strictSame(namesIn('Who asked for what').toSorted(), shared.toSorted())
})

t.test('each section names exactly the attributes that its builder sets', async (t) => {
  const shared = namesIn('Who asked for what')
  for (const name of eventNames) {
    const isExchange = name === 'sallyport.decision' || name === 'sallyport.exchange.ended'
    const expected = namesOf(name).filter((attribute) => !isExchange || !shared.includes(attribute))
    t.strictSame(namesIn(name).toSorted(), expected.toSorted(), name)
  }
})

t.test('each example is what the builder makes', async (t) => {
  for (const name of eventNames) {
    const { line } = sealLine(encodeEvent(examples[name]), 7, zeroHash, '01KDYABCDE9QZ4M2T700000007', '2026-01-02T03:04:05.006Z', '5f0c')
    const { record } = parseLine(line.trimEnd())
    t.strictSame(exampleOf(name), record, name)
  }
})

t.test('the fields of a record, and what the exporter makes of them, are named', async (t) => {
  const { line } = sealLine(encodeEvent(examples['sallyport.decision']), 1, zeroHash, 'u', '2026-01-02T03:04:05.006Z', 'i')
  const { record } = parseLine(line.trimEnd())
  if (record === undefined) throw new Error('no record')
  t.strictSame(namesIn('The record').toSorted(), Object.keys(record).toSorted())
  const resource = { attributes: {}, merge: () => resource, getRawAttributes: () => [] }
  const { attributes } = toLogRecord(record, resource, { name: 'sallyport' })
  const added = Object.keys(attributes).filter((name) => !Object.hasOwn(record.attributes, name))
  const encoding = createEncoding('json', { version: '1', environment: 'e' })
  const sent = new TextDecoder().decode(encoding.encode([record]))
  const resourceNames = ['service.name', 'service.version', 'service.instance.id', 'deployment.environment.name']
  for (const name of resourceNames) t.ok(sent.includes(`"${name}"`), name)
  t.strictSame(namesIn('Over OTLP').toSorted(), [...new Set([...added, ...resourceNames])].toSorted())
})

t.test('every cause of a gap is explained', async (t) => {
  const source = readFileSync(join(import.meta.dirname, '../../src/audit/service-events.ts'), 'utf8')
  const type = /export type GapCause =([\s\S]*?)\n\n/.exec(source)?.[1] ?? ''
  const causes = [...type.matchAll(/'(\w+)'/g)].map(([, cause = '']) => cause)
  t.ok(causes.length > 3)
  t.strictSame(namesIn('Causes of a gap').toSorted(), causes.toSorted())
})

t.test('an allow and a deny have the same attributes', async (t) => {
  const names = (answer: typeof allowed) => Object.keys(decisionEvent(http, answer, 'policy', redaction).attributes)
  t.strictSame(names(allowed), names(denied))
})
