// Entries of the cache as a WARC archive. Content is read through the store, which checks its digest; an entry whose content
// is gone or damaged is told and left out.
import type { CacheFilter, CacheStore } from './cache-store.ts'
import type { CachedResponse } from './cached-response.ts'
import { writeWarc } from './warc-writer.ts'
import type { ArchivedEntry, ArchiveOptions } from './warc-writer.ts'

export interface ExportOptions extends ArchiveOptions {
  readonly filter: CacheFilter
  /** told of each entry that cannot be written */
  readonly onLost: (entry: CachedResponse) => void
}

const pageSize = 100

/** The archive, newest entries first, as a stream of bytes. Throws what the store throws. */
export function exportWarc(store: CacheStore, options: ExportOptions): AsyncIterable<Uint8Array> {
  return writeWarc(entriesOf(store, options), options)
}

async function* entriesOf(store: CacheStore, { filter, onLost }: ExportOptions): AsyncGenerator<ArchivedEntry> {
  let before: number | undefined
  for (;;) {
    const entries = store.list(filter, pageSize, before)
    for (const entry of entries) {
      const body = entry.bodyBytes === 0 ? undefined : await store.read(entry)
      if (entry.bodyBytes > 0 && body === undefined) onLost(entry)
      else yield { entry, body }
    }
    before = entries.at(-1)?.id
    if (before === undefined) return
  }
}
