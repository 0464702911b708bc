// A record as one JSON document of the Elastic Common Schema. Pure. What the schema has a field for stands there;
// every other attribute stands under `sallyport` with the name that docs/events.md gives it.
import type { AttributeValue, Severity } from '../event.ts'
import { escapeNonAscii } from '../json-text.ts'
import type { JournalRecord } from '../record.ts'
import type { FormatContext } from './formatter.ts'
import { RecordFields } from './record-fields.ts'

/** The fields used here are the same in all of 8.x and 9.x. */
const ecsVersion = '8.17.0'

/** As in OpenTelemetry's SeverityNumber, which the OTLP exporter sends. */
const severities: Readonly<Record<Severity, number>> = { INFO: 9, INFO2: 10, WARN: 13, ERROR: 17 }
const levels: Readonly<Record<Severity, string>> = { INFO: 'info', INFO2: 'info', WARN: 'warn', ERROR: 'error' }

type Kind = readonly [category: readonly string[], type: readonly string[]]

const kinds: Readonly<Record<string, Kind>> = {
  'sallyport.approval.requested': [['iam'], ['creation']],
  'sallyport.approval.decided': [['iam'], ['change']],
  'sallyport.approval.expired': [['iam'], ['deletion']],
  'sallyport.approval.withdrawn': [['iam'], ['deletion']],
  'sallyport.grant.created': [['iam'], ['creation']],
  'sallyport.grant.used': [['iam'], ['info']],
  'sallyport.grant.revoked': [['iam'], ['deletion']],
  'sallyport.grant.expired': [['iam'], ['deletion']],
  'sallyport.cache.hit': [['web'], ['access']],
  'sallyport.cache.missed': [['web'], ['access', 'denied']],
  'sallyport.cache.filled': [['web'], ['change']],
  'sallyport.session.started': [['session'], ['start']],
  'sallyport.session.shared': [['session'], ['info']],
  'sallyport.session.ended': [['session'], ['end']],
  'sallyport.control.called': [['api'], ['access']],
  'sallyport.policy.loaded': [['configuration'], ['change']],
  'sallyport.policy.rejected': [['configuration'], ['change', 'error']],
  'sallyport.process.started': [['process'], ['start']],
  'sallyport.process.stopped': [['process'], ['end']],
}
/** What somebody has to look at. */
const alerts: ReadonlySet<string> = new Set(['sallyport.audit.gap', 'sallyport.session.shared'])

type Json = AttributeValue | null
interface Document {
  [name: string]: Json | Document
}

export function ecsLine(record: JournalRecord, { version, environment, hostname }: FormatContext): string {
  const fields = new RecordFields(record)
  const document: Document = { '@timestamp': record.time, message: record.body }
  const put = (path: string, value: Json | undefined): void => {
    if (value !== undefined) putAt(document, path, value)
  }
  put('ecs.version', ecsVersion)
  put('log.level', levels[record.severity])
  putEvent(fields, put)
  put('service.name', 'sallyport')
  put('service.type', 'sallyport')
  put('service.version', fields.text('service.version') ?? version)
  put('service.environment', environment)
  put('service.ephemeral_id', record.instance)
  put('observer.vendor', 'sallyport')
  put('observer.product', 'sallyport')
  put('observer.type', 'proxy')
  put('observer.version', version)
  put('observer.hostname', hostname)
  put('host.hostname', hostname)
  putExchange(fields, put)
  put('user.name', fields.text('user.name'))
  put('rule.name', fields.text('security_rule.name'))
  put('rule.ruleset', fields.text('security_rule.ruleset.name'))
  put('rule.version', fields.peek('sallyport.policy.revision'))
  put('process.pid', fields.count('process.pid'))
  put('sallyport.prev_hash', record.prev)
  for (const [name, value] of fields.rest()) put(name.startsWith('sallyport.') ? name : `sallyport.${name}`, value)
  return escapeNonAscii(JSON.stringify(document))
}

type Put = (path: string, value: Json | undefined) => void

