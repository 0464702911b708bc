// Entries and pieces for the tests of the cache.
import type { CachedResponse } from '../../src/cache/cached-response.ts'
import * as fc from '../support/property.ts'

/** 21 November 2026, 12:00 UTC. */
export const noonMs = Date.UTC(2026, 10, 21, 12)

export function entryOf(parts: Partial<CachedResponse> = {}): CachedResponse {
  return {
    id: 1, key: { shelf: 'web', partition: 'common', url: 'http://a.test/' }, source: 'fetched', by: 'ann', pinned: false, capturedMs: undefined,
    status: 200, reason: 'OK', fields: ['Date', new Date(noonMs).toUTCString()], vary: [], storedMs: noonMs, initialAgeMs: 0,
    bodyDigest: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', bodyBytes: 0, ...parts,
  }
}

/** `bytes` in pieces of these lengths, over and over. */
export async function* inPieces(bytes: Uint8Array, lengths: readonly number[] = [bytes.length || 1]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1
    yield bytes.subarray(at, at + length)
    at += length
  }
}

export async function collected(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

export const anyLengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 })), { minLength: 1, maxLength: 8 })
