// How long segments stay: by age and by total size, oldest first, one at a time, and never one that a
// destination still has to take. Undelivered records are worth more than room: then the journal is full.
import { unlink } from 'node:fs/promises'
import { isAbsent } from './absent.ts'

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
  /** of its last record */
  readonly lastHash: string
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
  readonly #beforeRemoval: (segment: ClosedSegment) => Promise<boolean>
  readonly #onRemoved: (segment: ClosedSegment, wasDelivered: boolean) => void
  readonly #onFault: (error: unknown) => void
  #closedBytes: number
  /** the last record that every destination has; undefined: there is none */
  #deliveredSeq: number | undefined
  #removing: Promise<void> | undefined

  constructor(options: {
    readonly limits: RetentionLimits
    readonly closed: readonly ClosedSegment[]
    readonly deliveredSeq: number | undefined
    /** leaves behind what must stay when all up to this segment are removed; false: they may not be removed now */
    readonly beforeRemoval: (segment: ClosedSegment) => Promise<boolean>
    readonly onRemoved: (segment: ClosedSegment, wasDelivered: boolean) => void
    readonly onFault: (error: unknown) => void
  }) {
    this.#limits = options.limits
    this.#closed = [...options.closed]
    this.#closedBytes = options.closed.reduce((sum, segment) => sum + segment.bytes, 0)
    this.#deliveredSeq = options.deliveredSeq
    this.#beforeRemoval = options.beforeRemoval
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

  /** Bytes that may not be removed: what some destination has not taken, and the open segment. */
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
    if (this.#removing !== undefined || this.#due(nowMs, activeBytes).length === 0) return
    this.#removing = this.#removeDue(nowMs, activeBytes)
  }

  /** Resolves when no removal is under way. */
  async settled(): Promise<void> {
    while (this.#removing !== undefined) await this.#removing
  }

  async #removeDue(nowMs: number, activeBytes: number): Promise<void> {
    try {
      // what became due meanwhile goes with the next turn: the slower this is, the more go at once
      for (let due = this.#due(nowMs, activeBytes); due.length > 0; due = this.#due(nowMs, activeBytes)) {
        const last = due.at(-1)
        if (last === undefined || !(await this.#beforeRemoval(last))) return
        for (const segment of due) if (!(await this.#remove(segment))) return
      }
    } catch (error) {
      this.#onFault(error)
    } finally {
      this.#removing = undefined
    }
  }

  /** The oldest segments that are to leave now, in their order. */
  #due(nowMs: number, activeBytes: number): readonly ClosedSegment[] {
    const due: ClosedSegment[] = []
    let bytes = this.#closedBytes + Math.max(activeBytes, this.#limits.segmentBytes)
    for (const segment of this.#closed) {
      if (this.#deliveredSeq !== undefined && segment.lastSeq > this.#deliveredSeq) break
      if (nowMs - segment.endedMs <= this.#limits.maxAgeMs && bytes <= this.#limits.maxBytes) break
      bytes -= segment.bytes
      due.push(segment)
    }
    return due
  }

  async #remove(segment: ClosedSegment): Promise<boolean> {
    try {
      await unlink(segment.path)
    } catch (error) {
      this.#onFault(error)
      // somebody else removed it: then it is gone all the same
      if (!isAbsent(error)) return false
    }
    this.#closed.shift()
    this.#closedBytes -= segment.bytes
    this.#onRemoved(segment, this.#deliveredSeq !== undefined)
    return true
  }
}
