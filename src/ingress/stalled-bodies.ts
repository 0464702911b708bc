// A request body that stops arriving holds a connection, an origin connection and a decision. One sweep
// looks at all bodies under way; one that sent nothing for too long, while it was free to, is cut.
import type { ClientRequest } from '../egress/client-leg.ts'
import { Turnstile } from '../turnstile.ts'

interface Watched {
  bytes: number
  quietMs: number
  /** its request is held: nobody reads it, and its client may wait to be told to go on */
  isResting: boolean
  /** its reader waits for what comes, though it does not flow */
  isExpected: boolean
}

const maxSweepMs = 2_500
// before the first look at it
const unseen = -1

export class StalledBodies {
  readonly #limitMs: number
  readonly #sweepMs: number
  readonly #endings: Turnstile
  readonly #bodies = new Map<ClientRequest, Watched>()
  #timer: NodeJS.Timeout | undefined

  constructor(limitMs: number, endings = new Turnstile()) {
    this.#limitMs = limitMs
    this.#endings = endings
    this.#sweepMs = Math.min(maxSweepMs, Math.max(20, limitMs / 4))
  }

  /** From now on; only for a request that has a body. */
  watch(request: ClientRequest): void {
    if (request.complete) return
    this.#bodies.set(request, { bytes: unseen, quietMs: 0, isResting: false, isExpected: false })
    const forget = (): void => {
      this.#bodies.delete(request)
      if (this.#bodies.size === 0) this.stop()
    }
    request.once('end', forget)
    request.once('close', forget)
    this.#timer ??= setInterval(() => this.#sweep(), this.#sweepMs).unref()
  }

  /** Silence counts for nothing until the end of it, which is returned. */
  rest(request: ClientRequest): () => void {
    const watched = this.#bodies.get(request)
    if (watched === undefined) return () => undefined
    watched.isResting = true
    return () => {
      watched.isResting = false
    }
  }

  /** Silence counts, though nothing flows, until the end of it, which is returned: for who reads chunk by chunk. */
  expect(request: ClientRequest): () => void {
    const watched = this.#bodies.get(request)
    if (watched === undefined) return () => undefined
    watched.isExpected = true
    return () => {
      watched.isExpected = false
    }
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Whose turn has come; it may be whole by now. */
  #cut(request: ClientRequest): void {
    if (this.#bodies.has(request) && !request.complete) request.socket.destroy()
  }

  #sweep(): void {
    for (const [request, watched] of this.#bodies) {
      // all of it is here; its reader takes its time
      if (request.complete) continue
      const bytes = request.socket.bytesRead
      // paused by back-pressure of the origin: not the client's silence
      const isFree = (request.readableFlowing !== false || watched.isExpected) && !watched.isResting
      watched.quietMs = isFree && bytes === watched.bytes ? watched.quietMs + this.#sweepMs : 0
      watched.bytes = bytes
      if (watched.quietMs >= this.#limitMs) this.#endings.pass(() => this.#cut(request))
    }
  }
}
