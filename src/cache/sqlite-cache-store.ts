// The embedded store of the cache: an index in SQLite, bodies as files under their digests, both in one folder that
// one process has. An entry comes into the index only after its whole body has its name, and leaves it before the
// body does, so that kill -9 at any moment leaves orphans at worst, and never an entry without its body.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { openSqliteStore } from '../store/sqlite-store.ts'
import { BodyFileWriter } from './body-file-writer.ts'
import { BodyFiles } from './body-files.ts'
import { BodyReader } from './body-reader.ts'
import { cacheFault, DamagedBody } from './cache-fault.ts'
import { CacheIndex, type EntryPlace } from './cache-index.ts'
import { cacheMigrations } from './cache-migrations.ts'
import type { BodyWriter, ByteRange, CacheFilter, CacheStats, CacheStore, WrittenBody } from './cache-store.ts'
import type { CachedHead, CachedResponse, CacheKey, NewCachedResponse } from './cached-response.ts'
import { isKey } from './key-name.ts'
import { RecentEntries } from './recent-entries.ts'
import { UseOrder } from './use-order.ts'

export interface CacheStoreOptions {
  /** its own folder; made with mode 0700 */
  readonly dir: string
  /** of all bodies on disk */
  readonly maxBytes: number
  /** of one body */
  readonly maxBodyBytes: number
  /** answers with small bodies, or none, are bounded by this; default 4 000 000 */
  readonly maxEntries?: number
  /** of small bodies in memory; default 64 MiB, 0: none */
  readonly hotBytes?: number
  /** of large bodies in memory, and no single one has more than a quarter; default 64 MiB, 0: none */
  readonly hotLargeBytes?: number
  readonly clock: Clock
  /** for the operator log: damaged bodies, and what could not be tidied up */
  readonly onFault: (error: unknown) => void
}

const defaultMaxEntries = 4_000_000
const defaultHotBytes = 67_108_864
/** answers to one URL that differ by request fields; an agent chooses those */
const maxVariants = 64
// each may dirty three pages of the index, so a few at a time
const storeUsesMs = 250
const storedUses = 64
/** what one turn of the loop may evict */
const evictStep = 64
const evictPauseMs = 5

/** Opens or makes it. Throws ProxyError `cache_failed`, with what to do. */
export function openCacheStore(options: CacheStoreOptions): SqliteCacheStore {
  const { dir, clock, onFault, hotBytes = defaultHotBytes, hotLargeBytes = defaultHotBytes } = options
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const files = new BodyFiles(dir, onFault)
    const index = new CacheIndex(openSqliteStore(join(dir, 'index.db'), cacheMigrations))
    return new SqliteCacheStore(options, files, index, new BodyReader({ files, clock, onFault, hotBytes, hotLargeBytes }))
  } catch (error) {
    throw cacheFault(`the web cache \`${dir}\` cannot be opened (it can be moved away, and a new one is made)`, error)
  }
}

/** What a change leaves to be done once it is committed. */
interface Leavings {
  /** what is known of them is out of date */
  readonly keys: CacheKey[]
  /** bodies that lost an entry */
  readonly digests: Set<string>
  /** of these, the ones that nobody has any more: digest to bytes */
  readonly freed: Map<string, number>
  evicted: number
  /** there is more to evict than one step may */
  isOver: boolean
}

/** Every method throws ProxyError `cache_failed` where the disk or the index fails, and once it is closed. */
export class SqliteCacheStore implements CacheStore {
  /** Resolves when files that belong to no entry were removed. */
  readonly swept: Promise<void>
  readonly #options: CacheStoreOptions
  readonly #maxEntries: number
  readonly #files: BodyFiles
  readonly #index: CacheIndex
  readonly #reader: BodyReader
  readonly #recent = new RecentEntries()
  readonly #writers = new Set<BodyFileWriter>()
  /** bodies that wait for their entry, and their files */
  readonly #written = new Map<WrittenBody, string>()
  readonly #uses: UseOrder
  readonly #timer: NodeJS.Timeout
  #evicting: NodeJS.Timeout | undefined
  #evicted = 0
  #corrupt = 0
  #isOpen = true

