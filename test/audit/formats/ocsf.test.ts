// Every event as OCSF, held against the published schema's facts: classes, attributes, types, enumerations.
import t from 'tap'
import { decisionEvent, type Answer } from '../../../src/audit/decision-event.ts'
import { endedEvent, type Ending } from '../../../src/audit/ended-event.ts'
import { eventNames, type AuditEvent, type EventName } from '../../../src/audit/event.ts'
import { formatter } from '../../../src/audit/formats/formatter.ts'
import { encodeEvent, parseLine, sealLine, zeroHash, type JournalRecord } from '../../../src/audit/record.ts'
import { errorTable, type ErrorCode } from '../../../src/errors.ts'
import { exampleOf, fullestOf, someValue } from '../../support/events-page.ts'
import { ocsfFaults, ocsfSchema } from '../../support/ocsf-schema.ts'
import * as fc from '../../support/property.ts'
import { allowed, anyText, redaction, subject } from '../fixture.ts'

type Value = Record<string, unknown>
const format = formatter('ocsf', { version: '0.1.0', environment: 'test', hostname: 'egress-1' })
const ocsf = (record: JournalRecord): Value => JSON.parse(format(record)) as Value

function recordOf(event: AuditEvent): JournalRecord {
  const { record } = parseLine(sealLine(encodeEvent(event), 7, zeroHash, '01KDYABCDE9QZ4M2T700000007', '2026-01-02T03:04:05.006Z', '5f0c').line.trimEnd())
  if (record === undefined) throw new Error('no record')
  return record
}

const plain = { ...subject, host: 'docs.example.com', port: 80, protocol: 'http', scheme: 'http', method: 'GET', path: '/a', query: 'q=1' } as const
const decision = (answer: Partial<Answer>, about: typeof subject = subject): Value => ocsf(recordOf(decisionEvent(about, { ...allowed, ...answer }, 'policy', redaction)))
const ending = (how: Partial<Ending>, about: typeof subject = subject): Value =>
  ocsf(recordOf(endedEvent(about, { outcome: 'completed', status: 200, bytesFromClient: 10, bytesFromOrigin: 20, peerAddress: '192.0.2.7', ...how }, 12.5)))
const refusal = (code: ErrorCode): Value => decision({ verdict: 'deny', code, reason: 'no' })

t.test('the example of every event is an event of the schema, with everything in it too that it may have', async (t) => {
  for (const name of eventNames) {
    t.strictSame(ocsfFaults(ocsf(exampleOf(name))), [], name)
    t.strictSame(ocsfFaults(ocsf(fullestOf(name, someValue))), [], `${name}, with all of its attributes`)
    const bare = { ...exampleOf(name), attributes: {} }
    t.strictSame(ocsfFaults(ocsf(bare)).filter((fault) => !fault.includes('is required')), [], `${name}, with none`)
  }
  t.strictSame(ocsfFaults(ocsf({ ...exampleOf('sallyport.decision'), name: 'sallyport.of.tomorrow' })), [], 'an event that this version does not know')
})

t.test('each class is the one that the page says', async (t) => {
  const classes = Object.fromEntries(eventNames.map((name) => [name, ocsf(exampleOf(name)).class_uid]))
  const uids = (part: string): unknown[] => [...new Set(eventNames.filter((name) => name.startsWith(`sallyport.${part}`)).map((name) => classes[name]))]
  t.equal(decision({}).class_uid, 4001)
  t.equal(decision({}, plain).class_uid, 4002)
  t.equal(ending({}).class_uid, 4001)
  t.equal(ending({}, plain).class_uid, 4002)
  for (const part of ['approval', 'grant', 'session', 'policy']) t.strictSame(uids(part), [3004], part)
  t.strictSame(uids('cache'), [4002])
  t.strictSame(uids('control'), [6003])
  t.strictSame(uids('process'), [6002])
  t.strictSame(uids('audit'), [0])
})

t.test('a verdict is an activity, an action and a disposition', async (t) => {
  t.match(decision({}), { activity_name: 'Open', action: 'Allowed', disposition: 'Allowed', status: 'Success', status_code: 'allowed' })
  t.match(decision({ grant: { id: 'g', approvalId: 'a' } }), { activity_name: 'Open', disposition: 'Approved' })
  t.match(decision({ monitored: { verdict: 'deny', code: 'not_allowed', reason: 'no', rule: undefined } }), { action: 'Allowed', disposition: 'Logged' })
  t.match(decision({ verdict: 'ask', code: 'approval_required' }), { activity_id: 99, activity_name: 'Delay', action_id: 99, disposition_id: 14 })
  t.match(refusal('denied_by_rule'), { activity_name: 'Refuse', action_id: 2, disposition_id: 2, status: 'Failure', status_code: 'denied_by_rule' })
  t.match(refusal('credentials_required'), { disposition_id: 23 })
  t.match(refusal('host_mismatch'), { disposition_id: 25 })
  t.match(refusal('approval_limit'), { disposition_id: 2 })
  t.match(refusal('internal_error'), { disposition_id: 27 })
  t.match(decision({ verdict: 'deny', code: 'not_allowed' }, plain), { activity_name: 'Get', type_uid: 400_203, action_id: 2 })
  for (const code of Object.keys(errorTable) as ErrorCode[]) t.strictSame(ocsfFaults(refusal(code)), [], code)
})

