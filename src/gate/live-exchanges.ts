// Exchanges that are open, from their admission to their end: each is judged again when the policy
// changes, and closed when it is no longer allowed. Works in slices so that ten thousand tunnels do not
// stall the loop.
import { Roster } from '../roster.ts'
import type { IpAddress } from '../target/address.ts'
import type { Admitted } from './admitted.ts'

/** why an open exchange is closed from our side */
export type LiveEnd = 'policy_changed' | 'session_ended' | 'grant_ended' | 'draining'

export interface LiveJudge {
  readonly stillAllowed: (admitted: Admitted, addresses: readonly IpAddress[] | undefined) => boolean
  /** whether nothing that its decision rests on has changed since: policy, session, grant */
  readonly isCurrent: (admitted: Admitted) => boolean
  /** what to call it when it is no longer allowed */
  readonly endOf: (admitted: Admitted) => LiveEnd
}

const sliceSize = 500

/** One open exchange. Once `closedBy` is set nothing more of it may be relayed. */
export class LiveExchange {
  readonly admitted: Admitted
  readonly #judge: LiveJudge
  readonly #open: Roster<LiveExchange>
  place = -1
  #addresses: readonly IpAddress[] | undefined
  #close: () => void
  #closedBy: LiveEnd | undefined

  constructor(admitted: Admitted, judge: LiveJudge, open: Roster<LiveExchange>, close: () => void) {
    this.admitted = admitted
    this.#judge = judge
    this.#open = open
    this.#close = close
    open.add(this)
    this.#judgeIfReplaced()
  }

  get closedBy(): LiveEnd | undefined {
    return this.#closedBy
  }

  /** The addresses it is or may be connected to: from now on they are judged with it. Undefined where
   * a parent proxy is the far end, which policy does not judge. */
  reached(addresses: readonly IpAddress[] | undefined): void {
    this.#addresses = addresses
    this.#judgeIfReplaced()
  }

  /** What closes it from now on; called at once when it is closed already. */
  onClose(close: () => void): void {
    this.#close = close
    if (this.#closedBy !== undefined) close()
  }

  close(by: LiveEnd): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = by
    this.#close()
  }

  /** It has ended; nobody judges it any more. */
  done(): void {
    this.#open.remove(this)
  }

  judgeAgain(): boolean {
    if (this.#judge.stillAllowed(this.admitted, this.#addresses)) return true
    this.close(this.#judge.endOf(this.admitted))
    return false
  }

  /** A change of policy between two steps of the exchange is not noticed by `judgeAgain` of the whole. */
  #judgeIfReplaced(): void {
    if (!this.#judge.isCurrent(this.admitted)) this.judgeAgain()
  }
}

export class LiveExchanges {
  readonly #open = new Roster<LiveExchange>()
  readonly #judge: LiveJudge

  constructor(judge: LiveJudge) {
    this.#judge = judge
  }

  get size(): number {
    return this.#open.size
  }

  /** Registers an exchange that was admitted; `close` ends it, with whatever it has opened by then. */
  open(admitted: Admitted, close: () => void): LiveExchange {
    return new LiveExchange(admitted, this.#judge, this.#open, close)
  }

  /** Judges every open exchange by the policy that is now in force. Resolves with the number closed. */
  async judgeAgain(): Promise<number> {
    let closed = 0
    let seen = 0
    for (const live of this.#open.all()) {
      if (this.#open.has(live) && !live.judgeAgain()) closed += 1
      seen += 1
      if (seen % sliceSize === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return closed
  }

  /** Closes those whose grant has run out; called every so often. */
  closeOverdue(nowMs: number): void {
    for (const live of this.#open.all()) {
      const untilMs = live.admitted.use?.liveUntilMs
      if (untilMs !== undefined && untilMs <= nowMs) live.close('grant_ended')
    }
  }

  closeAll(): void {
    for (const live of this.#open.all()) live.close('draining')
  }
}
