// A record as one line of ArcSight's Common Event Format, version 0. Pure. Names of the extension dictionary where
// one fits, `sallyport...` names for the rest; no text can end a field, start another or leave visible ASCII.
import { uriHost } from '../../target/host.ts'
import type { AttributeValue, Severity } from '../event.ts'
import type { JournalRecord } from '../record.ts'
import type { FormatContext } from './formatter.ts'
import { RecordFields } from './record-fields.ts'

/** of 10 */
const severities: Readonly<Record<Severity, number>> = { INFO: 2, INFO2: 4, WARN: 6, ERROR: 8 }

/** The strings that the dictionary leaves to the device: each has a label beside it that says what it is. */
const customStrings = ['session.id', 'security_rule.name', 'sallyport.policy.revision', 'sallyport.approval.id', 'sallyport.request.id'] as const

type Value = AttributeValue | undefined
type Extension = readonly (readonly [key: string, value: Value])[]

export function cefLine(record: JournalRecord, { version, environment, hostname }: FormatContext): string {
  const fields = new RecordFields(record)
  const title = record.name.replace(/^sallyport\./, '').replaceAll('.', ' ')
  const header = ['CEF:0', 'sallyport', 'sallyport', version, record.name, title, String(severities[record.severity])].map(headerText).join('|')
  const extension: Extension = [
    ['rt', fields.timeMs],
    ['externalId', record.uid],
    ['dvchost', hostname],
    ['deviceExternalId', record.instance],
    ['msg', record.body],
    ...known(fields),
    ['cn1Label', 'sallyport.seq'],
    ['cn1', record.seq],
    ['cs6Label', 'sallyport.hash'],
    ['cs6', record.hash],
    ['sallyportPrevHash', record.prev],
    ['deploymentEnvironmentName', environment],
    ...fields.rest().map(([name, value]): Extension[number] => [extensionKey(name), value ?? undefined]),
  ]
  const pairs = extension.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${extensionText(plainText(value))}`]))
  return `${header}|${pairs.join(' ')}`
}

/** The attributes that the dictionary has a name for. */
function known(fields: RecordFields): Extension {
  const isCall = fields.record.name === 'sallyport.control.called'
  return [
    ['act', fields.text('network.policy.decision') ?? fields.text('sallyport.approval.verdict') ?? fields.text('sallyport.grant.verdict')],
    ['outcome', fields.text('sallyport.outcome')],
    ['reason', fields.text('sallyport.code')],
    ['app', fields.text('network.transport.protocol')],
    ...address(fields, 'client.address', 'src', 'c6a2', 'Source IPv6 Address'),
    ...address(fields, 'network.peer.address', 'dst', 'c6a3', 'Destination IPv6 Address'),
    ['dhost', fields.text('server.address')],
    ['dpt', fields.port('server.port')],
    ['suser', fields.text('user.name') ?? (isCall ? fields.text('sallyport.actor.name') : undefined)],
    ['sourceServiceName', fields.text('gen_ai.agent.name')],
    ['requestMethod', fields.text('http.request.method')],
    ['request', requestUrl(fields)],
    ['requestClientApplication', fields.text('user_agent.original')],
    ['in', fields.count('sallyport.bytes_from_client')],
    ['out', fields.count('sallyport.bytes_from_origin')],
    ...labelled('cn2', 'http.response.status_code', fields.count('http.response.status_code')),
    ...customStrings.flatMap((name, at) => labelled(`cs${at + 1}`, name, fields.text(name))),
  ]
}

/** The dictionary has one name for IPv4 addresses, and one of those with a label for IPv6. */
function address(fields: RecordFields, name: string, key: string, key6: string, label6: string): Extension {
  const ip = fields.ip(name)
  if (ip === undefined) return []
  return ip.includes(':') ? [[`${key6}Label`, label6], [key6, ip]] : [[key, ip]]
}

function labelled(key: string, label: string, value: Value): Extension {
  return value === undefined ? [] : [[`${key}Label`, label], [key, value]]
}

/** The URL as far as the record knows it; its parts stay where they are. */
function requestUrl(fields: RecordFields): string | undefined {
  const scheme = fields.peek('url.scheme')
  const path = fields.peek('url.path')
  const host = fields.peek('server.address')
  const port = fields.number('server.port')
  if (scheme === undefined || path === undefined || host === undefined || port === undefined) return undefined
  const query = fields.peek('url.query')
  const isDefaultPort = port === (scheme === 'https' ? 443 : 80)
  return `${scheme}://${uriHost(host)}${isDefaultPort ? '' : `:${port}`}${path}${query === undefined ? '' : `?${query}`}`
}

/** `sallyport.policy.revision` as a key: `sallyportPolicyRevision`. */
export function extensionKey(name: string): string {
  return name.replace(/[^A-Za-z0-9]+(.?)/g, (_, next: string) => next.toUpperCase())
}

function plainText(value: AttributeValue): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

// what is not visible ASCII, a backslash that would read as such an escape, and spaces that a reader would trim
const hidden = /[^\x20-\x7e]|\\(?=u[0-9a-fA-F]{4})|^ | $/g
const hiddenButLines = /[^\x20-\x7e\n\r]|\\(?=u[0-9a-fA-F]{4})|^ | $/g

/** `\` and `|` are what a header has escapes for. */
function headerText(text: string): string {
  return text.replace(hidden, codeUnit).replace(/[\\|]/g, '\\$&')
}

/** `\`, `=` and the ends of lines are what an extension has escapes for. */
function extensionText(text: string): string {
  return text.replace(hiddenButLines, codeUnit).replace(/[\\=]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
}

/** What CEF has no escape for is written as JSON would, and then escaped as any text is: `\\u202e`. */
function codeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
