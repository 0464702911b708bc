// Where in a TOML text each key, value and array element stands. The TOML parser keeps no positions; this
// walks text that the parser has already accepted, and so never judges it.
import { parse } from 'smol-toml'
import type { LongList } from './long-lists.ts'

export type Path = readonly (string | number)[]

interface Node {
  /** offset of the key or table header; of the value itself for array elements */
  readonly key: number
  readonly value: number
  members: Map<string, Node> | undefined
  /** elements that are tables or arrays */
  elements: Map<number, Node> | undefined
  /** offsets of the elements of an array, and how many there are */
  offsets: Uint32Array<ArrayBuffer> | undefined
  count: number
}

export interface Place {
  /** 1-based */
  readonly line: number
  readonly column: number
  /** the key or value as written, its first line, at most 100 characters */
  readonly text: string
}

const newline = 0x0a
const quote = 0x22
const apostrophe = 0x27
const backslash = 0x5c

/** The positions of one text. */
export class Positions {
  readonly #text: string
  readonly #root: Node
  #lineStarts: Uint32Array<ArrayBuffer> | undefined

  /** `longLists` are not walked through: they know their elements. */
  constructor(text: string, longLists: readonly LongList[] = []) {
    this.#text = text
    this.#root = new Walker(text, 0, longLists).document()
  }

  /** The value at `path`, or its key; what is not there is answered by its nearest ancestor. */
  place(path: Path, part: 'key' | 'value' = 'value'): Place {
    const { offset, exact } = this.#find(path, part)
    const line = this.lineOf(offset)
    const column = offset - (this.#starts()[line - 1] ?? 0) + 1
    return { line, column, text: exact ? this.#shown(offset, part) : '' }
  }

  /** 1-based line of an offset. */
  lineOf(offset: number): number {
    const starts = this.#starts()
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low + 1
  }

  /** The line as written, without its end. */
  lineText(line: number): string {
    const start = this.#starts()[line - 1] ?? this.#text.length
    const end = this.#text.indexOf('\n', start)
    return this.#text.slice(start, end === -1 ? undefined : end)
  }

  /** A function from the index of an element of the array at `path` to its line; cheapest in order. */
  elementLines(path: Path): (index: number) => number {
    const node = this.#nodeAt(path)
    const offsets = node?.offsets
    const starts = this.#starts()
    let line = 1
    return (index) => {
      const offset = offsets?.[index] ?? node?.value ?? 0
      if ((starts[line - 1] ?? 0) > offset) line = 1
      // far apart: look it up instead of walking there
      if ((starts[line + 8] ?? Infinity) <= offset) line = this.lineOf(offset)
      while ((starts[line] ?? Infinity) <= offset) line++
      return line
    }
  }

  #nodeAt(path: Path): Node | undefined {
    let node: Node | undefined = this.#root
    for (const step of path) {
      node = typeof step === 'number' ? node?.elements?.get(step) : node?.members?.get(step)
    }
    return node
  }

  #find(path: Path, part: 'key' | 'value'): { readonly offset: number; readonly exact: boolean } {
    let node = this.#root
    for (const step of path) {
      const next = typeof step === 'number' ? node.elements?.get(step) : node.members?.get(step)
      if (next === undefined) {
        const element = typeof step === 'number' && step < node.count ? node.offsets?.[step] : undefined
        return element === undefined ? { offset: node.key, exact: false } : { offset: element, exact: true }
      }
      node = next
    }
    return { offset: part === 'key' ? node.key : node.value, exact: path.length > 0 }
  }

  #shown(offset: number, part: 'key' | 'value'): string {
    const walker = new Walker(this.#text, offset)
    const end = part === 'key' ? walker.keyEnd() : walker.valueEnd()
    return (this.#text.slice(offset, Math.min(end, offset + 100)).split(/[\r\n]/, 1)[0] ?? '').trimEnd()
  }

  #starts(): Uint32Array<ArrayBuffer> {
    if (this.#lineStarts !== undefined) return this.#lineStarts
    const text = this.#text
    let starts = new Uint32Array(1024)
    let count = 1
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
      if (count === starts.length) starts = grown(starts)
      starts[count++] = at + 1
    }
    this.#lineStarts = starts.subarray(0, count)
    return this.#lineStarts
  }
}

/** One pass over the text. */
class Walker {
  readonly #text: string
  readonly #longLists: readonly LongList[]
  #at: number

  constructor(text: string, at = 0, longLists: readonly LongList[] = []) {
    this.#text = text
    this.#at = at
    this.#longLists = longLists
  }

