// Leaves that were made, by host: few enough for memory, and never handed out shortly before their end.
import { LRUCache } from 'lru-cache'
import type { Host } from '../target/host.ts'
import type { Leaf } from './authority.ts'
import type { LeafMaker } from './leaf.ts'

export const maxLeaves = 10_000
/** a leaf with less left is made again: a connection opened with it may last */
const leastLeftMs = 12 * 3_600_000

interface Kept {
  readonly leaf: Leaf
  readonly madeMs: number
}

export class LeafCache {
  readonly #maker: LeafMaker
  readonly #leaves: LRUCache<string, Kept>

  constructor(maker: LeafMaker, max = maxLeaves) {
    this.#maker = maker
    this.#leaves = new LRUCache({ max })
  }

  get size(): number {
    return this.#leaves.size
  }

  /** The same object as long as it is good. Throws ProxyError `ca_unavailable`. */
  leafFor(host: Host, nowMs: number): Leaf {
    const kept = this.#leaves.get(host.text)
    if (kept !== undefined && this.#isGood(kept, nowMs)) return kept.leaf
    const leaf = this.#maker.make(host, nowMs)
    this.#leaves.set(host.text, { leaf, madeMs: nowMs })
    return leaf
  }

  #isGood({ leaf, madeMs }: Kept, nowMs: number): boolean {
    // a clock that was set back may have passed the begin of the leaf
    if (nowMs < madeMs - 1_800_000 || nowMs >= leaf.notAfterMs) return false
    // near the end of the root a new leaf would end no later
    return leaf.notAfterMs - nowMs >= leastLeftMs || this.#maker.endOf(nowMs) <= leaf.notAfterMs
  }
}
