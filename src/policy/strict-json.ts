// JSON as everybody reads it, or not at all: RFC 8259 without what one reader takes and another does not (I-JSON,
// RFC 7493). Time is linear in the bytes. It must never guess: what is unclear is unreadable, and says where.

/** An object as a map, so that no key is special. */
export type JsonObject = ReadonlyMap<string, JsonValue>
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

export interface JsonLimits {
  /** of arrays and objects in each other */
  readonly depth: number
}

/** Why bytes are no JSON for us, lower case, no final stop. */
export interface UnreadableJson {
  readonly unreadable: string
}

const defaults: JsonLimits = { depth: 256 }
const blank = /[ \t\n\r]*/y
// what a string holds up to the next escape, its end, or a control character: all from the space on but `"` and `\`
const plainText = /[ !#-[\]-\uffff]*/y
const numberText = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const hexadecimal = /[\da-fA-F]{4}/y
const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'], ['\\', '\\'], ['/', '/'], ['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t'],
])

/**
 * Reads one JSON text in UTF-8. Unreadable are: other encodings and a byte order mark, lone surrogates, a key twice in
 * one object however it is spelled, anything behind the value, and more depth than `limits` say. Never throws.
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
    return { value: new Reader(text, limits.depth).whole() }
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
  readonly #maxDepth: number
  #at = 0
  #depth = 0

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  whole(): JsonValue {
    this.#skipBlank()
    const value = this.#value()
    this.#skipBlank()
    if (this.#at < this.#text.length) this.#fail('something follows the value')
    return value
  }

  #value(): JsonValue {
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
    if (this.#depth > this.#maxDepth) this.#fail(`it is nested more than ${this.#maxDepth} deep`)
    this.#at++
    this.#skipBlank()
  }

  #leave<T>(value: T): T {
    this.#depth--
    return value
  }

  #string(): string {
    this.#at++
    let read = this.#run(plainText)
    for (;;) {
      const next = this.#text[this.#at]
      if (next === '"') {
        this.#at++
        // surrogates can come from escapes alone: the bytes were UTF-8
        if (!read.isWellFormed()) this.#fail('a string has half a character')
        return read
      }
      if (next === undefined) this.#fail('a string does not end')
      if (next !== '\\') this.#fail('a string has a control character')
      this.#at++
      read += this.#escape()
      read += this.#run(plainText)
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at] ?? ''
    this.#at++
    if (letter !== 'u') return shortEscapes.get(letter) ?? this.#fail('an escape is unknown')
    const digits = this.#run(hexadecimal)
    if (digits === '') this.#fail('an escape is not four hexadecimal digits')
    return String.fromCharCode(Number.parseInt(digits, 16))
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
    this.#run(blank)
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
