// The JSON Schema of every event: types and meanings as docs/events.md has them, what is required as the builders
// leave it where nothing more is known. `test/scripts/write-event-schemas.ts` writes it to docs/schemas/events.json.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { approvalDecidedEvent, approvalExpiredEvent, approvalRequestedEvent, approvalWithdrawnEvent, grantCreatedEvent, grantExpiredEvent, grantRevokedEvent, grantUsedEvent } from '../../src/audit/approval-events.ts'
import { cacheFilledEvent, cacheHitEvent, cacheMissedEvent } from '../../src/audit/cache-events.ts'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { destinationChangedEvent } from '../../src/audit/delivery-events.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { eventNames, type AuditEvent, type EventName } from '../../src/audit/event.ts'
import { checkpointEvent, gapEvent, policyLoadedEvent, policyRejectedEvent, processStartedEvent } from '../../src/audit/service-events.ts'
import { sessionEndedEvent, sessionSharedEvent, sessionStartedEvent } from '../../src/audit/session-events.ts'
import { allowed, approval, call, decided, grant, redaction, session, subject } from '../audit/fixture.ts'
import { sealable } from '../../src/audit/personal.ts'
import { attributesOf, exampleOf, tableIn } from './events-page.ts'

type Schema = Readonly<Record<string, unknown>>

const nobody = { owner: undefined, team: undefined } as const
const bare = { ...subject, principal: { ...subject.principal, ...nobody }, method: undefined, path: undefined, query: undefined, userAgent: undefined }
const asked = { ...approval, ...nobody, method: undefined, rule: undefined }
const given = { ...grant, port: undefined, expiresMs: undefined }
const holders = ['session', 'agent', 'team'] as const
const run = { ...session, ...nobody, expiresMs: undefined }
const hostOnly = { ...redaction, url: 'host' } as const
const reader = { requestId: 'r', session: 's', agent: 'a', owner: undefined, place: { scheme: 'https', host: 'a.example', port: 443, path: '/', query: undefined } } as const

/** Events with nothing in them that may be left out; where one is not here, its example has only what it always has. */
const least: Readonly<Partial<Record<EventName, readonly AuditEvent[]>>> = {
  'sallyport.decision': [decisionEvent(bare, { ...allowed, rule: undefined }, 'policy', redaction)],
  'sallyport.exchange.ended': [endedEvent(bare, { outcome: 'completed', bytesFromClient: 0, bytesFromOrigin: 0 }, 0)],
  'sallyport.approval.requested': [approvalRequestedEvent(asked, 'r')],
  'sallyport.approval.decided': [approvalDecidedEvent(asked, { ...decided, secondBy: undefined, comment: undefined, grantId: undefined, untilMs: undefined })],
  'sallyport.approval.expired': [approvalExpiredEvent(asked, 0)],
  'sallyport.approval.withdrawn': [approvalWithdrawnEvent(asked, 'cached', 0)],
  'sallyport.grant.created': holders.map((who) => grantCreatedEvent({ ...given, who })),
  'sallyport.grant.used': holders.map((who) => grantUsedEvent({ ...given, who }, 'r', 's')),
  'sallyport.grant.revoked': holders.map((who) => grantRevokedEvent({ ...given, who }, 'b')),
  'sallyport.grant.expired': holders.map((who) => grantExpiredEvent({ ...given, who })),
  'sallyport.cache.hit': [cacheHitEvent(reader, { ageS: 0, source: 'live', status: 200, bytes: 0 }, hostOnly)],
  'sallyport.cache.missed': [cacheMissedEvent(reader, 'stale', hostOnly)],
  'sallyport.cache.filled': [cacheFilledEvent({ place: reader.place, source: 'added', by: 'b', partition: 'common', status: 200, bytes: 0, digest: undefined, requestId: undefined, approvalId: undefined }, hostOnly)],
  'sallyport.session.started': [sessionStartedEvent(run, 'b')],
  'sallyport.session.shared': [sessionSharedEvent(run, { address: 'a', uid: undefined }, { address: 'b', uid: undefined })],
  'sallyport.session.ended': [sessionEndedEvent(run, 'expired', undefined)],
  'sallyport.control.called': [controlCalledEvent({ ...call, subjectId: undefined, detail: undefined })],
  'sallyport.policy.loaded': [policyLoadedEvent({ revision: 'r', previousRevision: undefined, mode: 'enforce', ruleCount: 0, feedNames: 0, files: [], warnings: 0 })],
  'sallyport.policy.rejected': [policyRejectedEvent({ revision: undefined, problems: [] })],
  'sallyport.audit.gap': [gapEvent({ cause: 'pruned', count: 1, detail: 'd' })],
  'sallyport.audit.checkpoint': [checkpointEvent('closed', { segment: 's', lastSeq: 1, lastHash: 'h', bytes: 1 })],
  'sallyport.process.started': [processStartedEvent({ version: '1', pid: 1, listeners: [], revision: undefined, mode: 'enforce', advisory: false, exporterEndpoint: undefined, destinations: [] })],
  'sallyport.destination.changed': [destinationChangedEvent({ name: 'n', change: 'added', was: undefined, is: undefined })],
}

