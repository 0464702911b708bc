// Request ids: ULIDs (48 bits of time, 80 random bits, Crockford base 32), sortable and unguessable.
import { randomFillSync } from 'node:crypto'
import type { Clock } from '../clock.ts'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const randomPerId = 16

export class RequestIds {
  readonly #clock: Clock
  readonly #pool = new Uint8Array(4096)
  #used = 4096
  #prefix = ''
  #prefixMs = -1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next(): string {
    if (this.#used + randomPerId > this.#pool.length) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const now = this.#clock.now()
    if (now !== this.#prefixMs) {
      this.#prefix = encodeTime(now)
      this.#prefixMs = now
    }
    let id = this.#prefix
    for (let end = this.#used + randomPerId; this.#used < end; this.#used += 1) {
      id += alphabet.charAt((this.#pool[this.#used] ?? 0) & 31)
    }
    return id
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
