// What a client of HTTP/2 may cost beside its requests: a rate that refills with time, and what its own
// requests and bodies give. Pure; it never forgives more than its burst.

/** Starts full. Amounts in any one unit. */
export class Budget {
  readonly #burst: number
  readonly #perMs: number
  #level: number
  #atMs: number

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst
    this.#perMs = perSecond / 1000
    this.#level = burst
    this.#atMs = nowMs
  }

  /** Takes `cost` off what is there with `earned`; false when that was too little. */
  spend(cost: number, nowMs: number, earned = 0): boolean {
    const refilled = this.#level + (nowMs - this.#atMs) * this.#perMs
    this.#atMs = nowMs
    this.#level = Math.min(this.#burst, refilled + earned - cost)
    return this.#level >= 0
  }
}

/** Browsers have kept the numbers below it for other things: a client may leave them out. */
const firstAtMost = 15

/** Streams that nghttp2 resets are never heard of: they are found where the numbers leave them out (RFC 9113
 * section 5.1.1). A client that skips numbers looks as if it had opened streams; it may skip the first seven, and
 * what was reset among those is not known. */
export class UnseenStreams {
  #last = 0

  /** A stream was heard of: how many before it were not. */
  saw(id: number): number {
    const missed = this.#last === 0 ? (id - firstAtMost) / 2 : (id - this.#last) / 2 - 1
    this.#last = Math.max(this.#last, id)
    return Math.max(0, missed)
  }

  /** Whether streams up to `id` were opened that nobody has heard of yet. */
  isBehind(id: number): boolean {
    return id > this.#last
  }

  /** All up to `id` are settled: how many of them were never heard of. */
  settle(id: number): number {
    if (id <= this.#last) return 0
    const missed = this.#last === 0 ? Math.max(1, (id - firstAtMost) / 2 + 1) : (id - this.#last) / 2
    this.#last = id
    return missed
  }
}
