// In which order the entries of the cache were used: counted, not timed, so that a clock that jumps evicts nothing.
// Uses are kept here and written in small batches, never one by one. Where more come than are written the oldest of
// them is forgotten, as with a kill: such an entry may go too early, and that is all.
import type { CacheIndex, EntryPlace } from './cache-index.ts'

const maxKept = 1_024

export class UseOrder {
  readonly #index: CacheIndex
  /** what the index does not know yet: id to place in the order */
  readonly #uses = new Map<number, number>()
  #last: number
  /** the last to be used, while that is in `#uses` */
  #newest: number | undefined

  constructor(index: CacheIndex) {
    this.#index = index
    this.#last = index.lastUsed()
  }

  next(): number {
    this.#newest = undefined
    return ++this.#last
  }

  use(id: number): void {
    if (id === this.#newest) return
    // the last to be used stands last
    this.#uses.delete(id)
    this.#uses.set(id, this.next())
    this.#newest = id
    if (this.#uses.size <= maxKept) return
    for (const [oldest] of this.#uses) {
      this.#uses.delete(oldest)
      return
    }
  }

  forget(id: number): void {
    if (id === this.#newest) this.#newest = undefined
    this.#uses.delete(id)
  }

  /** Of the entries that are not pinned the one used longest ago. To be asked within a transaction. */
  leastUsed(): EntryPlace | undefined {
    for (;;) {
      const place = this.#index.leastUsed()
      const used = place === undefined ? undefined : this.#uses.get(place.id)
      if (place === undefined || used === undefined) return place
      this.#index.setUsed(place.id, used)
      this.forget(place.id)
    }
  }

  /** Writes at most `limit` of them, the oldest first. What cannot be written is forgotten. Throws what the index throws. */
  store(limit = maxKept): void {
    if (this.#uses.size === 0) return
    const uses = this.#uses.entries().take(limit).toArray()
    for (const [id] of uses) this.forget(id)
    this.#index.transaction(() => {
      for (const [id, used] of uses) this.#index.setUsed(id, used)
    })
  }
}
