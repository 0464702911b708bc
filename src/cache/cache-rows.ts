// Answers of the cache as rows of its index, and back. A row that does not read as an answer throws; it is never
// guessed at.
import { hash } from 'node:crypto'
import { numberOf, optionalNumber, optionalText, textOf, type Row } from '../store/store.ts'
import { cacheSources, type CachedHead, type CachedResponse, type CacheKey, type CacheSource, type Shelf } from './cached-response.ts'

/** SHA-256 of no bytes: the digest of an answer without content, for which no file is kept */
export const emptyDigest = hash('sha256', '', 'hex')

export const entryColumns =
  'id, url, shelf, partition, vary, digest, bytes, pinned, source, made_by, captured_ms, stored_ms, initial_age_ms, status, reason, fields'

/** A row with `entryColumns`. */
export function responseOf(row: Row): CachedResponse {
  return {
    id: numberOf(row, 'id'),
    key: keyOf(row),
    vary: varyOf(textOf(row, 'vary')),
    bodyDigest: optionalText(row, 'digest') ?? emptyDigest,
    bodyBytes: numberOf(row, 'bytes'),
    pinned: numberOf(row, 'pinned') === 1,
    source: sourceOf(row),
    by: textOf(row, 'made_by'),
    capturedMs: optionalNumber(row, 'captured_ms'),
    storedMs: numberOf(row, 'stored_ms'),
    initialAgeMs: numberOf(row, 'initial_age_ms'),
    status: numberOf(row, 'status'),
    reason: textOf(row, 'reason'),
    fields: fieldsOf(textOf(row, 'fields')),
  }
}

export function keyOf(row: Row): CacheKey {
  return { shelf: shelfOf(row), partition: textOf(row, 'partition'), url: textOf(row, 'url') }
}

/** One text for each set of request fields, in whatever order they are named. */
export function varyText(vary: CachedHead['vary']): string {
  if (vary.length === 0) return '[]'
  return JSON.stringify(vary.toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))))
}

function varyOf(text: string): readonly (readonly [string, string | null])[] {
  if (text === '[]') return []
  return listOf(text).map((pair) => {
    if (!Array.isArray(pair)) throw new Error('a row of the cache names no request fields')
    const [name, value]: unknown[] = pair
    if (typeof name !== 'string' || (typeof value !== 'string' && value !== null)) throw new Error('a row of the cache names no request fields')
    return [name, value] as const
  })
}

function fieldsOf(text: string): readonly string[] {
  const fields = listOf(text)
  if (!isFields(fields)) throw new Error('a row of the cache holds no fields')
  return fields
}

function isFields(list: readonly unknown[]): list is readonly string[] {
  return list.length % 2 === 0 && list.every((field) => typeof field === 'string')
}

function listOf(text: string): readonly unknown[] {
  const list: unknown = JSON.parse(text)
  if (!Array.isArray(list)) throw new Error('a row of the cache holds no list')
  return list
}

function shelfOf(row: Row): Shelf {
  const shelf = textOf(row, 'shelf')
  if (shelf !== 'web' && shelf !== 'live') throw new Error(`a row of the cache names a shelf \`${shelf}\``)
  return shelf
}

function sourceOf(row: Row): CacheSource {
  const text = textOf(row, 'source')
  const source = cacheSources.find((known) => known === text)
  if (source === undefined) throw new Error(`a row of the cache names a source \`${text}\``)
  return source
}
