// Lists of a million plain strings, read past the TOML parser, which would make a million strings of them.
// A list is cut out of the text and a mark put into its place; only where the parser then finds the mark as
// the one element of that list is what was cut taken for its elements. Must never guess: everything else is
// left to the parser.
import { coversName } from './name-table.ts'
import type { Added, NameTableBuilder } from './name-table.ts'
import { isTable } from './toml.ts'
import type { TomlTable, TomlValue } from './toml.ts'

const lists = /^[ \t]*(?:allowed_domains|denied_domains|review_domains)[ \t]*=[ \t]*\[/gm
const tables = ['network', 'experimental_network'] as const
const keys = ['allowed_domains', 'denied_domains', 'review_domains'] as const
const quote = 0x22
const decoder = new TextDecoder()

/** The elements of a list by their places in the text of the file. */
export class LongList {
  /** the whole file, a byte a character */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** offset of the bracket that opens the list */
  readonly open: number
  /** offset of the bracket that closes it */
  readonly close: number
  /** offsets of the opening quotes */
  readonly starts: Uint32Array<ArrayBuffer>

  constructor(bytes: Uint8Array<ArrayBuffer>, open: number, close: number, starts: Uint32Array<ArrayBuffer>) {
    this.bytes = bytes
    this.open = open
    this.close = close
    this.starts = starts
  }

  get length(): number {
    return this.starts.length
  }

  /** Characters of all elements, at most. */
  get textLength(): number {
    return this.close - this.open
  }

  /** Offset of the first character of an element. */
  start(index: number): number {
    return (this.starts[index] ?? this.close) + 1
  }

  /** Offset of its closing quote. */
  end(index: number): number {
    const { bytes } = this
    let end = this.start(index)
    while (end < bytes.length && bytes[end] !== quote) end++
    return end
  }

  /** Adds an element that is a plain name; as the builder does, it says when it is not. */
  addPlain(names: NameTableBuilder, index: number, line: number): Added {
    return names.addPlainBytes(this.bytes, this.start(index), this.end(index), coversName, line)
  }

  at(index: number): string | undefined {
    if (index < 0 || index >= this.length) return undefined
    return decoder.decode(this.bytes.subarray(this.start(index), this.end(index)))
  }
}

interface Cut {
  readonly list: LongList
  readonly mark: string
}

export interface Shortened {
  /** the file with a mark in the place of each list */
  readonly text: string
  readonly cuts: readonly Cut[]
}

/** Cuts out every list of at least `minCount` plain strings and nothing else; undefined when there is none. */
export function shorten(text: string, minCount: number): Shortened | undefined {
  // an element takes four characters at least: a quote, a letter, a quote and a comma
  if (text.length < minCount * 4) return undefined
  const bytes = new TextEncoder().encode(text)
  // offsets in the bytes are offsets in the text
  if (bytes.length !== text.length) return undefined
  const cuts: Cut[] = []
  let short = ''
  let kept = 0
  for (const match of text.matchAll(lists)) {
    const open = match.index + match[0].length - 1
    const list = open < kept ? undefined : readList(bytes, open)
    if (list === undefined || list.length < minCount) continue
    const mark = unusedMark(text, cuts.length)
    cuts.push({ list, mark })
    short += `${text.slice(kept, open + 1)}"${mark}"`
    kept = list.close
  }
  return cuts.length === 0 ? undefined : { text: short + text.slice(kept), cuts }
}

/**
 * The cut lists by the arrays that stand for them in a table parsed from the shortened text; the arrays
 * are emptied. Undefined unless each mark is where its list was: then the file has to be parsed whole.
 */
export function findCuts(table: TomlTable, cuts: readonly Cut[]): ReadonlyMap<TomlValue, LongList> | undefined {
  const found = new Map<TomlValue, LongList>()
  const arrays = tables.flatMap((name) => keys.flatMap((key) => arrayIn(table[name], key) ?? []))
  for (const { list, mark } of cuts) {
    const array = arrays.find((each) => each.length === 1 && each[0] === mark)
    if (array === undefined) return undefined
    found.set(array, list)
  }
  for (const array of arrays) if (found.has(array)) array.length = 0
  return found
}

function arrayIn(table: TomlValue | undefined, key: string): readonly TomlValue[][] | undefined {
  if (!isTable(table)) return undefined
  const value = table[key]
  return Array.isArray(value) ? [value] : undefined
}

function unusedMark(text: string, index: number): string {
  for (let attempt = 0; ; attempt++) {
    const mark = `list ${index} ${attempt}`
    if (!text.includes(mark)) return mark
  }
}

const space = 1
const content = 2
/** What a byte may be in such a list; 0: it makes the list one for the parser. */
const kinds = Uint8Array.from({ length: 256 }, (_, code) => {
  if (code === 0x20 || code === 0x09 || code === 0x0a) return space
  return /[A-Za-z0-9._*:/-]/.test(String.fromCharCode(code)) ? content : 0
})

/** Basic strings without escapes, commas, spaces and line feeds up to the closing bracket; else undefined. */
function readList(bytes: Uint8Array<ArrayBuffer>, open: number): LongList | undefined {
  let starts = new Uint32Array(1024)
  let count = 0
  let at = open + 1
  for (;;) {
    at = skipSpace(bytes, at)
    if (bytes[at] === 0x5d) return new LongList(bytes, open, at, starts.slice(0, count))
    if (bytes[at] !== quote) return undefined
    if (count === starts.length) {
      const larger = new Uint32Array(count * 2)
      larger.set(starts)
      starts = larger
    }
    starts[count++] = at
    at++
    while (kinds[bytes[at] ?? 0] === content) at++
    if (bytes[at] !== quote) return undefined
    // three quotes in a row open a string of another kind
    if (at === (starts[count - 1] ?? 0) + 1) return undefined
    at = skipSpace(bytes, at + 1)
    if (bytes[at] === 0x2c) at++
    else if (bytes[at] !== 0x5d) return undefined
  }
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from
  while (kinds[bytes[at] ?? 0] === space) at++
  return at
}
