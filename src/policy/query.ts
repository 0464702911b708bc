// The query of a request as the keys and values that an origin may see in it. The raw multiset is what is judged:
// nothing is merged, sorted or repaired, and what can be read in two ways is never taken for what opens a host.
import { decodeOctets, isUtf8 } from './octets.ts'
import { matchGlob } from './glob.ts'
import type { QueryTerm } from './policy.ts'

/** `unsure`: in one reading it does, in another it does not. */
export type Fit = 'yes' | 'unsure' | 'no'

export interface QueryPair {
  /** bytes as Latin-1 */
  readonly key: string
  readonly value: string
}

export interface QueryReading {
  /** why it can be read in more ways than are tried, lower case; undefined: it cannot */
  readonly wrong: string | undefined
  /** one, or two where a `+` stands: as a plus, and as a space */
  readonly readings: readonly (readonly QueryPair[])[]
}

/**
 * Splits a raw query (without its `?`) at `&` and the first `=`, and decodes `%xx` once. A `;`, which some origins take
 * for `&`, controls and NUL in either form, escapes that are malformed, and bytes that are no UTF-8 make it ambiguous.
 */
export function readQuery(query: string | undefined): QueryReading {
  if (query === undefined || query === '') return { wrong: undefined, readings: [[]] }
  const wrong = ambiguity(query)
  if (wrong !== undefined) return { wrong, readings: [] }
  const pairs = query.split('&').flatMap((piece) => (piece === '' ? [] : [pairOf(piece)]))
  if (!pairs.every(({ key, value }) => isUtf8(key) && isUtf8(value))) return { wrong: 'it holds bytes that are no UTF-8', readings: [] }
  if (!query.includes('+')) return { wrong: undefined, readings: [pairs] }
  const spaced = query.replaceAll('+', '%20').split('&').flatMap((piece) => (piece === '' ? [] : [pairOf(piece)]))
  return { wrong: undefined, readings: [pairs, spaced] }
}

/** Whether every term is met by every occurrence of its key, in every reading. */
export function fitQuery(terms: readonly QueryTerm[], { wrong, readings }: QueryReading): Fit {
  if (wrong !== undefined) return 'unsure'
  let whole: Fit | undefined
  for (const pairs of readings) {
    const fit = weakest(terms.map((term) => fitTerm(term, pairs)))
    if (whole !== undefined && fit !== whole) return 'unsure'
    whole = fit
  }
  return whole ?? 'unsure'
}

/** What the spellings come down to that frameworks take for one key: case (ASP.NET), `a[]`, a dot or a space (PHP). */
export function foldKey(key: string, keepBrackets: boolean): string {
  const bracket = keepBrackets ? -1 : key.indexOf('[')
  const name = bracket > 0 ? key.slice(0, bracket) : key
  return name.trim().replaceAll(/[. ]/g, '_').toLowerCase()
}

/** How well all values match: all of them, some, none. */
export function fitValues(globs: readonly string[], values: readonly string[]): Fit {
  if (values.length === 0) return 'no'
  if (globs.length === 0) return 'yes'
  const matching = values.filter((value) => globs.some((glob) => matchGlob(glob, value))).length
  return matching === values.length ? 'yes' : matching === 0 ? 'no' : 'unsure'
}

/** All have to be met, so the worst of them counts. */
export function weakest(fits: readonly Fit[]): Fit {
  if (fits.includes('no')) return 'no'
  return fits.includes('unsure') ? 'unsure' : 'yes'
}

function fitTerm({ key, folded, values }: QueryTerm, pairs: readonly QueryPair[]): Fit {
  const keepBrackets = key.includes('[')
  const isLookalike = pairs.some((pair) => pair.key !== key && foldKey(pair.key, keepBrackets) === folded)
  // which of the two an origin takes is its own affair
  if (isLookalike) return 'unsure'
  return fitValues(values, pairs.flatMap((pair) => (pair.key === key ? [pair.value] : [])))
}

function ambiguity(query: string): string | undefined {
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i)
    if (code === 0x3b) return 'a `;` may separate keys'
    if (code <= 0x20 || code === 0x7f) return 'it holds a control character or a space'
    if (code === 0x23) return 'it holds a `#`'
    if (code !== 0x25) continue
    const hex = query.slice(i + 1, i + 3)
    if (!/^[\da-f]{2}$/i.test(hex)) return 'a percent sign encodes nothing'
    const value = Number.parseInt(hex, 16)
    if (value < 0x20 || value === 0x7f) return 'it holds an encoded control character'
  }
  return undefined
}

function pairOf(piece: string): QueryPair {
  const equals = piece.indexOf('=')
  if (equals === -1) return { key: decodeOctets(piece), value: '' }
  return { key: decodeOctets(piece.slice(0, equals)), value: decodeOctets(piece.slice(equals + 1)) }
}
