// Keys of the cache as texts, and what is remembered under them: which keys SQLite may be asked for, and how much an
// answer without its body takes in memory. Pure.
import type { CachedResponse, CacheKey } from './cached-response.ts'

/** No two keys have the same name: a shelf has no blank, and the length says where the partition ends. */
export function nameOf({ shelf, partition, url }: CacheKey): string {
  return `${shelf} ${partition.length} ${partition}${url}`
}

/** SQLite would take another text for one that is not well-formed. */
export function isKey({ url, partition }: CacheKey): boolean {
  return url.isWellFormed() && partition.isWellFormed() && !url.includes('\0') && !partition.includes('\0')
}

/** Roughly, in bytes. */
export function weightOf(entries: readonly CachedResponse[], name: string): number {
  let weight = 2 * name.length + 256
  for (const { fields, vary } of entries) {
    weight += 512 + 64 * vary.length
    for (const field of fields) weight += field.length + 32
    for (const [, value] of vary) weight += value?.length ?? 0
  }
  return weight
}
