// Every format makes one line of visible ASCII of any record, and every value can be read back from it.
import { hostname } from 'node:os'
import t from 'tap'
import { decisionEvent } from '../../../src/audit/decision-event.ts'
import { eventNames, type EventName } from '../../../src/audit/event.ts'
import { extensionKey } from '../../../src/audit/formats/cef.ts'
import { formatNames, formatter, type FormatContext } from '../../../src/audit/formats/formatter.ts'
import { encodeEvent, parseLine, sealLine, zeroHash, type JournalRecord } from '../../../src/audit/record.ts'
import { attributesOf, exampleOf, fullestOf, someValue } from '../../support/events-page.ts'
import * as fc from '../../support/property.ts'
import { anyText, denied, redaction, subject } from '../fixture.ts'

const context: FormatContext = { version: '0.1.0', environment: 'test', hostname: 'egress-1' }
type Value = Record<string, unknown>

/** Text that breaks formats rather than any text: what separates, quotes, escapes, hides or reverses. */
const hostileText = fc.oneof(
  anyText,
  fc.array(fc.constantFrom('|', '=', '\\', '\n', '\r', '\t', ' ', '"', "'", 'a', ' act=', ' dst=1 ', '\\n', '\\=', '\\u202e', '\u202e', '\u2066', '\ud800', '\udc00', '\u0000', '\u007f', '\u2028', '{', '}', '<14>1 ', 'CEF:0|'), { maxLength: 12 }).map((parts) => parts.join('')),
)

/** A record of each event with every attribute that it may have, and text of anybody's in each. */
const anyRecord = fc.tuple(fc.constantFrom(...eventNames), fc.array(hostileText, { minLength: 3, maxLength: 3 })).map(([name, texts]): JournalRecord => {
  let at = 0
  const next = (): string => texts[at++ % texts.length] ?? ''
  const attributes = Object.entries(fullestOf(name, someValue).attributes).map(([attribute, value]): [string, unknown] => [attribute, typeof value === 'string' ? next() : Array.isArray(value) ? value.map(next) : value])
  return { ...exampleOf(name), body: next(), attributes: Object.fromEntries(attributes) as JournalRecord['attributes'] }
})

/** The header's seven fields and the extension of a CEF line, with every escape undone. */
function parseCef(line: string): { header: string[]; extension: Map<string, string> } {
  const parts = line.split(/(?<!(?:^|[^\\])(?:\\\\)*\\)\|/)
  const header = parts.slice(0, 7).map((part) => decode(part.replace(/\\([\\|])/g, '$1')))
  const text = parts.slice(7).join('|')
  // a key starts the extension or follows a space, and its `=` is not escaped; values hold no `=` that is not
  const starts = [...text.matchAll(/(?:^| )([A-Za-z0-9]+)=/g)].filter(({ index, 0: match }) => !isEscaped(text, index + match.length - 1))
  const extension = new Map(starts.map(({ 1: key = '', 0: match, index }, at) => {
    const value = text.slice(index + match.length, starts[at + 1]?.index)
    return [key, decode(value.replace(/\\([\\=nr])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped === 'r' ? '\r' : escaped)))] as const
  }))
  return { header, extension }
}

function isEscaped(text: string, at: number): boolean {
  return (/\\*$/.exec(text.slice(0, at))?.[0].length ?? 0) % 2 === 1
}