  constructor(options: CacheStoreOptions, files: BodyFiles, index: CacheIndex, reader: BodyReader) {
    this.#options = options
    this.#maxEntries = options.maxEntries ?? defaultMaxEntries
    this.#files = files
    this.#index = index
    this.#reader = reader
    this.#uses = new UseOrder(index)
    this.#timer = setInterval(() => this.#storeUses(storedUses), storeUsesMs).unref()
    this.swept = files.sweep((digest) => index.hasBody(digest), () => !this.#isOpen).catch(options.onFault)
    this.#evictLater()
  }

  find(key: CacheKey): readonly CachedResponse[] {
    const found = this.#recent.get(key) ?? this.#look(key)
    for (let at = found.length - 1; at >= 0; at--) {
      const entry = found[at]
      if (entry !== undefined) this.#uses.use(entry.id)
    }
    return found
  }

  writeBody(): BodyWriter {
    this.#checkOpen()
    const writer: BodyFileWriter = new BodyFileWriter({
      files: this.#files,
      maxBytes: Math.min(this.#options.maxBodyBytes, this.#options.maxBytes),
      onFinished: (body, path) => {
        if (path === undefined) return
        if (this.#isOpen) this.#written.set(body, path)
        else this.#files.discard(path)
      },
      onUnwanted: (body) => this.#discard(body),
      onEnded: () => this.#writers.delete(writer),
      onFault: this.#options.onFault,
    })
    this.#writers.add(writer)
    return writer
  }

  put(entry: NewCachedResponse, body: WrittenBody | undefined): CachedResponse {
    this.#checkOpen()
    const { key, vary, pinned } = entry
    if (!isKey(key)) throw new ProxyError('cache_failed', 'this URL cannot be the key of an answer: it is not well-formed text')
    const content = body === undefined || body.bytes === 0 ? undefined : body
    if (content !== undefined) this.#adopt(content)
    try {
      return this.#change('an answer could not be stored', (leavings) => {
        const former = this.#index.same(key, vary)
        if (former !== undefined) this.#remove(former, leavings)
        const id = this.#index.insert(entry, content, this.#uses.next())
        leavings.keys.push(key)
        if (content !== undefined) leavings.digests.add(content.digest)
        if (!pinned) for (const surplus of this.#index.surplus(key, maxVariants)) this.#remove(surplus, leavings)
        this.#makeRoom(entry, content, leavings)
        const stored = this.#index.get(id)
        if (stored === undefined) throw new Error('the index lost an entry')
        return stored
      })
    } catch (error) {
      if (content !== undefined) this.#tidily(() => !this.#index.hasBody(content.digest) && this.#files.remove(content.digest, content.bytes))
      throw error
    }
  }

  refresh(id: number, head: CachedHead): CachedResponse | undefined {
    return this.#change('an answer could not be refreshed', (leavings) => {
      const entry = this.#index.get(id)
      if (entry === undefined) return undefined
      const other = this.#index.same(entry.key, head.vary)
      if (other !== undefined && other.id !== id) this.#remove(other, leavings)
      leavings.keys.push(entry.key)
      this.#index.refresh(entry, head)
      return this.#index.get(id)
    })
  }

  readHot(entry: CachedResponse, range?: ByteRange): Uint8Array | undefined {
    this.#checkOpen()
    this.#uses.use(entry.id)
    return entry.bodyBytes === 0 && range === undefined ? new Uint8Array() : this.#reader.readHot(entry.bodyDigest, entry.bodyBytes, range)
  }

  async read(entry: CachedResponse, range?: ByteRange): Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined> {
    const hot = this.readHot(entry, range)
    if (hot !== undefined) return hot
    try {
      return await this.#reader.read(entry.bodyDigest, entry.bodyBytes, range)
    } catch (error) {
      if (error instanceof RangeError) throw error
      if (!(error instanceof DamagedBody)) throw cacheFault('a cached body could not be read', error)
      this.#dropDamaged(entry, error)
      return undefined
    }
  }

