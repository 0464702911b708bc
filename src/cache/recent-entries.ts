// What the index said of keys that were asked for lately, so that a hit reads no row. Bounded by weight; whoever changes
// what is kept under a key says so. In front of it stand the last few as they were found: finding a page again makes no
// text of its key. It never answers by the place alone.
import { LRUCache } from 'lru-cache'
import { Slots } from '../audit/slots.ts'
import type { CachedResponse, CacheKey } from './cached-response.ts'
import { nameOf, weightOf } from './key-name.ts'

interface Known {
  readonly key: CacheKey
  readonly found: readonly CachedResponse[]
  readonly weight: number
}

const maxBytes = 16_777_216
/** a heavier one is not among the last few, which are not weighed */
const maxLastBytes = 8_192

export class RecentEntries {
  readonly #known = new LRUCache<string, Known>({ maxSize: maxBytes, sizeCalculation: ({ weight }) => weight })
  #last = new Slots<Known>()

  /** undefined: the index has to be asked. */
  get(key: CacheKey): readonly CachedResponse[] | undefined {
    const place = placeOf(key)
    const last = this.#last.get(place)
    if (last !== undefined && isSame(last.key, key)) return last.found
    const known = this.#known.get(nameOf(key))
    if (known !== undefined && known.weight <= maxLastBytes) this.#last.put(place, known)
    return known?.found
  }

  set(key: CacheKey, found: readonly CachedResponse[]): void {
    const name = nameOf(key)
    this.#last.put(placeOf(key), undefined)
    this.#known.set(name, { key, found, weight: weightOf(found, name) })
  }

  delete(key: CacheKey): void {
    this.#last.put(placeOf(key), undefined)
    this.#known.delete(nameOf(key))
  }

  clear(): void {
    this.#last = new Slots()
    this.#known.clear()
  }
}

function isSame(a: CacheKey, b: CacheKey): boolean {
  return a.url === b.url && a.partition === b.partition && a.shelf === b.shelf
}

/** Pages of one site differ at their ends. */
function placeOf({ url, partition }: CacheKey): number {
  const end = url.length - 1
  return (url.length + partition.length * 31 + url.charCodeAt(end) * 7 + url.charCodeAt(end - 1) * 53 + url.charCodeAt(end - 3) * 101) & 0xff
}
