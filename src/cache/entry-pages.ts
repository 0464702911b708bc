// The entries of shelf `web` as lists, exports and removals go through them: newest first, in bounded steps between which
// the loop is free. It reads the index alone and changes nothing.
import { setImmediate as turn } from 'node:timers/promises'
import type { CacheStore } from './cache-store.ts'
import type { CachedResponse, CacheSource } from './cached-response.ts'
import type { UrlGlob } from './url-glob.ts'

export interface EntryFilter {
  readonly partition?: string | undefined
  readonly source?: CacheSource | undefined
  readonly glob?: UrlGlob | undefined
  /** absent: all */
  readonly mayRead?: ((entry: CachedResponse) => boolean) | undefined
}

export interface EntryPage {
  readonly items: readonly CachedResponse[]
  /** where to go on, an id; undefined: there is no more. A page may be short, or empty, and have a next one all the same */
  readonly next: number | undefined
}

const stepEntries = 256
const scannedEntries = 20_000

/** At most `limit` entries from below `before`, an id. Throws GlobFault, and what the store throws. */
export async function entryPage(store: CacheStore, filter: EntryFilter, limit: number, before?: number): Promise<EntryPage> {
  const { partition, source, glob, mayRead } = filter
  const wanted = { shelf: 'web', ...(partition === undefined ? {} : { partition }), ...(source === undefined ? {} : { source }) } as const
  const items: CachedResponse[] = []
  let below = before
  for (let scanned = 0; scanned < scannedEntries; ) {
    const entries = store.list(wanted, stepEntries, below)
    const fits = glob?.fits(entries.map(({ key }) => key.url))
    for (const [at, entry] of entries.entries()) {
      const isMeant = fits?.[at] !== false && mayRead?.(entry) !== false
      // one more than is asked for says whether there is a next page
      if (isMeant && items.length === limit) return { items, next: items.at(-1)?.id }
      if (isMeant) items.push(entry)
    }
    below = entries.at(-1)?.id
    scanned += entries.length
    if (entries.length < stepEntries) return { items, next: undefined }
    await turn()
  }
  return { items, next: below }
}

/** All of them. Throws as `entryPage` does. */
export async function* allEntries(store: CacheStore, filter: EntryFilter): AsyncGenerator<CachedResponse> {
  let before: number | undefined
  do {
    const { items, next } = await entryPage(store, filter, stepEntries, before)
    yield* items
    before = next
  } while (before !== undefined)
}

/** The entry of this id. */
export function entryById(store: CacheStore, id: number): CachedResponse | undefined {
  const [entry] = store.list({ shelf: 'web' }, 1, id + 1)
  return entry?.id === id ? entry : undefined
}

export interface EntryGroup {
  readonly source: CacheSource
  readonly partition: string
  readonly entries: number
  /** of content, equal bodies counted each time */
  readonly bytes: number
}

export interface EntryGroups {
  /** largest first */
  readonly groups: readonly EntryGroup[]
  /** there are more entries than were counted: the newest were */
  readonly isPartial: boolean
}

const countedEntries = 200_000

/** What there is by source and partition. Throws what the store throws. */
export async function entryGroups(store: CacheStore, mayRead: (entry: CachedResponse) => boolean): Promise<EntryGroups> {
  const counts = new Map<string, { -readonly [Member in keyof EntryGroup]: EntryGroup[Member] }>()
  const sorted = (): readonly EntryGroup[] => [...counts.values()].toSorted((one, other) => other.bytes - one.bytes || other.entries - one.entries)
  let counted = 0
  for await (const entry of allEntries(store, { mayRead })) {
    if (counted === countedEntries) return { groups: sorted(), isPartial: true }
    counted += 1
    const { source, key: { partition }, bodyBytes } = entry
    const name = `${source} ${partition}`
    const group = counts.get(name) ?? { source, partition, entries: 0, bytes: 0 }
    group.entries += 1
    group.bytes += bodyBytes
    counts.set(name, group)
  }
  return { groups: sorted(), isPartial: false }
}