  remove(id: number): boolean {
    return this.#change('an answer could not be removed', (leavings) => {
      const place = this.#index.place(id)
      if (place !== undefined) this.#remove(place, leavings)
      return place !== undefined
    })
  }

  setPinned(id: number, pinned: boolean): boolean {
    return this.#change('an answer could not be pinned or unpinned', (leavings) => {
      const place = this.#index.place(id)
      if (place === undefined) return false
      leavings.keys.push(place.key)
      return this.#index.setPinned(id, pinned)
    })
  }

  /** A filter that matches little of a large cache takes its time; `search` does not keep others waiting. */
  list(filter: CacheFilter, limit: number, before = Number.MAX_SAFE_INTEGER): readonly CachedResponse[] {
    const found: CachedResponse[] = []
    for (let next: number | undefined = before; next !== undefined && found.length < limit; ) next = this.#listPart(filter, limit, next, found)
    return found
  }

  /** As `list`, a few rows in each turn of the loop. */
  async search(filter: CacheFilter, limit: number, before = Number.MAX_SAFE_INTEGER): Promise<readonly CachedResponse[]> {
    const found: CachedResponse[] = []
    for (let next: number | undefined = before; next !== undefined && found.length < limit; await nextTurn()) next = this.#listPart(filter, limit, next, found)
    return found
  }

  async forgetPerson(person: string, isScrubbing: boolean): Promise<number> {
    let count = 0
    for (let behind: number | undefined = 0; behind !== undefined; await nextTurn()) {
      const from: number = behind
      const part = this.#ask('the index could not be read', () => this.#index.forgetPart(person, isScrubbing, from))
      count += part.count
      behind = part.next
    }
    if (isScrubbing) {
      this.#recent.clear()
      this.#ask('what was overwritten is still beside the index', () => this.#index.checkpoint())
    }
    return count
  }

  /** `evicted` and `corrupt` count since it was opened. */
  stats(): CacheStats {
    const { entries, pinned, bodyBytes } = this.#ask('the index could not be counted', () => this.#index.totals())
    return { entries, pinned, bodyBytes, maxBytes: this.#options.maxBytes, evicted: this.#evicted, corrupt: this.#corrupt }
  }

  /** Bodies that are being read are read on. */
  close(): void {
    if (!this.#isOpen) return
    this.#storeUses()
    this.#isOpen = false
    clearInterval(this.#timer)
    clearTimeout(this.#evicting)
    for (const writer of this.#writers) writer.abort()
    for (const body of this.#written.keys()) this.#discard(body)
    this.#recent.clear()
    this.#reader.close()
    this.#index.close()
  }

  #look(key: CacheKey): readonly CachedResponse[] {
    const found = isKey(key) ? this.#ask('the index could not be read', () => this.#index.find(key)) : []
    this.#recent.set(key, found)
    return found
  }

  #listPart(filter: CacheFilter, limit: number, before: number, found: CachedResponse[]): number | undefined {
    const part = this.#ask('the index could not be listed', () => this.#index.list(filter, limit - found.length, before))
    found.push(...part.found)
    return part.next
  }

  /** Gives the file its name; without one, an equal body must be there already. */
  #adopt(body: WrittenBody): void {
    const path = this.#written.get(body)
    if (path === undefined) {
      if (this.#ask('the index could not be read', () => this.#index.hasBody(body.digest))) return
      throw new ProxyError('cache_failed', 'the body of this answer is not in the cache')
    }
    this.#written.delete(body)
    try {
      this.#files.adopt(path, body.digest)
    } catch (error) {
      this.#files.discard(path)
      throw cacheFault('a body could not be stored', error)
    }
    // it may stand in place of a damaged one
    this.#reader.forget(body.digest)
  }

  /** A body that gets no entry. */
  #discard(body: WrittenBody): void {
    const path = this.#written.get(body)
    if (path !== undefined) this.#files.discard(path)
    this.#written.delete(body)
  }

  /** Throws when what is pinned leaves no room. What takes longer than one step is gone on with later. */
  #makeRoom(entry: NewCachedResponse, body: WrittenBody | undefined, leavings: Leavings): void {
    const { maxBytes } = this.#options
    const { pinnedBytes, pinned } = this.#index.totals()
    const more = body === undefined || this.#index.isBodyPinned(body.digest) ? 0 : body.bytes
    if (pinnedBytes + more > maxBytes) throw new ProxyError('cache_failed', `there is no room for this answer: pinned ones and it take ${pinnedBytes + more} bytes, and the cache may have ${maxBytes}`)
    if (pinned + (entry.pinned ? 0 : 1) > this.#maxEntries) throw new ProxyError('cache_failed', `there is no room for this answer: the cache may have ${this.#maxEntries}, and the others are pinned`)
    this.#evictSome(leavings)
  }

  #evictSome(leavings: Leavings): void {
    for (;;) {
      this.#dropBodies(leavings)
      const { bodyBytes, entries } = this.#index.totals()
      if (bodyBytes <= this.#options.maxBytes && entries <= this.#maxEntries) return
      const victim = this.#uses.leastUsed()
      if (victim === undefined) return
      if (leavings.evicted === evictStep) {
        leavings.isOver = true
        return
      }
      this.#remove(victim, leavings)
      leavings.evicted++
    }
  }

  #evictLater(): void {
    this.#evicting ??= setTimeout(() => {
      this.#evicting = undefined
      this.#tidily(() => this.#isOpen && this.#change('answers could not be evicted', (leavings) => this.#evictSome(leavings)))
    }, evictPauseMs).unref()
  }

  #remove(place: EntryPlace, leavings: Leavings): void {
    this.#index.remove(place.id)
    this.#uses.forget(place.id)
    leavings.keys.push(place.key)
    if (place.digest !== undefined) leavings.digests.add(place.digest)
  }

  #dropBodies(leavings: Leavings): void {
    for (const digest of leavings.digests) {
      const bytes = this.#index.dropBody(digest)
      if (bytes !== undefined) leavings.freed.set(digest, bytes)
    }
    leavings.digests.clear()
  }

  /** The entry is gone when nobody else put another in its place meanwhile. */
  #dropDamaged(entry: CachedResponse, damage: DamagedBody): void {
    this.#tidily(() => {
      if (!this.#isOpen || !this.remove(entry.id)) return
      this.#corrupt++
      this.#options.onFault(damage)
    })
  }

  /** All of `work` or nothing of it; files go after the index says so. */
  #change<T>(what: string, work: (leavings: Leavings) => T): T {
    this.#checkOpen()
    const leavings: Leavings = { keys: [], digests: new Set(), freed: new Map(), evicted: 0, isOver: false }
    const result = this.#ask(what, () => this.#index.transaction(() => {
      const value = work(leavings)
      this.#dropBodies(leavings)
      return value
    }))
    this.#evicted += leavings.evicted
    for (const key of leavings.keys) this.#recent.delete(key)
    for (const [digest, bytes] of leavings.freed) {
      this.#reader.forget(digest)
      this.#files.remove(digest, bytes)
    }
    if (leavings.isOver) this.#evictLater()
    return result
  }

  #ask<T>(what: string, work: () => T): T {
    this.#checkOpen()
    try {
      return work()
    } catch (error) {
      throw cacheFault(what, error)
    }
  }

  /** For what nobody waits for. */
  #tidily(work: () => unknown): void {
    try {
      work()
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new ProxyError('cache_failed', 'the cache is closed')
  }

  #storeUses(limit?: number): void {
    this.#tidily(() => this.#ask('last uses could not be stored', () => this.#uses.store(limit)))
  }
}
