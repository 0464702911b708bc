// Request ids: ULIDs (48 bits of time, 80 random bits, Crockford base 32), sortable and unguessable.
import { randomFillSync } from 'node:crypto'
import type { Clock } from '../clock.ts'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const randomPerId = 16

export class RequestIds {
  readonly #clock: Clock
  readonly #pool = Buffer.alloc(4096)
  #digits = ''
  #used = 0
  #prefix = ''
  #prefixMs = -1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next(): string {
    if (this.#used + randomPerId > this.#digits.length) this.#refill()
    const now = this.#clock.now()
    if (now !== this.#prefixMs) {
      this.#prefix = encodeTime(now)
      this.#prefixMs = now
    }
    const from = this.#used
    this.#used += randomPerId
    return this.#prefix + this.#digits.slice(from, this.#used)
  }

  /** Each random byte becomes one digit of five bits. */
  #refill(): void {
    randomFillSync(this.#pool)
    for (let at = 0; at < this.#pool.length; at++) this.#pool[at] = alphabet.charCodeAt((this.#pool[at] ?? 0) & 31)
    this.#digits = this.#pool.toString('latin1')
    this.#used = 0
  }
}

function encodeTime(ms: number): string {
  let text = ''
  let rest = ms
  for (let index = 0; index < 10; index += 1) {
    text = alphabet.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}
