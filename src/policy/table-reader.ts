// Typed access to one TOML table: each value is what it has to be, or a problem with its place. Keys that
// nobody asked for are unknown keys, and those are errors.
import type { LongList } from './long-lists.ts'
import type { Path } from './positions.ts'
import type { SourceReader } from './problem.ts'
import { suggestion } from './suggestion.ts'
import { isTable, typeName } from './toml.ts'
import type { TomlTable, TomlValue } from './toml.ts'

export class TableReader {
  readonly file: SourceReader
  readonly path: Path
  readonly #table: TomlTable

  constructor(file: SourceReader, path: Path, table: TomlTable) {
    this.file = file
    this.path = path
    this.#table = table
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#table, key)
  }

  at(...rest: Path): Path {
    return [...this.path, ...rest]
  }

  /** Every key that is not in `known` is an error with a suggestion. */
  rejectUnknown(known: readonly string[], what: string): void {
    for (const key of Object.keys(this.#table)) {
      if (!known.includes(key)) {
        this.file.error(this.at(key), `unknown key \`${key}\` in ${what}${suggestion(key, known)}`, 'key')
      }
    }
  }

  /** An array without elements, whatever they should have been. */
  isEmptyArray(key: string): boolean {
    const value = this.value(key)
    return Array.isArray(value) && value.length === 0
  }

  value(key: string): TomlValue | undefined {
    return this.has(key) ? this.#table[key] : undefined
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key)
    if (value === undefined || typeof value === 'boolean') return value
    return this.#wrong(key, 'true or false', value)
  }

  string(key: string): string | undefined {
    const value = this.value(key)
    if (value === undefined || typeof value === 'string') return value
    return this.#wrong(key, 'a string', value)
  }

  /** One of `words`. */
  word<W extends string>(key: string, words: readonly W[]): W | undefined {
    const value = this.string(key)
    if (value === undefined) return undefined
    const found = words.find((word) => word === value)
    if (found === undefined) this.file.error(this.at(key), notAWord(key, value, words))
    return found
  }

  port(key: string): number | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65535) return value
    return this.#wrong(key, 'a port (0-65535)', value)
  }

  /** A whole number from 0. */
  count(key: string): number | undefined {
    const value = this.value(key)
    if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) return value
    const wanted = 'a whole number from 0'
    if (typeof value !== 'number') return this.#wrong(key, wanted, value)
    this.file.error(this.at(key), `\`${key}\` has to be ${wanted}, and this is ${value}`)
    return undefined
  }

  /** An array of strings; with others among them it is empty, and each of those an error. */
  strings(key: string): readonly string[] | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (!Array.isArray(value)) return this.#wrong(key, 'an array of strings', value)
    return this.#stringsOf(value, key)
  }

  /** As `strings`, where the array may be a long one. */
  longStrings(key: string): readonly string[] | LongList | undefined {
    const value = this.value(key)
    return (value === undefined ? undefined : this.file.longLists.get(value)) ?? this.strings(key)
  }

  /** As `strings`, each one of `words`. */
  words<W extends string>(key: string, words: readonly W[]): readonly W[] | undefined {
    return this.strings(key)?.flatMap((value, i) => {
      const found = words.find((word) => word === value)
      if (found === undefined) this.file.error(this.at(key, i), notAWord(key, value, words))
      return found === undefined ? [] : [found]
    })
  }

  table(key: string): TableReader | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    return isTable(value) ? new TableReader(this.file, this.at(key), value) : this.#wrong(key, 'a table', value)
  }

  /** An array of tables, inline or `[[...]]`. */
  tables(key: string): readonly TableReader[] | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (!isArray(value)) return this.#wrong(key, 'an array of tables', value)
    return value.flatMap((element, i) => {
      if (isTable(element)) return [new TableReader(this.file, this.at(key, i), element)]
      this.file.error(this.at(key, i), `\`${key}\` has to hold tables, and this is ${typeName(element)}`)
      return []
    })
  }

  keys(): readonly string[] {
    return Object.keys(this.#table)
  }

  #stringsOf(values: readonly TomlValue[], key: string): readonly string[] {
    if (isStrings(values)) return values
    for (const [i, value] of values.entries()) {
      if (typeof value === 'string') continue
      this.file.error(this.at(key, i), `\`${key}\` has to hold strings, and this is ${typeName(value)}`)
    }
    return []
  }

  #wrong(key: string, wanted: string, value: TomlValue): undefined {
    this.file.error(this.at(key), `\`${key}\` has to be ${wanted}, and this is ${typeName(value)}`)
    return undefined
  }
}

function isArray(value: TomlValue): value is TomlValue[] {
  return Array.isArray(value)
}

function isStrings(values: readonly TomlValue[]): values is readonly string[] {
  return values.every((value) => typeof value === 'string')
}

function notAWord(key: string, value: string, words: readonly string[]): string {
  return `\`${key}\` is one of ${words.map((word) => `\`${word}\``).join(', ')}, and this is \`${value}\`${suggestion(value, words)}`
}
