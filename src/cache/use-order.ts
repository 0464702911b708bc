// In which order the entries of the cache were used: counted, not timed, so that a clock that jumps evicts nothing.
// Uses are kept here and written in batches, never one by one; what a kill loses may let an entry go too early.
import type { CacheIndex, EntryPlace } from './cache-index.ts'

const maxKept = 256

export class UseOrder {
  readonly #index: CacheIndex
  /** what the index does not know yet: id to place in the order */
  readonly #uses = new Map<number, number>()
  #last: number

  constructor(index: CacheIndex) {
    this.#index = index
    this.#last = index.lastUsed()
  }

  next(): number {
    return ++this.#last
  }

  /** True when so many are kept that they are to be stored now. */
  use(id: number): boolean {
    this.#uses.set(id, this.next())
    return this.#uses.size >= maxKept
  }

  forget(id: number): void {
    this.#uses.delete(id)
  }

  /** Of the entries that are not pinned the one used longest ago. To be asked within a transaction. */
  leastUsed(): EntryPlace | undefined {
    for (;;) {
      const place = this.#index.leastUsed()
      const used = place === undefined ? undefined : this.#uses.get(place.id)
      if (place === undefined || used === undefined) return place
      this.#index.setUsed(place.id, used)
      this.#uses.delete(place.id)
    }
  }

  /** What cannot be written is forgotten. Throws what the index throws. */
  store(): void {
    if (this.#uses.size === 0) return
    const uses = [...this.#uses]
    this.#uses.clear()
    this.#index.transaction(() => {
      for (const [id, used] of uses) this.#index.setUsed(id, used)
    })
  }
}
