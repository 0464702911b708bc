// One record on one terminal line. Everything foreign is escaped here: no record can move the cursor,
// hide text or colour it.
import { styleText } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import type { JournalRecord } from '../audit/record.ts'

const colours = { allow: 'green', deny: 'red', ask: 'yellow' } as const
type Label = keyof typeof colours

/** `time  verdict  session  GET /page  what happened  [request id]`, ending in a newline. */
export function recordLine(record: JournalRecord, isTty: boolean): string {
  const { attributes } = record
  const verdict = attributes['network.policy.decision']
  const word = isLabel(verdict) ? verdict : shortName(record.name)
  const label = escapeText(word, 24).padEnd(7)
  const coloured = isTty && isLabel(verdict) ? styleText(colours[verdict], label, { validateStream: false }) : label
  const session = attributeText(record, 'session.id') ?? '-'
  const requestId = attributeText(record, 'sallyport.request.id')
  const page = pageText(record)
  return `${escapeText(record.time, 32)}  ${coloured}  ${session}  ${page === undefined ? '' : `${page}  `}${escapeText(record.body)}${requestId === undefined ? '' : `  [${requestId}]`}\n`
}

/** Method and path where the record says which page it is about; undefined in a tunnel, which hides it. */
export function pageText(record: JournalRecord): string | undefined {
  const path = attributeText(record, 'url.path')
  const query = attributeText(record, 'url.query')
  const method = attributeText(record, 'http.request.method')
  const isOfClient = record.name !== 'sallyport.control.called' && method !== undefined && method !== 'none' && method !== 'CONNECT'
  const parts = [isOfClient ? method : undefined, path === undefined ? undefined : `${path}${query === undefined ? '' : `?${query}`}`].filter((part) => part !== undefined && part !== '')
  return parts.length === 0 ? undefined : parts.join(' ')
}

/** An attribute as text that is safe to print; undefined when the record has none of that name. */
export function attributeText(record: JournalRecord, name: string): string | undefined {
  const value = record.attributes[name]
  return value === undefined ? undefined : escapeText(String(value))
}

function isLabel(value: unknown): value is Label {
  return typeof value === 'string' && Object.hasOwn(colours, value)
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