/** Sets that no version adds to. */
const closed: Readonly<Record<string, readonly string[]>> = {
  'network.policy.decision': ['allow', 'deny', 'ask'],
  'network.policy.scope': ['domain', 'non_domain'],
  'network.policy.source': ['baseline_policy', 'mode_guard', 'proxy_state', 'decider'],
  'network.transport.protocol': ['http', 'https_connect'],
  'sallyport.approval.verdict': ['allow', 'deny'],
  'sallyport.destination.change': ['added', 'removed', 'moved', 'filtered', 'untold'],
  'sallyport.grant.verdict': ['allow', 'deny'],
  'sallyport.grant.who': ['session', 'agent', 'team'],
  'sallyport.mode': ['enforce', 'monitor'],
  'sallyport.monitored.verdict': ['deny', 'ask'],
  'sallyport.outcome': ['completed', 'refused', 'pending', 'failed', 'expired'],
  'sallyport.stage': ['policy', 'approval', 'address', 'tls'],
  'url.scheme': ['http', 'https'],
}

/** Attributes that an event always has, in the order of the page; what is a person's is not there any more once it is erased. */
export function requiredOf(name: EventName): readonly string[] {
  const events = (least[name] ?? [exampleOf(name)]).map(({ attributes }) => JSON.parse(JSON.stringify(attributes)) as object)
  return attributesOf(name).flatMap((attribute) => (!sealable.has(attribute.name) && events.every((event) => Object.hasOwn(event, attribute.name)) ? [attribute.name] : []))
}

/** docs/schemas/events.json. `isStrict`: an attribute that the page does not name is a fault, which it is not to a consumer. */
export function eventSchemas(isStrict = false): Schema {
  const record = tableIn('The record')
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:sallyport:schema:events:1',
    title: 'A record of the journal of sallyport, version 1',
    description: 'One line of a segment, or of `sallyport audit export --format jsonl`. docs/events.md says what each event means. A consumer must ignore attributes and events that it does not know.',
    type: 'object',
    properties: Object.fromEntries(record.map(({ name, meaning }) => [name, { ...fields[name], description: plainText(meaning) }])),
    required: record.map(({ name }) => name),
    ...(isStrict ? { additionalProperties: false } : {}),
    // an event of this name has these attributes
    allOf: eventNames.map((name) => ({
      anyOf: [{ properties: { name: { not: { const: name } } } }, { properties: { attributes: { $ref: `#/$defs/${name}` } } }],
    })),
    $defs: Object.fromEntries(eventNames.map((name) => [name, attributesSchema(name, isStrict)])),
  }
}

const hashField = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const
const fields: Readonly<Record<string, Schema>> = {
  v: { const: 1 },
  seq: { type: 'integer', minimum: 1 },
  prev: hashField,
  uid: { type: 'string', pattern: '^[0-9A-HJKMNP-TV-Z]{26}$' },
  time: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' },
  instance: { type: 'string', minLength: 1 },
  name: { type: 'string', pattern: '^sallyport\\.[a-z.]+$' },
  severity: { enum: ['INFO', 'INFO2', 'WARN', 'ERROR'] },
  body: { type: 'string' },
  attributes: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean', 'array', 'null'], items: { type: 'string' } } },
  hash: hashField,
}

function attributesSchema(name: EventName, isStrict: boolean): Schema {
  return {
    title: name,
    type: 'object',
    properties: { ...Object.fromEntries(attributesOf(name).map((attribute) => [attribute.name, { ...typeOf(attribute.name, attribute.type), description: plainText(attribute.meaning) }])), ...ofPeople },
    required: requiredOf(name),
    ...(isStrict ? { additionalProperties: false } : {}),
  }
}

const ofPeople = {
  'sallyport.erased': { const: true, description: 'What belonged to a person was erased, and is absent' },
  'sallyport.unreadable': { const: true, description: 'What belongs to a person cannot be read here, and is absent' },
}

function typeOf(name: string, type: string): Schema {
  const words = closed[name]
  if (words !== undefined) return { enum: words }
  // JSON has no word for a number that is not finite, and the journal writes null
  if (type === 'number') return { type: ['number', 'null'] }
  return type === 'string[]' ? { type: 'array', items: { type: 'string' } } : { type }
}

/** Without Markdown's links. */
function plainText(meaning: string): string {
  return meaning.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
}

/** Says what is wrong with a record; empty: nothing. */
export function schemaCheck(schema: Schema): (record: unknown) => readonly string[] {
  const validate: ValidateFunction = new Ajv2020({ allErrors: true, strictTypes: false, validateFormats: false }).compile(schema)
  return (record) => (validate(record) ? [] : (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`))
}
