// The attributes of one record as a format reads them: by name and by type, each told apart from those that it
// has no place for. Pure. What a format does not ask for is in `rest`, so that nothing of a record is lost.
import { parseIp } from '../../target/address.ts'
import type { AttributeValue } from '../event.ts'
import type { JournalRecord } from '../record.ts'

export class RecordFields {
  readonly record: JournalRecord
  readonly timeMs: number
  readonly #taken = new Set<string>()

  constructor(record: JournalRecord) {
    this.record = record
    this.timeMs = Date.parse(record.time)
  }

  /** A text, and from then on it is no part of `rest`. */
  text(name: string): string | undefined {
    const value = this.#value(name)
    if (typeof value !== 'string') return undefined
    this.#taken.add(name)
    return value
  }

  /** As `text`, of a whole number that is not negative. */
  count(name: string): number | undefined {
    const value = this.#value(name)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) return undefined
    this.#taken.add(name)
    return value
  }

  /** As `text`, of a port: 0 stands for a target that could not be parsed, and is left in `rest`. */
  port(name: string): number | undefined {
    const value = this.#value(name)
    return typeof value === 'number' && value >= 1 && value <= 65_535 ? this.count(name) : undefined
  }

  /** As `text`, of an IP address. */
  ip(name: string): string | undefined {
    const value = this.#value(name)
    return typeof value === 'string' && parseIp(value) !== undefined ? this.text(name) : undefined
  }

  /** The attribute's value if it is a text; it stays where it is. */
  peek(name: string): string | undefined {
    const value = this.#value(name)
    return typeof value === 'string' ? value : undefined
  }

  /** Whether the attribute is `true`; it stays where it is. */
  is(name: string): boolean {
    return this.#value(name) === true
  }

  /** As `peek`, of a number. */
  number(name: string): number | undefined {
    const value = this.#value(name)
    return typeof value === 'number' ? value : undefined
  }

  /** What nobody asked for, in the order of the record. */
  rest(): readonly (readonly [string, AttributeValue | null])[] {
    return Object.entries(this.record.attributes).filter(([name]) => !this.#taken.has(name))
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.record.attributes, name) ? this.record.attributes[name] : undefined
  }
}
