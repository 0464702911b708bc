// The exchanges that are held, by the approval they wait for. Each is settled exactly once: by a decision, by
// its time limit, or because its client left. Small on purpose: there may be ten thousand.
import type { Deadline, Deadlines } from '../deadlines.ts'

/** `changed`: the approval is no longer pending, so the question is judged again; `stopping`: the process ends */
export type Settlement = 'changed' | 'timeout' | 'left' | 'stopping'

export interface Waiter {
  readonly settled: Promise<Settlement>
  /** The client is gone. */
  leave(): void
}

interface Held {
  settle(how: Settlement): void
}

export class Waiters {
  readonly #deadlines: Deadlines
  readonly #byApproval = new Map<string, Set<Held>>()
  /** after the number of those that wait for an approval changed */
  readonly #onCount: (approvalId: string, count: number) => void
  #isStopping = false

  constructor(deadlines: Deadlines, onCount: (approvalId: string, count: number) => void) {
    this.#deadlines = deadlines
    this.#onCount = onCount
  }

  count(approvalId: string): number {
    return this.#byApproval.get(approvalId)?.size ?? 0
  }

  hold(approvalId: string, ms: number): Waiter {
    if (this.#isStopping) return { settled: Promise.resolve('stopping'), leave: () => undefined }
    const { promise, resolve } = Promise.withResolvers<Settlement>()
    let deadline: Deadline | undefined
    const held: Held = {
      settle: (how) => {
        if (!this.#remove(approvalId, held)) return
        if (deadline !== undefined) this.#deadlines.cancel(deadline)
        resolve(how)
      },
    }
    const others = this.#byApproval.get(approvalId)
    if (others === undefined) this.#byApproval.set(approvalId, new Set([held]))
    else others.add(held)
    deadline = this.#deadlines.in(ms, () => held.settle('timeout'))
    this.#onCount(approvalId, this.count(approvalId))
    return { settled: promise, leave: () => held.settle('left') }
  }

  /** The approval is pending no more: everybody who waits for it is judged again. */
  release(approvalId: string): number {
    const waiting = [...(this.#byApproval.get(approvalId) ?? [])]
    for (const held of waiting) held.settle('changed')
    return waiting.length
  }

  /** Lets go of everybody, and holds nobody from now on. */
  stop(): void {
    this.#isStopping = true
    for (const waiting of [...this.#byApproval.values()]) for (const held of [...waiting]) held.settle('stopping')
  }

  #remove(approvalId: string, held: Held): boolean {
    const waiting = this.#byApproval.get(approvalId)
    if (waiting?.delete(held) !== true) return false
    if (waiting.size === 0) this.#byApproval.delete(approvalId)
    this.#onCount(approvalId, waiting.size)
    return true
  }
}
