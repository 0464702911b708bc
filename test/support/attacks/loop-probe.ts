// A client that asks the same small thing again as soon as it is answered, and so sees how long the proxy's
// event loop does nothing for it. What counts is relative: gaps against this client's own usual gap.
import type net from 'node:net'
import { open } from './inside-client.ts'

/** a gap of so many usual ones is a stall */
const stallTimes = 10

export class LoopProbe {
  readonly #socket: net.Socket
  readonly #request: string
  #received = ''
  #lastMs = performance.now()
  #gaps: number[] = []
  #usualMs = Infinity
  readonly #waiting = new Set<() => void>()

  private constructor(socket: net.Socket, authority: string) {
    this.#socket = socket
    this.#request = `GET http://${authority}/ok HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
    socket.on('close', () => this.#wake())
  }

  /** A connection to the proxy, with the first request on its way to a plain origin. */
  static async open(port: number, authority: string): Promise<LoopProbe> {
    const probe = new LoopProbe(await open(port), authority)
    probe.#socket.write(probe.#request)
    return probe
  }

  #hear(chunk: Buffer): void {
    this.#received += chunk.toString('latin1')
    // the origin's body is its request line
    if (!this.#received.endsWith('GET /ok\n') && !this.#received.endsWith('GET /ok\n\r\n0\r\n\r\n')) return
    this.#received = ''
    const now = performance.now()
    this.#gaps.push(now - this.#lastMs)
    this.#lastMs = now
    this.#wake()
    this.#socket.write(this.#request)
  }

  #wake(): void {
    for (const check of this.#waiting) check()
  }

  /** Waits until it was answered so often. */
  answers(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#gaps.length < count && !this.#socket.destroyed) return
        this.#waiting.delete(check)
        if (this.#gaps.length < count) reject(new Error(`the connection that is watched was closed: ${this.#received.slice(0, 200)}`))
        else resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }

  /** From here on gaps are counted, against the middle one of those before. */
  begin(): void {
    this.#usualMs = this.#gaps.toSorted((a, b) => a - b)[this.#gaps.length >> 1] ?? Infinity
    this.#gaps = []
  }

  /** Share of the time since `begin` that gaps of many times the usual one took, 0 to 1. */
  stalled(): number {
    const gaps = [...this.#gaps, performance.now() - this.#lastMs]
    const total = gaps.reduce((sum, gap) => sum + gap, 0)
    const long = gaps.filter((gap) => gap > this.#usualMs * stallTimes).reduce((sum, gap) => sum + gap, 0)
    return long / total
  }

  close(): void {
    this.#socket.destroy()
  }
}
