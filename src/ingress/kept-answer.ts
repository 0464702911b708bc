// Answers from the cache, as they are written to a client: whole, a part, the head alone, or that it has it already. The
// head goes out when the content is at hand, and an answer is ended only when all of it was written.
import type { ByteRange } from '../cache/cache-store.ts'
import type { CachedResponse } from '../cache/cached-response.ts'
import { cacheStatus, type CacheEvent } from '../cache/live/cache-status.ts'
import { isNotModified, isRangeOfSame } from '../cache/live/conditional.ts'
import { rangeOf } from '../cache/live/byte-ranges.ts'
import { currentAgeMs } from '../cache/live/freshness.ts'
import type { Asked } from '../cache/live/asked.ts'
import type { LiveCache } from '../cache/live/live-cache.ts'
import type { ClientResponse } from '../egress/client-leg.ts'
import type { ForwardResult } from '../egress/forward.ts'
import { endWith, pour, type Content } from './content.ts'

export interface KeptAnswer {
  readonly cache: LiveCache
  readonly entry: CachedResponse
  readonly asked: Asked
  readonly event: CacheEvent
  readonly response: ClientResponse
  /** this proxy's name in Via */
  readonly pseudonym: string
}

// RFC 9110 section 15.4.5
const with304: ReadonlySet<string> = new Set(['cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary'])
const noContent: ReadonlySet<number> = new Set([204, 205, 304])

/** Answers the client; undefined where the content is gone and nothing was written. */
export async function sendKept({ cache, entry, asked, event, response, pseudonym }: KeptAnswer): Promise<ForwardResult | undefined> {
  const ours = ['Age', String(Math.round(currentAgeMs(entry, cache.clock.now()) / 1000)), 'Via', `1.1 ${pseudonym}`, 'Cache-Status', cacheStatus(event)]
  if (isNotModified(entry, asked.fields)) return written(response, 304, 'Not Modified', [...fieldsFor304(entry.fields), ...ours], undefined, cache)
  if (noContent.has(entry.status)) return written(response, entry.status, entry.reason, [...entry.fields, ...ours], undefined, cache)
  const { bodyBytes } = entry
  if (asked.method === 'HEAD') return written(response, entry.status, entry.reason, [...entry.fields, 'Content-Length', String(bodyBytes), ...ours], undefined, cache)
  const isPart = asked.range !== undefined && entry.status === 200 && isRangeOfSame(entry, asked.fields)
  if (!isPart) {
    const body = await cache.read(entry)
    return body === undefined ? undefined : written(response, entry.status, entry.reason, [...entry.fields, 'Content-Length', String(bodyBytes), ...ours], body, cache)
  }
  const range = rangeOf(asked.range ?? '', bodyBytes)
  if (range === undefined) return written(response, 416, 'Range Not Satisfiable', ['Content-Range', `bytes */${bodyBytes}`, 'Content-Length', '0', ...ours], undefined, cache)
  const body = await cache.read(entry, range)
  return body === undefined ? undefined : written(response, 206, 'Partial Content', [...entry.fields, ...ofRange(range, bodyBytes), ...ours], body, cache)
}

function ofRange({ first, last }: ByteRange, length: number): readonly string[] {
  return ['Content-Range', `bytes ${first}-${last}/${length}`, 'Content-Length', String(last - first + 1)]
}

function fieldsFor304(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (with304.has(name.toLowerCase())) kept.push(name, fields[i + 1] ?? '')
  }
  return kept
}

async function written(response: ClientResponse, status: number, reason: string, fields: string[], body: Content | undefined, cache: LiveCache): Promise<ForwardResult> {
  const result = { status, error: undefined, bytesFromClient: 0, bytesFromOrigin: 0, peerAddress: undefined }
  if (response.destroyed) return { ...result, status: undefined, outcome: 'client_closed', headSent: false }
  response.writeHead(status, reason, fields)
  const { promise, resolve } = Promise.withResolvers<void>()
  response.on('close', resolve)
  try {
    const outlet = { response, deadlines: cache.deadlines }
    if (body === undefined) endWith(outlet)
    else await pour(outlet, body)
  } catch (error) {
    cache.report(error)
    // what is short of its length must not look whole
    response.destroy()
  }
  if (!response.closed) await promise
  return { ...result, outcome: response.writableFinished ? 'completed' : 'client_closed', headSent: true }
}
