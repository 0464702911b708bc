// docs/events.md as tests read it: its sections, the tables of attributes, and the example of each event.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventName } from '../../src/audit/event.ts'
import type { JournalRecord } from '../../src/audit/record.ts'

export interface DocumentedAttribute {
  readonly name: string
  /** `string`, `number`, `boolean` or `string[]` */
  readonly type: string
  readonly meaning: string
}

const page = readFileSync(join(import.meta.dirname, '../../docs/events.md'), 'utf8')

/** Sections of the page by their heading. */
export const sections: ReadonlyMap<string, string> = new Map(
  page.split(/^## /m).slice(1).map((section) => {
    const end = section.indexOf('\n')
    return [section.slice(0, end).replaceAll('`', '').trim(), section.slice(end)] as const
  }),
)

const shared = 'Who asked for what'

/** First cells of a section's table. */
export function namesIn(section: string): string[] {
  return tableIn(section).map(({ name }) => name)
}

/** Rows of a section's table of attributes. */
export function tableIn(section: string): readonly DocumentedAttribute[] {
  return [...(sections.get(section) ?? '').matchAll(/^\| `([^`]+)` \| ([^|]*) \|(.*) \|$/gm)].map(([, name = '', type = '', meaning = '']) => ({ name, type: type.trim(), meaning: meaning.trim() }))
}

/** Every attribute that an event may have. */
export function attributesOf(name: EventName): readonly DocumentedAttribute[] {
  const isExchange = name === 'sallyport.decision' || name === 'sallyport.exchange.ended'
  return [...(isExchange ? tableIn(shared) : []), ...tableIn(name)]
}

/** The example that the page has of an event; a test holds it to the builder. */
export function exampleOf(name: EventName): JournalRecord {
  const json = /```json\n([\s\S]*?)```/.exec(sections.get(name) ?? '')?.[1]
  if (json === undefined) throw new Error(`docs/events.md has no example of ${name}`)
  return JSON.parse(json) as JournalRecord
}

/** The example with every attribute in it that the event may have; the added ones hold what `fill` makes of their type. */
export function fullestOf(name: EventName, fill: (attribute: DocumentedAttribute) => string | number | boolean | string[]): JournalRecord {
  const example = exampleOf(name)
  const added = attributesOf(name).filter((attribute) => !Object.hasOwn(example.attributes, attribute.name))
  return { ...example, attributes: { ...example.attributes, ...Object.fromEntries(added.map((attribute) => [attribute.name, fill(attribute)])) } }
}

/** A value of an attribute's type that stands nowhere else. */
export function someValue({ name, type }: DocumentedAttribute): string | number | boolean | string[] {
  if (type === 'number') return 3
  if (type === 'boolean') return true
  return type === 'string[]' ? [`one ${name}`, `two ${name}`] : `some ${name}`
}

