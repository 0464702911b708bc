// What the cache room wants of whoever keeps its answers. INVARIANT: what is found is whole: an entry appears with
// all of its body or not at all, and a body is handed out only after its digest was checked.
import type { CachedHead, CachedResponse, CacheKey, CacheSource, NewCachedResponse, Shelf } from './cached-response.ts'

/** A body on its way in; nobody sees it before `put`. */
export interface BodyWriter {
  readonly bytes: number
  /** Resolves when more is wanted. Rejects with ProxyError `cache_failed` where the disk does not take it. */
  write(chunk: Uint8Array): Promise<void>
  /** All of it has come. Rejects as `write` does. */
  finish(): Promise<WrittenBody>
  /** Nothing of it stays. */
  abort(): void
}

export interface WrittenBody {
  /** SHA-256, hexadecimal */
  readonly digest: string
  readonly bytes: number
}

/** A part of a body: `last` is inclusive. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

export interface CacheFilter {
  readonly shelf?: Shelf
  readonly partition?: string
  /** true for the URLs that are meant; absent: all */
  readonly matches?: (url: string) => boolean
  readonly source?: CacheSource
}

export interface CacheStats {
  readonly entries: number
  readonly pinned: number
  /** of all bodies on disk; equal bodies count once */
  readonly bodyBytes: number
  readonly maxBytes: number
  readonly evicted: number
  /** bodies whose digest was wrong when they were read; their entries are gone */
  readonly corrupt: number
}

export interface CacheStore {
  /** Every answer kept under the key, the newest first. Synchronous: an index lookup. */
  find(key: CacheKey): readonly CachedResponse[]
  writeBody(): BodyWriter
  /** Makes the entry visible, in place of one with the same key and `vary`. `undefined`: an answer without content. */
  put(entry: NewCachedResponse, body: WrittenBody | undefined): CachedResponse
  /** A 304 confirmed it: new fields and a new age, the same body. */
  refresh(id: number, head: CachedHead): CachedResponse | undefined
  /** What `read` would resolve with, where that is in memory already; undefined: `read` has to be asked. Throws RangeError
   * for a range that the body does not have. */
  readHot?(entry: CachedResponse, range?: ByteRange): Uint8Array | undefined
  /** The content, or a part of it, digest checked; undefined when it is gone or damaged, and then so is the entry. */
  read(entry: CachedResponse, range?: ByteRange): Promise<AsyncIterable<Uint8Array> | Uint8Array | undefined>
  remove(id: number): boolean
  setPinned(id: number, pinned: boolean): boolean
  /** Newest first, from below `before` (an id), at most `limit`. */
  list(filter: CacheFilter, limit: number, before?: number): readonly CachedResponse[]
  /** As `list`, in small turns: for a filter that few of many match. */
  search(filter: CacheFilter, limit: number, before?: number): Promise<readonly CachedResponse[]>
  /** Entries that this person put there, counted; with `isScrubbing` nothing says so any more. */
  forgetPerson?(person: string, isScrubbing: boolean): Promise<number>
  stats(): CacheStats
  /** Bodies that are being written are given up. */
  close(): void
}
