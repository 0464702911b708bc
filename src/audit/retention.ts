// How long segments stay: by age and by total size, oldest first, one at a time, and never one that an
// exporter still has to deliver. Undelivered records are worth more than room: then the journal is full.
import { unlink } from 'node:fs/promises'

export interface ClosedSegment {
  readonly name: string
  readonly path: string
  readonly firstSeq: number
  readonly lastSeq: number
  readonly bytes: number
  /** time of its first record, about; `ms` since the epoch */
  readonly startedMs: number
  /** time of its last record, about */
  readonly endedMs: number
}

export interface RetentionLimits {
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** what the open segment may grow to: room that is made ahead */
  readonly segmentBytes: number
}

export class Retention {
  readonly #limits: RetentionLimits
  readonly #closed: ClosedSegment[]
  readonly #onRemoved: (segment: ClosedSegment, wasDelivered: boolean) => void
  readonly #onFault: (error: unknown) => void
  #closedBytes: number
  /** the last record the exporter has delivered; undefined: there is no exporter */
  #deliveredSeq: number | undefined
  #removing: Promise<void> | undefined

  constructor(options: {
    readonly limits: RetentionLimits
    readonly closed: readonly ClosedSegment[]
    readonly deliveredSeq: number | undefined
    readonly onRemoved: (segment: ClosedSegment, wasDelivered: boolean) => void
    readonly onFault: (error: unknown) => void
  }) {
    this.#limits = options.limits
    this.#closed = [...options.closed]
    this.#closedBytes = options.closed.reduce((sum, segment) => sum + segment.bytes, 0)
    this.#deliveredSeq = options.deliveredSeq
    this.#onRemoved = options.onRemoved
    this.#onFault = options.onFault
  }

  get closedBytes(): number {
    return this.#closedBytes
  }

  get segments(): number {
    return this.#closed.length
  }

  get oldest(): ClosedSegment | undefined {
    return this.#closed[0]
  }

  get deliveredSeq(): number | undefined {
    return this.#deliveredSeq
  }

  deliver(seq: number): void {
    if (this.#deliveredSeq !== undefined && seq > this.#deliveredSeq) this.#deliveredSeq = seq
  }

  add(segment: ClosedSegment): void {
    this.#closed.push(segment)
    this.#closedBytes += segment.bytes
  }

  /** Bytes that may not be removed: what the exporter has not delivered, and the open segment. */
  heldBytes(activeBytes: number): number {
    if (this.#deliveredSeq === undefined) return activeBytes
    let held = activeBytes
    for (const segment of this.#closed) if (segment.lastSeq > this.#deliveredSeq) held += segment.bytes
    return held
  }

  /** No room is left and none may be made. */
  isFull(activeBytes: number): boolean {
    return this.#closedBytes + activeBytes >= this.#limits.maxBytes && this.heldBytes(activeBytes) >= this.#limits.maxBytes
  }

  /** Removes what is too old or too much, in the background, one file after the other. */
  prune(nowMs: number, activeBytes: number): void {
    if (this.#removing !== undefined) return
    const segment = this.#closed[0]
    if (segment === undefined || !this.#isDue(segment, nowMs, activeBytes)) return
    this.#removing = this.#removeFrom(segment, nowMs, activeBytes)
  }

  /** Resolves when no removal is under way. */
  async settled(): Promise<void> {
    while (this.#removing !== undefined) await this.#removing
  }

  async #removeFrom(first: ClosedSegment, nowMs: number, activeBytes: number): Promise<void> {
    let segment: ClosedSegment | undefined = first
    while (segment !== undefined && this.#isDue(segment, nowMs, activeBytes)) {
      if (!(await this.#remove(segment))) break
      segment = this.#closed[0]
    }
    this.#removing = undefined
  }

  #isDue(segment: ClosedSegment, nowMs: number, activeBytes: number): boolean {
    if (this.#deliveredSeq !== undefined && segment.lastSeq > this.#deliveredSeq) return false
    return nowMs - segment.endedMs > this.#limits.maxAgeMs || this.#closedBytes + Math.max(activeBytes, this.#limits.segmentBytes) > this.#limits.maxBytes
  }

  async #remove(segment: ClosedSegment): Promise<boolean> {
    try {
      await unlink(segment.path)
    } catch (error) {
      this.#onFault(error)
      // somebody else removed it: then it is gone all the same
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) return false
    }
    this.#closed.shift()
    this.#closedBytes -= segment.bytes
    this.#onRemoved(segment, this.#deliveredSeq !== undefined)
    return true
  }
}
