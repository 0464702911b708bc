// JSON as everybody reads it, or not at all: RFC 8259 without what one reader takes and another does not (I-JSON,
// RFC 7493). Time is linear in the bytes. It must never guess: what is unclear is unreadable, and says where.

/** An object as a map, so that no key is special. */
export type JsonObject = ReadonlyMap<string, JsonValue>
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

export interface JsonLimits {
  /** of arrays and objects in each other */
  readonly depth: number
  /** of all kinds, so that no body takes a second */
  readonly values: number
}

/** Why bytes are no JSON for us, lower case, no final stop. */
export interface UnreadableJson {
  readonly unreadable: string
}

const defaults: JsonLimits = { depth: 256, values: 500_000 }
const blank = /[ \t\n\r]*/y
// what a string holds up to the next escape, its end, or a control character: all from the space on but `"` and `\`
const plainText = /[ !#-[\]-\uffff]*/y
const numberText = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const backslash = 0x5c
const space = 0x20

/**
 * Reads one JSON text in UTF-8. Unreadable are: other encodings and a byte order mark, lone surrogates, a key twice in
 * one object however it is spelled, anything behind the value, and more depth and values than `limits` say. Never throws.
 */
export function readStrictJson(bytes: Uint8Array, limits: JsonLimits = defaults): { readonly value: JsonValue } | UnreadableJson {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return { unreadable: 'it is not UTF-8' }
    throw error
  }
  try {
    return { value: new Reader(text, limits).whole() }
  } catch (error) {
    if (error instanceof Unreadable) return { unreadable: error.message }
    throw error
  }
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map
}

export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

class Unreadable extends Error {}

class Reader {
  readonly #text: string
  readonly #limits: JsonLimits
  #at = 0
  #depth = 0
  #values = 0

  constructor(text: string, limits: JsonLimits) {
    this.#text = text
    this.#limits = limits
  }

  whole(): JsonValue {
    this.#skipBlank()
    const value = this.#value()
    this.#skipBlank()
    if (this.#at < this.#text.length) this.#fail('something follows the value')
    return value
  }

  #value(): JsonValue {
    this.#values++
    if (this.#values > this.#limits.values) this.#fail(`it holds more than ${this.#limits.values} values`)
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #object(): JsonObject {
    const object = new Map<string, JsonValue>()
    this.#enter()
    if (this.#take('}')) return this.#leave(object)
    do {
      this.#skipBlank()
      if (this.#text[this.#at] !== '"') this.#fail('a key is missing')
      const key = this.#string()
      if (object.has(key)) this.#fail('a key stands twice in one object')
      this.#skipBlank()
      if (!this.#take(':')) this.#fail('a colon is missing')
      this.#skipBlank()
      object.set(key, this.#value())
      this.#skipBlank()
    } while (this.#take(','))
    if (!this.#take('}')) this.#fail('an object does not end')
    return this.#leave(object)
  }

  #array(): readonly JsonValue[] {
    const array: JsonValue[] = []
    this.#enter()
    if (this.#take(']')) return this.#leave(array)
    do {
      this.#skipBlank()
      array.push(this.#value())
      this.#skipBlank()
    } while (this.#take(','))
    if (!this.#take(']')) this.#fail('an array does not end')
    return this.#leave(array)
  }

  #enter(): void {
    this.#depth++
    if (this.#depth > this.#limits.depth) this.#fail(`it is nested more than ${this.#limits.depth} deep`)
    this.#at++
    this.#skipBlank()
  }

  #leave<T>(value: T): T {
    this.#depth--
    return value
  }

  #string(): string {
    const from = this.#at
    this.#at++
    const plain = this.#run(plainText)
    switch (this.#text[this.#at]) {
      case '"':
        this.#at++
        return plain
      case '\\':
        return this.#escaped(from)
      case undefined:
        return this.#fail('a string does not end')
      default:
        return this.#fail('a string has a control character')
    }
  }

  /** A string with escapes, from its first quote: what is one is known here, and what it says by JSON.parse. */
  #escaped(from: number): string {
    let end = this.#text.indexOf('"', this.#at)
    while (end !== -1 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1)
    if (end === -1) this.#fail('a string does not end')
    const token = this.#text.slice(from, end + 1)
    let read: unknown
    try {
      read = JSON.parse(token)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
    if (typeof read !== 'string') return this.#fail('a string has an unknown escape or a control character')
    // surrogates can come from escapes alone: the bytes were UTF-8
    if (!read.isWellFormed()) this.#fail('a string has half a character')
    this.#at = end + 1
    return read
  }

  /** An odd number of backslashes stands before it; those before another quote are never counted again. */
  #isEscaped(at: number): boolean {
    let before = at
    while (this.#text.charCodeAt(before - 1) === backslash) before--
    return (at - before) % 2 === 1
  }

  #number(): number {
    const digits = this.#run(numberText)
    if (digits === '') this.#fail(this.#at < this.#text.length ? 'a value is missing' : 'it ends too early')
    return Number(digits)
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('a value is missing')
    this.#at += word.length
    return value
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #skipBlank(): void {
    if (this.#text.charCodeAt(this.#at) <= space) this.#run(blank)
  }

  /** What the sticky pattern takes from here. */
  #run(pattern: RegExp): string {
    const from = this.#at
    pattern.lastIndex = from
    if (!pattern.test(this.#text)) return ''
    this.#at = pattern.lastIndex
    return this.#text.slice(from, this.#at)
  }

  #fail(why: string): never {
    throw new Unreadable(`${why} (at character ${this.#at + 1})`)
  }
}
