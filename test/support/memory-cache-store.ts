// A CacheStore in memory, for tests of whoever uses one: the contract of src/cache/cache-store.ts and nothing more. What a
// test damages or delays it says through the fields of the class.
import { createHash } from 'node:crypto'
import type { BodyWriter, ByteRange, CacheFilter, CacheStats, CacheStore, WrittenBody } from '../../src/cache/cache-store.ts'
import type { CachedHead, CachedResponse, CacheKey, NewCachedResponse } from '../../src/cache/cached-response.ts'

export class MemoryCacheStore implements CacheStore {
  /** bodies that are being written now */
  readonly open = new Set<BodyWriter>()
  /** held up until it resolves, each write */
  gate: Promise<void> | undefined
  /** thrown by each write */
  fault: Error | undefined
  readonly #entries = new Map<number, CachedResponse>()
  readonly #bodies = new Map<string, Buffer>()
  #nextId = 1
  #corrupt = 0

  find({ shelf, partition, url }: CacheKey): readonly CachedResponse[] {
    return [...this.#entries.values()].filter(({ key }) => key.shelf === shelf && key.partition === partition && key.url === url)
      .toSorted((a, b) => b.storedMs - a.storedMs || b.id - a.id)
  }

  writeBody(): BodyWriter {
    const chunks: Buffer[] = []
    const writer = {
      bytes: 0,
      write: async (chunk: Uint8Array): Promise<void> => {
        await this.gate
        if (this.fault !== undefined) throw this.fault
        chunks.push(Buffer.from(chunk))
        writer.bytes += chunk.length
      },
      finish: async (): Promise<WrittenBody> => {
        await this.gate
        this.open.delete(writer)
        const body = Buffer.concat(chunks)
        const digest = createHash('sha256').update(body).digest('hex')
        this.#bodies.set(digest, body)
        return { digest, bytes: body.length }
      },
      abort: (): void => {
        this.open.delete(writer)
      },
    }
    this.open.add(writer)
    return writer
  }

  put(entry: NewCachedResponse, body: WrittenBody | undefined): CachedResponse {
    const vary = JSON.stringify(entry.vary)
    for (const old of this.find(entry.key)) if (JSON.stringify(old.vary) === vary) this.#entries.delete(old.id)
    const kept = { ...entry, id: this.#nextId, bodyDigest: body?.digest ?? createHash('sha256').digest('hex'), bodyBytes: body?.bytes ?? 0 }
    this.#nextId += 1
    this.#entries.set(kept.id, kept)
    return kept
  }

  refresh(id: number, head: CachedHead): CachedResponse | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    const fresh = { ...entry, ...head }
    this.#entries.set(id, fresh)
    return fresh
  }

  async read(entry: CachedResponse, range?: ByteRange): Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined> {
    const body = entry.bodyBytes === 0 ? Buffer.alloc(0) : this.#bodies.get(entry.bodyDigest)
    if (body === undefined) {
      this.#corrupt += 1
      this.#entries.delete(entry.id)
      return undefined
    }
    const part = range === undefined ? body : body.subarray(range.first, range.last + 1)
    return part.length > 64 * 1024 ? pieces(part) : part
  }

  remove(id: number): boolean {
    return this.#entries.delete(id)
  }

  setPinned(id: number, pinned: boolean): boolean {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#entries.set(id, { ...entry, pinned })
    return entry !== undefined
  }

  list({ shelf, partition, matches, source }: CacheFilter, limit: number, before = Infinity): readonly CachedResponse[] {
    return [...this.#entries.values()].filter((entry) => entry.id < before && (shelf === undefined || entry.key.shelf === shelf)
      && (partition === undefined || entry.key.partition === partition) && (source === undefined || entry.source === source)
      && (matches === undefined || matches(entry.key.url))).toSorted((a, b) => b.id - a.id).slice(0, limit)
  }

  async search(filter: CacheFilter, limit: number, before?: number): Promise<readonly CachedResponse[]> {
    return this.list(filter, limit, before)
  }

  stats(): CacheStats {
    const entries = [...this.#entries.values()]
    return {
      entries: entries.length, pinned: entries.filter(({ pinned }) => pinned).length, corrupt: this.#corrupt, evicted: 0, maxBytes: Infinity,
      bodyBytes: [...this.#bodies.values()].reduce((sum, { length }) => sum + length, 0),
    }
  }

  close(): void {
    for (const writer of this.open) writer.abort()
  }

  /** Loses every body, and keeps what is known of them. */
  lose(): void {
    this.#bodies.clear()
  }
}

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += 64 * 1024) yield body.subarray(at, at + 64 * 1024)
}