function putEvent(fields: RecordFields, put: Put): void {
  const { record } = fields
  const [category, type] = kindOf(fields)
  put('event.kind', alerts.has(record.name) ? 'alert' : 'event')
  put('event.category', category)
  put('event.type', type)
  put('event.action', record.name)
  put('event.outcome', outcomeOf(fields))
  put('event.module', 'sallyport')
  put('event.dataset', 'sallyport.audit')
  put('event.provider', 'sallyport')
  put('event.id', record.uid)
  put('event.sequence', record.seq)
  put('event.hash', record.hash)
  put('event.severity', severities[record.severity])
  put('event.code', fields.text('sallyport.code'))
  put('event.reason', fields.text('sallyport.reason'))
  const durationMs = fields.number('sallyport.duration_ms')
  // nanoseconds; the exact figure stays under its own name
  put('event.duration', durationMs === undefined ? undefined : Math.round(durationMs * 1_000_000))
}

function kindOf(fields: RecordFields): Kind {
  const { name } = fields.record
  const isSeen = (fields.peek('http.request.method') ?? 'none') !== 'none'
  const category = isSeen ? ['network', 'web'] : ['network']
  if (name === 'sallyport.exchange.ended') {
    const isRefused = fields.peek('sallyport.outcome') === 'refused'
    return [category, isRefused ? ['connection', 'end', 'denied'] : ['connection', 'end']]
  }
  if (name !== 'sallyport.decision') return kinds[name] ?? [['process'], ['info']]
  const decision = fields.peek('network.policy.decision')
  return [category, ['connection', decision === 'allow' ? 'allowed' : decision === 'deny' ? 'denied' : 'info']]
}

/** Of the thing that the event is about: a deny is a failure of who asked, not of the proxy. */
function outcomeOf(fields: RecordFields): 'success' | 'failure' | 'unknown' {
  const said = fields.peek('network.policy.decision') ?? fields.peek('sallyport.outcome') ?? fields.peek('sallyport.approval.verdict')
  if (said === 'allow' || said === 'completed') return 'success'
  if (said === 'deny' || said === 'refused' || said === 'failed') return 'failure'
  if (said !== undefined) return 'unknown'
  const status = fields.record.name === 'sallyport.control.called' ? fields.number('http.response.status_code') : undefined
  if (status !== undefined) return status < 400 ? 'success' : 'failure'
  return fields.record.severity === 'ERROR' || fields.record.name === 'sallyport.approval.expired' ? 'failure' : 'success'
}

/** Who asked for what, and how much went each way. */
function putExchange(fields: RecordFields, put: Put): void {
  const client = fields.text('client.address')
  put('source.address', client)
  put('source.ip', fields.ip('client.address'))
  const fromClient = fields.count('sallyport.bytes_from_client')
  const fromOrigin = fields.count('sallyport.bytes_from_origin')
  put('source.bytes', fromClient)
  put('destination.bytes', fromOrigin)
  put('network.bytes', fromClient === undefined || fromOrigin === undefined ? undefined : fromClient + fromOrigin)
  const server = fields.text('server.address')
  const port = fields.port('server.port')
  const serverIp = fields.ip('server.address')
  put('destination.address', server)
  // of a target that could not be parsed the address is all that is known
  if (port !== undefined && serverIp === undefined) put('destination.domain', server)
  put('destination.port', port)
  put('destination.ip', fields.ip('network.peer.address') ?? serverIp)
  const scheme = fields.text('url.scheme')
  put('url.scheme', scheme)
  put('url.domain', scheme === undefined || port === undefined ? undefined : server)
  put('url.port', scheme === undefined ? undefined : port)
  put('url.path', fields.text('url.path'))
  put('url.query', fields.text('url.query'))
  const protocol = fields.text('network.transport.protocol')
  put('network.application', protocol)
  put('network.transport', protocol === undefined ? undefined : 'tcp')
  put('network.direction', protocol === undefined ? undefined : 'outbound')
  put('http.request.method', fields.text('http.request.method'))
  put('http.request.id', fields.peek('sallyport.request.id'))
  put('http.response.status_code', fields.count('http.response.status_code'))
  put('http.response.body.bytes', fields.count('http.response.body.size'))
  put('user_agent.original', fields.text('user_agent.original'))
}

/** At a path of names with dots between; where a part of it is taken by a value, under the whole name. */
function putAt(document: Document, path: string, value: Json): void {
  const names = path.split('.')
  const last = names.pop() ?? path
  let at = document
  for (const name of names) {
    const next = Object.hasOwn(at, name) ? at[name] : (at[name] = {})
    if (!isDocument(next)) {
      document[path] = value
      return
    }
    at = next
  }
  if (Object.hasOwn(at, last)) document[path] = value
  else at[last] = value
}

function isDocument(value: Json | Document | undefined): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
