// Answers of the cache as rows of its index, and back. A row that does not read as an answer throws; it is never
// guessed at.
import { hash } from 'node:crypto'
import { numberOf, optionalText, textOf, type Row } from '../store/store.ts'
import { cacheSources, type CachedHead, type CachedResponse, type CacheKey, type NewCachedResponse, type Shelf } from './cached-response.ts'

/** SHA-256 of no bytes: the digest of an answer without content, for which no file is kept */
export const emptyDigest = hash('sha256', '', 'hex')

// few: a column costs more to fetch than its part of the JSON text in `head` costs to parse
export const entryColumns = 'id, digest, bytes, pinned, head'

/** A row with `entryColumns`; its key is known to whoever asked. */
export function responseOf(row: Row, key: CacheKey): CachedResponse {
  const [status, reason, fields, vary, storedMs, initialAgeMs, sourceName, by, capturedMs] = listOf(JSON.parse(textOf(row, 'head')))
  const source = cacheSources.find((known) => known === sourceName)
  if (typeof status !== 'number' || typeof reason !== 'string' || !isFields(fields) || !isVary(vary)) throw new Error('a row of the cache is no answer')
  if (typeof storedMs !== 'number' || typeof initialAgeMs !== 'number' || source === undefined || typeof by !== 'string') throw new Error('a row of the cache is no answer')
  if (typeof capturedMs !== 'number' && capturedMs !== null) throw new Error('a row of the cache is no answer')
  return {
    id: numberOf(row, 'id'), key, status, reason, fields, vary, storedMs, initialAgeMs, source, by,
    pinned: numberOf(row, 'pinned') === 1, capturedMs: capturedMs ?? undefined, bodyDigest: optionalText(row, 'digest') ?? emptyDigest, bodyBytes: numberOf(row, 'bytes'),
  }
}

/** The column `head`, which `responseOf` reads. */
export function headText({ status, reason, fields, vary, storedMs, initialAgeMs, source, by, capturedMs }: Omit<NewCachedResponse, 'key' | 'pinned'>): string {
  return JSON.stringify([status, reason, fields, vary, storedMs, initialAgeMs, source, by, capturedMs ?? null])
}

/** A row with the columns of the key. */
export function keyOf(row: Row): CacheKey {
  return { shelf: shelfOf(row), partition: textOf(row, 'partition'), url: textOf(row, 'url') }
}

/** One text for each set of request fields, in whatever order they are named. */
export function varyText(vary: CachedHead['vary']): string {
  if (vary.length === 0) return '[]'
  return JSON.stringify(vary.toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))))
}

function isVary(value: unknown): value is CachedHead['vary'] {
  return Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string' && (typeof pair[1] === 'string' || pair[1] === null))
}

function isFields(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length % 2 === 0 && value.every((field) => typeof field === 'string')
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error('a row of the cache is no answer')
  return value
}

function shelfOf(row: Row): Shelf {
  const shelf = textOf(row, 'shelf')
  if (shelf !== 'web' && shelf !== 'live') throw new Error(`a row of the cache names a shelf \`${shelf}\``)
  return shelf
}
