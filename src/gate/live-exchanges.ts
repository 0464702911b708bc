// Tunnels and streams that are open: each is judged again when the policy changes, and closed when it
// is no longer allowed. Works in slices so that ten thousand tunnels do not stall the loop.
import type { IpAddress } from '../target/address.ts'
import type { Admitted } from './admitted.ts'

/** why an open exchange is closed from our side */
export type LiveEnd = 'policy_changed' | 'draining'

export interface LiveExchange {
  readonly admitted: Admitted
  /** the address that is connected, when one is */
  readonly address: IpAddress | undefined
  /** closes both sides; the exchange then ends with this code */
  readonly close: (code: LiveEnd) => void
}

const sliceSize = 500

export class LiveExchanges {
  readonly #open = new Set<LiveExchange>()
  readonly #stillAllowed: (admitted: Admitted, address: IpAddress | undefined) => boolean
  readonly #isCurrent: (admitted: Admitted) => boolean

  constructor(judge: {
    readonly stillAllowed: (admitted: Admitted, address: IpAddress | undefined) => boolean
    readonly isCurrent: (admitted: Admitted) => boolean
  }) {
    this.#stillAllowed = judge.stillAllowed
    this.#isCurrent = judge.isCurrent
  }

  get size(): number {
    return this.#open.size
  }

  /** Registers an open exchange; the answer takes it out again. One that was decided by a policy which
   * has been replaced in the meantime is judged at once. */
  add(live: LiveExchange): () => void {
    this.#open.add(live)
    if (!this.#isCurrent(live.admitted) && !this.#stillAllowed(live.admitted, live.address)) live.close('policy_changed')
    return () => this.#open.delete(live)
  }

  /** Judges every open exchange by the policy that is now in force. Resolves with the number closed. */
  async judgeAgain(): Promise<number> {
    let closed = 0
    let seen = 0
    for (const live of [...this.#open]) {
      if (this.#open.has(live) && !this.#stillAllowed(live.admitted, live.address)) {
        live.close('policy_changed')
        closed += 1
      }
      seen += 1
      if (seen % sliceSize === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return closed
  }

  closeAll(): void {
    for (const live of [...this.#open]) live.close('draining')
  }
}