  document(): Node {
    const root = newNode(0, 0)
    let table = root
    for (;;) {
      this.#skipBlank()
      if (this.#at >= this.#text.length) return root
      if (this.#text[this.#at] === '[') table = this.#header(root)
      else this.#assignment(table)
    }
  }

  /** The end of the key, or of the table header, that starts here. */
  keyEnd(): number {
    if (this.#text[this.#at] === '[') {
      const end = this.#text.indexOf('\n', this.#at)
      return end === -1 ? this.#text.length : end
    }
    this.#key()
    return this.#at
  }

  valueEnd(): number {
    if (/[[\w"'{+-]/.test(this.#text.charAt(this.#at))) this.#value(this.#at)
    return this.#at
  }

  #header(root: Node): Node {
    const start = this.#at
    const many = this.#text[start + 1] === '['
    this.#at += many ? 2 : 1
    this.#skipSpace()
    const keys = this.#key()
    this.#skipSpace()
    this.#at += many ? 2 : 1
    let table = root
    for (const [i, key] of keys.entries()) {
      let next = table.members?.get(key)
      if (next === undefined) {
        next = newNode(start, start)
        member(table, key, next)
      }
      if (many && i === keys.length - 1) return this.#element(next, start)
      // a header below an array of tables speaks of its last element
      table = (next.count > 0 ? next.elements?.get(next.count - 1) : undefined) ?? next
    }
    return table
  }

  #element(array: Node, start: number): Node {
    const element = newNode(start, start)
    pushOffset(array, start)
    array.elements ??= new Map()
    array.elements.set(array.count - 1, element)
    return element
  }

  #assignment(table: Node): void {
    const start = this.#at
    const keys = this.#key()
    this.#skipSpace()
    this.#at++
    this.#skipSpace()
    const last = keys.pop() ?? ''
    let into = table
    for (const key of keys) {
      let next = into.members?.get(key)
      if (next === undefined) {
        next = newNode(start, start)
        member(into, key, next)
      }
      into = next
    }
    member(into, last, this.#value(start))
  }

  /** The parts of a dotted key. */
  #key(): string[] {
    const keys: string[] = []
    for (;;) {
      const start = this.#at
      const code = this.#text.charCodeAt(start)
      if (code === quote || code === apostrophe) {
        this.#string()
        const raw = this.#text.slice(start, this.#at)
        keys.push(raw.includes('\\') && code === quote ? decoded(raw) : raw.slice(1, -1))
      } else {
        while (isBare(this.#text.charCodeAt(this.#at))) this.#at++
        keys.push(this.#text.slice(start, this.#at))
      }
      const end = this.#at
      this.#skipSpace()
      if (this.#text[this.#at] !== '.') {
        this.#at = end
        return keys
      }
      this.#at++
      this.#skipSpace()
    }
  }

  #value(key: number): Node {
    const start = this.#at
    const result = newNode(key, start)
    const code = this.#text.charCodeAt(start)
    if (code === quote || code === apostrophe) this.#string()
    else if (code === 0x5b) this.#array(result)
    else if (code === 0x7b) this.#inlineTable(result)
    else {
      // dates may hold a space; nothing else that stands bare does
      while (this.#at < this.#text.length && !',]}#\n\r'.includes(this.#text.charAt(this.#at))) this.#at++
    }
    return result
  }

  #array(array: Node): void {
    const known = this.#longLists.find(({ open }) => open === this.#at)
    if (known !== undefined) {
      array.offsets = known.starts
      array.count = known.length
      this.#at = known.close + 1
      return
    }
    this.#at++
    for (;;) {
      this.#skipBlank()
      const code = this.#text.charCodeAt(this.#at)
      if (code === 0x5d || this.#at >= this.#text.length) break
      if (code === 0x2c) {
        this.#at++
        continue
      }
      const start = this.#at
      pushOffset(array, start)
      if (code === quote || code === apostrophe) {
        this.#string()
        continue
      }
      const element = this.#value(start)
      if (element.members === undefined && element.count === 0) continue
      array.elements ??= new Map()
      array.elements.set(array.count - 1, element)
    }
    this.#at++
  }

  #inlineTable(table: Node): void {
    this.#at++
    for (;;) {
      this.#skipBlank()
      const code = this.#text.charCodeAt(this.#at)
      if (code === 0x7d || this.#at >= this.#text.length) break
      if (code === 0x2c) this.#at++
      else this.#assignment(table)
    }
    this.#at++
  }

  #string(): void {
    const text = this.#text
    const start = this.#at
    const code = text.charCodeAt(start)
    if (text.charCodeAt(start + 1) === code && text.charCodeAt(start + 2) === code) return this.#longString(code)
    let at = start + 1
    for (;;) {
      const next = text.charCodeAt(at)
      if (next === code || Number.isNaN(next)) break
      at += next === backslash && code === quote ? 2 : 1
    }
    this.#at = at + 1
  }

  #longString(code: number): void {
    const text = this.#text
    const mark = code === quote ? '"' : "'"
    this.#at += 3
    while (!text.startsWith(mark.repeat(3), this.#at) && this.#at < text.length) {
      this.#at += code === quote && text.charCodeAt(this.#at) === backslash ? 2 : 1
    }
    this.#at += 3
    // up to two quotes may stand right before the closing ones
    while (text[this.#at] === mark) this.#at++
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x09) return
      this.#at++
    }
  }

  /** White space, line breaks, comments, a byte order mark. */
  #skipBlank(): void {
    const text = this.#text
    let at = this.#at
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === 0x20 || code === 0x09 || code === newline || code === 0x0d || code === 0xfeff) at++
      else if (code === 0x23) {
        const end = text.indexOf('\n', at)
        at = end === -1 ? text.length : end
      } else break
    }
    this.#at = at
  }
}

function newNode(key: number, value: number): Node {
  return { key, value, members: undefined, elements: undefined, offsets: undefined, count: 0 }
}

function member(table: Node, key: string, value: Node): void {
  table.members ??= new Map()
  table.members.set(key, value)
}

function pushOffset(array: Node, offset: number): void {
  array.offsets ??= new Uint32Array(4)
  if (array.count === array.offsets.length) array.offsets = grown(array.offsets)
  array.offsets[array.count++] = offset
}

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2)
  larger.set(array)
  return larger
}

function isBare(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f
  )
}

/** A quoted key with escapes, by the parser that knows them. */
function decoded(raw: string): string {
  const value = parse(`key = ${raw}`)['key']
  return typeof value === 'string' ? value : raw
}
