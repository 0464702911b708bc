// A store of the cache in a folder of its own, and short ways to fill it and to look at what is on its disk.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CacheStore, ByteRange } from '../../src/cache/cache-store.ts'
import type { CachedResponse, CacheKey, NewCachedResponse } from '../../src/cache/cached-response.ts'
import { openCacheStore, type CacheStoreOptions, type SqliteCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { systemClock } from '../../src/clock.ts'
import type { Scope } from '../support/scope.ts'

export const mib = 1_048_576

export interface OpenedStore {
  readonly dir: string
  readonly store: SqliteCacheStore
  readonly faults: unknown[]
}

export function cacheDir(t: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-cache-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'cache')
}

export function opened(t: Scope, options: Partial<CacheStoreOptions> = {}): OpenedStore {
  const dir = options.dir ?? cacheDir(t)
  const faults: unknown[] = []
  const store = openCacheStore({ maxBytes: 64 * mib, maxBodyBytes: 16 * mib, clock: systemClock, onFault: (fault) => faults.push(fault), ...options, dir })
  t.teardown(() => store.close())
  return { dir, store, faults }
}

export function keyOf(url: string, changes: Partial<CacheKey> = {}): CacheKey {
  return { shelf: 'web', partition: 'common', url, ...changes }
}

export function answer(url: string, changes: Partial<NewCachedResponse> = {}): NewCachedResponse {
  return {
    key: keyOf(url), status: 200, reason: 'OK', fields: ['content-type', 'text/plain'], vary: [], storedMs: 1_000, initialAgeMs: 0,
    source: 'added', by: 'ada', pinned: false, capturedMs: undefined, ...changes,
  }
}

export async function keep(store: CacheStore, url: string, content: string | Uint8Array, changes: Partial<NewCachedResponse> = {}): Promise<CachedResponse> {
  const writer = store.writeBody()
  await writer.write(Buffer.from(content))
  return store.put(answer(url, changes), await writer.finish())
}

export async function bytesOf(store: CacheStore, entry: CachedResponse, range?: ByteRange): Promise<Buffer | undefined> {
  const content = await store.read(entry, range)
  if (content === undefined) return undefined
  if (content instanceof Uint8Array) return Buffer.from(content)
  const pieces: Uint8Array[] = []
  for await (const piece of content) pieces.push(piece)
  return Buffer.concat(pieces)
}

export async function textOf(store: CacheStore, entry: CachedResponse, range?: ByteRange): Promise<string | undefined> {
  return (await bytesOf(store, entry, range))?.toString()
}

export function urls(found: readonly CachedResponse[]): readonly string[] {
  return found.map(({ key }) => key.url)
}

export function bodyPath(dir: string, digest: string): string {
  return join(dir, 'bodies', digest.slice(0, 2), digest)
}

/** Digests of the bodies on disk, in order. */
export function bodiesIn(dir: string): readonly string[] {
  const bodies = join(dir, 'bodies')
  return readdirSync(bodies).flatMap((prefix) => readdirSync(join(bodies, prefix))).toSorted()
}

export function temporaryIn(dir: string): readonly string[] {
  const tmp = join(dir, 'tmp')
  return existsSync(tmp) ? readdirSync(tmp) : []
}
