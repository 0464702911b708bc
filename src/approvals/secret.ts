// Secrets that sallyport issues: how they are made, and the only form in which they are kept. A secret itself
// is returned once and stored nowhere.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const secretBytes = 32
const idLength = 12
// no characters that are easily taken for another; 32 of them, so that five bits choose one without bias
const idAlphabet = 'abcdefghijkmnpqrstuvwxyz23456789'

/** 43 characters of `[A-Za-z0-9_-]`: 256 random bits. */
export function newSecret(): string {
  return randomBytes(secretBytes).toString('base64url')
}

/** `prefix` and 12 letters or digits: 60 random bits. A name, no secret. */
export function newId(prefix: string): string {
  let id = prefix
  for (const byte of randomBytes(idLength)) id += idAlphabet.charAt(byte & 31)
  return id
}

/** SHA-256. Nothing slower is needed: nobody guesses 256 random bits. */
export function hashOf(secret: string): Uint8Array {
  return hash('sha256', secret, 'buffer')
}

/** In constant time. */
export function isSameHash(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}
