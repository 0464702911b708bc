// Lets a few through in each turn of the event loop, in the order in which they came. What comes in crowds (new
// connections, their handshakes, limits that end together) would fill a turn for as long as the crowd is large, and
// whoever is served already would wait for all of it, several times over: a request takes three or four turns. Must
// never let anybody through twice, nor out of order.
import type { EventEmitter } from 'node:events'

const defaultPerTurn = 4
/** places of those who are through, before the queue is made anew */
const maxEmpty = 1_024

export class Turnstile {
  readonly #perTurn: number
  #waiting: ((() => void) | undefined)[] = []
  /** of those that wait, how many are through */
  #at = 0
  /** in this turn */
  #passed = 0

  constructor(perTurn = defaultPerTurn) {
    this.#perTurn = perTurn
  }

  /** how many wait */
  get size(): number {
    return this.#waiting.length - this.#at
  }

  /** Whether the caller may go on now; false: it waits its turn, through `pass`. */
  passNow(): boolean {
    if (this.#passed === this.#perTurn || this.size > 0) return false
    this.#count()
    return true
  }

  /** Calls `go` once: now, or in a later turn where too many were before it. */
  pass(go: () => void): void {
    if (this.passNow()) go()
    else this.#waiting.push(go)
  }

  /** As `pass`, for who is asynchronous anyway; whose socket closes waits no longer. */
  passed(socket: Pick<EventEmitter, 'once' | 'off'>): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        socket.off('close', go)
        resolve()
      }
      socket.once('close', go)
      this.pass(go)
    })
  }

  #count(): void {
    this.#passed += 1
    if (this.#passed === 1) setImmediate(this.#turn)
  }

  readonly #turn = (): void => {
    this.#passed = 0
    while (this.#passed < this.#perTurn) {
      const go = this.#waiting[this.#at]
      if (go === undefined) {
        this.#waiting = []
        this.#at = 0
        return
      }
      // what it holds is not needed any more, and others may come for as long as there is one
      this.#waiting[this.#at] = undefined
      this.#at += 1
      this.#count()
      go()
    }
    if (this.#at < maxEmpty) return
    this.#waiting = this.#waiting.slice(this.#at)
    this.#at = 0
  }
}

/** Those of the ingress: a turn takes a millisecond or two of each kind. */
export interface Turnstiles {
  /** what a new connection begins with */
  readonly arrivals: Turnstile
  /** signing and key exchange, which are what is dearest of a connection */
  readonly handshakes: Turnstile
  /** refusals of connections that took too long */
  readonly endings: Turnstile
}

export function createTurnstiles(): Turnstiles {
  return { arrivals: new Turnstile(16), handshakes: new Turnstile(2), endings: new Turnstile() }
}