function decode(text: string): string {
  return text.replace(/\\u([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

t.test('every format makes one line of visible ASCII of any record', async (t) => {
  for (const name of formatNames) {
    const format = formatter(name, context)
    fc.assert(fc.property(anyRecord, (record) => t.match(format(record), /^[\x20-\x7e]+$/)), { numRuns: 40 })
  }
})

t.test('jsonl is the line of the journal, byte for byte', async (t) => {
  const format = formatter('jsonl', context)
  fc.assert(fc.property(hostileText, hostileText, (host, userAgent) => {
    const event = decisionEvent({ ...subject, host, userAgent, path: '/x', method: 'GET' }, denied, 'policy', redaction)
    const line = sealLine(encodeEvent(event), 7, zeroHash, 'u', '2026-01-02T03:04:05.006Z', 'i').line.trimEnd()
    const { record } = parseLine(line)
    t.equal(record === undefined ? undefined : format(record), line)
  }), { numRuns: 100 })
  const record = exampleOf('sallyport.policy.loaded')
  t.strictSame(parseLine(format(record)).record, record)
})

t.test('what CEF says reads back to the values of the record, whatever stands in them', async (t) => {
  const format = formatter('cef', context)
  fc.assert(fc.property(anyRecord, (record) => {
    const { header, extension } = parseCef(format(record))
    t.strictSame([header[0], header[3], header[4]], ['CEF:0', context.version, record.name])
    t.equal(extension.get('msg'), record.body)
    const texts = new Set(extension.values())
    const lost = Object.entries(record.attributes).filter(([, value]) => !texts.has(Array.isArray(value) ? JSON.stringify(value) : String(value)))
    t.strictSame(lost, [], record.name)
  }), { numRuns: 200 })
})

t.test('CEF has the names of its dictionary, and one key for each attribute', async (t) => {
  const { header, extension } = parseCef(formatter('cef', context)(exampleOf('sallyport.decision')))
  t.strictSame(header, ['CEF:0', 'sallyport', 'sallyport', '0.1.0', 'sallyport.decision', 'decision', '6'])
  t.match(Object.fromEntries(extension), {
    rt: String(Date.UTC(2026, 0, 2, 3, 4, 5, 6)), externalId: '01KDYABCDE9QZ4M2T700000007', act: 'deny', reason: 'denied_by_rule', src: '127.0.0.1', dhost: 'pastebin.com', dpt: '80',
    suser: 'alice', sourceServiceName: 'codex', requestMethod: 'POST', request: 'http://pastebin.com/api/create?lang', requestClientApplication: 'curl/8.5.0',
    cs1Label: 'session.id', cs1: 's-1', cs2Label: 'security_rule.name', cs2: 'denied_domains', cn1Label: 'sallyport.seq', cn1: '7', dvchost: 'egress-1',
  })
  const ended = parseCef(formatter('cef', context)(exampleOf('sallyport.exchange.ended'))).extension
  t.match(Object.fromEntries(ended), { outcome: 'completed', dst: '192.0.2.7', in: '1482', out: '90210', cn2: '200' })
  const six = { ...exampleOf('sallyport.exchange.ended'), attributes: { 'client.address': '2001:db8::1', 'network.peer.address': '2001:db8::2' } }
  t.match(Object.fromEntries(parseCef(formatter('cef', context)(six)).extension), { c6a2: '2001:db8::1', c6a2Label: 'Source IPv6 Address', c6a3: '2001:db8::2' })
  const names = new Set(eventNames.flatMap((name) => attributesOf(name).map((attribute) => attribute.name)))
  t.equal(new Set([...names].map(extensionKey)).size, names.size)
  for (const name of names) t.match(extensionKey(name), /^[A-Za-z][A-Za-z0-9]*$/)
})

t.test('ECS loses no value, and says who, where and what in the fields of the schema', async (t) => {
  const format = formatter('ecs', context)
  const leaves = (value: unknown): unknown[] => (typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value])
  fc.assert(fc.property(anyRecord, (record) => {
    const document = JSON.parse(format(record)) as Value
    const values = new Set(leaves(document).map((value) => JSON.stringify(value)))
    const lost = Object.entries(record.attributes).filter(([, value]) => ![value].flat().every((leaf) => values.has(JSON.stringify(leaf))))
    t.strictSame(lost, [], record.name)
    t.equal(document.message, record.body)
  }), { numRuns: 60 })
  t.match(JSON.parse(format(exampleOf('sallyport.decision'))), {
    '@timestamp': '2026-01-02T03:04:05.006Z',
    event: { kind: 'event', category: ['network', 'web'], type: ['connection', 'denied'], action: 'sallyport.decision', outcome: 'failure', id: '01KDYABCDE9QZ4M2T700000007', sequence: 7, code: 'denied_by_rule', severity: 13 },
    source: { ip: '127.0.0.1' }, destination: { domain: 'pastebin.com', port: 80 }, url: { scheme: 'http', path: '/api/create', query: 'lang' },
    user: { name: 'alice' }, rule: { name: 'denied_domains', ruleset: 'policies/10-base.toml' }, host: { hostname: 'egress-1' },
    sallyport: { stage: 'policy', session: { id: 's-1' }, network: { policy: { decision: 'deny' } }, gen_ai: { agent: { name: 'codex' } } },
  })
  const ended = JSON.parse(format(exampleOf('sallyport.exchange.ended'))) as Value
  t.match(ended, { event: { type: ['connection', 'end'], outcome: 'success', duration: 812_400_000 }, destination: { ip: '192.0.2.7', bytes: 90_210 }, source: { bytes: 1482 } })
  t.match(JSON.parse(format(exampleOf('sallyport.audit.gap'))), { event: { kind: 'alert' } })
})

t.test('every event has a kind and types that ECS allows', async (t) => {
  const categories = ['network', 'web', 'iam', 'session', 'api', 'configuration', 'process']
  const types = ['access', 'allowed', 'change', 'connection', 'creation', 'deletion', 'denied', 'end', 'error', 'info', 'start']
  for (const name of eventNames) {
    const { event } = JSON.parse(formatter('ecs', context)(exampleOf(name))) as { event: { category: string[]; type: string[]; outcome: string } }
    for (const category of event.category) t.ok(categories.includes(category), `${name}: ${category}`)
    for (const type of event.type) t.ok(types.includes(type), `${name}: ${type}`)
    t.match(event.outcome, /^(?:success|failure|unknown)$/, name)
  }
})

t.test('a value that is not finite is null, and an unknown event has every format too', async (t) => {
  const record: JournalRecord = { ...exampleOf('sallyport.decision'), name: 'sallyport.of.tomorrow' as EventName, attributes: { 'sallyport.figure': null, 'sallyport.policy': 'x', 'sallyport.policy.revision': 'y' } }
  for (const name of formatNames) t.match(formatter(name, { ...context, hostname: hostname() })(record), /sallyport\.of\.tomorrow/, name)
  const ecs = JSON.parse(formatter('ecs', context)(record)) as Value
  t.match(ecs, { sallyport: { figure: null, policy: 'x' }, 'sallyport.policy.revision': 'y' })
  t.notOk(formatter('cef', context)(record).includes('sallyportFigure'))
  t.match(JSON.parse(formatter('ocsf', context)(record)), { class_uid: 0, unmapped: { 'sallyport.figure': null } })
})