t.test('an ending is an activity with its figures', async (t) => {
  t.match(ending({}), { activity_name: 'Close', status: 'Success', duration: 13, traffic: { bytes: 30, bytes_in: 20, bytes_out: 10 }, dst_endpoint: { hostname: 'api.example.com', ip: '192.0.2.7', port: 443 } })
  t.match(ending({ outcome: 'failed', code: 'connection_refused' }), { activity_name: 'Fail', status: 'Failure', status_code: 'connection_refused' })
  t.match(ending({ outcome: 'refused', code: 'not_allowed' }), { activity_name: 'Refuse', action_id: 2 })
  t.match(ending({ outcome: 'expired', code: 'grant_ended' }), { activity_name: 'Close', status_id: 99, status: 'expired' })
  t.match(ending({ outcome: 'pending', code: 'approval_pending' }), { activity_name: 'Delay', disposition_id: 14 })
  t.match(ending({}, plain), { activity_name: 'Get', http_request: { http_method: 'GET' }, http_response: { code: 200 } })
  for (const outcome of ['completed', 'refused', 'pending', 'failed', 'expired'] as const) {
    for (const about of [subject, plain]) t.strictSame(ocsfFaults(ending({ outcome }, about)), [], outcome)
  }
})

t.test('who asked, the agent that acts and the rule have their own objects', async (t) => {
  t.match(decision({}, plain), {
    actor: { user: { name: 'alice' }, session: { uid: 's-1' } },
    ai_agent: { name: 'codex', instance_uid: 's-1' },
    src_endpoint: { ip: '127.0.0.1' },
    proxy_endpoint: { hostname: 'egress-1' },
    firewall_rule: { name: 'allowed_domains', condition: '*.example.com' },
    policy: { uid: '0123456789ab', name: 'policies/10-base.toml' },
    http_request: { http_method: 'GET', url: { scheme: 'http', hostname: 'docs.example.com', path: '/a', query_string: 'q' } },
    metadata: { uid: '01KDYABCDE9QZ4M2T700000007', sequence: 7, event_code: 'sallyport.decision' },
    unmapped: { 'sallyport.prev_hash': zeroHash },
  })
})

t.test('no value of a record is lost, and none of a text breaks the schema', async (t) => {
  // times and figures that the schema wants in another unit stay in unmapped beside it
  fc.assert(fc.property(fc.constantFrom(...eventNames), anyText, anyText, (name: EventName, first, second) => {
    let at = 0
    const record = exampleOf(name)
    const attributes = Object.fromEntries(Object.entries(fullestOf(name, someValue).attributes).map(([attribute, value]) => [attribute, typeof value === 'string' ? `${first}${at++}${second}` : value]))
    const event = ocsf({ ...record, body: first, attributes })
    const values = new Set(leaves(event).map((value) => JSON.stringify(value)))
    const lost = Object.entries(attributes).filter(([, value]) => !leavesOf(value).every((leaf) => values.has(JSON.stringify(leaf))))
    t.strictSame(lost, [], name)
    t.strictSame(ocsfFaults(event), [], name)
  }), { numRuns: 60 })
})

t.test('the table is held too: what is wrong is found', async (t) => {
  const good = decision({}, plain)
  const wrong: readonly (readonly [Value, RegExp])[] = [
    [{ ...good, colour: 'red' }, /^colour: is no attribute/],
    [{ ...good, time: '2026' }, /^time: "2026" is no timestamp_t/],
    [{ ...good, severity_id: 7 }, /^severity_id: 7 is no value/],
    [{ ...good, severity: 'High' }, /^severity_id: 1 is Informational/],
    [{ ...good, class_uid: 1 }, /^class_uid: 1 is no class/],
    [{ ...good, activity_id: 41 }, /^activity_id: 41 is no activity/],
    [{ ...good, type_uid: 400_201 }, /^type_uid: 400201 is not/],
    [{ ...good, metadata: undefined }, /^metadata/],
    [{ ...good, metadata: { version: '1.9.0', product: { name: 'x' }, profiles: [] } }, /is of the profile security_control/],
    [{ ...good, http_status: 200 }, /^http_status: is deprecated/],
    [{ ...good, dst_endpoint: { port: 80 } }, /^dst_endpoint\.: one of .* is required/],
    [{ ...good, dst_endpoint: { hostname: 'x', port: 65_536 } }, /port: 65536 is no port_t/],
    [{ ...good, src_endpoint: { ip: 'unix' } }, /src_endpoint\.ip: "unix" is no ip_t/],
    [{ ...good, http_request: undefined, http_response: undefined }, /one of http_request, http_response/],
  ]
  t.strictSame(ocsfFaults(good), [])
  for (const [event, fault] of wrong) t.match(ocsfFaults(JSON.parse(JSON.stringify(event)) as Value).join('\n'), new RegExp(fault.source, 'm'))
  t.equal(ocsfSchema.version, '1.9.0')
})

function leaves(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap((member) => leaves(member)) : [value]
}

function leavesOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value]
}
