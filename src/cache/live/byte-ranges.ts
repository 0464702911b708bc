// Range requests on a whole answer that is kept (RFC 9110 section 14). Pure. One range of bytes, or it is somebody else's.
import type { ByteRange } from '../cache-store.ts'

const oneRange = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/i

/** Whether the value of Range asks for one range of bytes and says nothing else. */
export function isOneRange(value: string): boolean {
  const parsed = oneRange.exec(value.trim())
  if (parsed === null) return false
  const [, first, last] = parsed
  return first === undefined || last === undefined || last === '' || Number(first) <= Number(last)
}

/** The part of `length` bytes that is asked for; undefined: none of it is there. */
export function rangeOf(value: string, length: number): ByteRange | undefined {
  const [, first, last, suffix] = oneRange.exec(value.trim()) ?? []
  if (suffix !== undefined) {
    const count = Math.min(Number(suffix), length)
    return count === 0 ? undefined : { first: length - count, last: length - 1 }
  }
  if (first === undefined || Number(first) >= length) return undefined
  return { first: Number(first), last: last === undefined || last === '' ? length - 1 : Math.min(Number(last), length - 1) }
}
