// A cache store in memory, for tests of what is put into it.
import { createHash } from 'node:crypto'
import type { BodyWriter, ByteRange, CacheFilter, CacheStats, CacheStore, WrittenBody } from '../../src/cache/cache-store.ts'
import type { CachedHead, CachedResponse, CacheKey, NewCachedResponse } from '../../src/cache/cached-response.ts'

export class MemoryCacheStore implements CacheStore {
  readonly entries: CachedResponse[] = []
  readonly bodies = new Map<string, Buffer>()
  aborted = 0
  open = 0
  #id = 0

  find(key: CacheKey): readonly CachedResponse[] {
    return this.entries.filter(({ key: k }) => k.shelf === key.shelf && k.partition === key.partition && k.url === key.url).toReversed()
  }

  writeBody(): BodyWriter {
    const pieces: Uint8Array[] = []
    let bytes = 0
    let isOpen = true
    this.open++
    return {
      get bytes() {
        return bytes
      },
      write: async (chunk) => {
        bytes += chunk.length
        pieces.push(Uint8Array.from(chunk))
      },
      finish: async () => {
        const body = Buffer.concat(pieces)
        const digest = createHash('sha256').update(body).digest('hex')
        this.bodies.set(digest, body)
        this.open--
        isOpen = false
        return { digest, bytes }
      },
      abort: () => {
        if (isOpen) this.open--
        isOpen = false
        this.aborted++
      },
    }
  }

  put(entry: NewCachedResponse, body: WrittenBody | undefined): CachedResponse {
    const kept = { ...entry, id: ++this.#id, bodyDigest: body?.digest ?? createHash('sha256').digest('hex'), bodyBytes: body?.bytes ?? 0 }
    const before = this.entries.findIndex(({ key, vary }) => JSON.stringify([key, vary]) === JSON.stringify([entry.key, entry.vary]))
    if (before !== -1) this.entries.splice(before, 1)
    this.entries.push(kept)
    return kept
  }

  refresh(_id: number, _head: CachedHead): CachedResponse | undefined {
    return undefined
  }

  async read({ bodyDigest }: CachedResponse, _range?: ByteRange): Promise<Uint8Array | undefined> {
    return this.bodies.get(bodyDigest)
  }

  remove(_id: number): boolean {
    return false
  }

  setPinned(_id: number, _pinned: boolean): boolean {
    return false
  }

  list(filter: CacheFilter, limit: number, before = Infinity): readonly CachedResponse[] {
    return this.entries.filter(({ id, key }) => id < before && filter.matches?.(key.url) !== false).toReversed().slice(0, limit)
  }

  async search(filter: CacheFilter, limit: number, before?: number): Promise<readonly CachedResponse[]> {
    return this.list(filter, limit, before)
  }

  stats(): CacheStats {
    return { entries: this.entries.length, pinned: 0, bodyBytes: 0, maxBytes: 0, evicted: 0, corrupt: 0 }
  }

  close(): void {
    this.bodies.clear()
  }
}
