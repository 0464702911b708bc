// What a form sent, and the token that says that one of our own pages made the form. It must never take a
// field twice, and never compare a token in a time that tells how much of it was right.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { ReviewFault } from '../../approvals/review-fault.ts'

/** Fields of a form by name. */
export class FormFields {
  readonly #fields = new Map<string, string>()

  /** Reads `application/x-www-form-urlencoded`. Throws ReviewFault `invalid` for a field that is there twice. */
  constructor(text: string) {
    for (const [name, value] of new URLSearchParams(text)) {
      if (this.#fields.has(name)) throw new ReviewFault('invalid', 'The form holds a field twice.')
      this.#fields.set(name, value)
    }
  }

  /** Empty for what was not sent. */
  get(name: string): string {
    return this.#fields.get(name) ?? ''
  }
}

/** HMAC-SHA-256 over a purpose and what it holds for, as base64url. */
export function sealOf(key: Uint8Array, purpose: 'form' | 'answer', ...parts: readonly string[]): string {
  return createHmac('sha256', key).update(JSON.stringify([purpose, ...parts])).digest('base64url')
}

/** Whether a form sent the seal that was expected; constant time in `given`. */
export function isSealed(expected: string, given: string): boolean {
  const own = Buffer.from(expected)
  const theirs = Buffer.alloc(own.length)
  theirs.write(given)
  return timingSafeEqual(own, theirs) && given.length === expected.length
}
