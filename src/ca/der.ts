// A small writer of DER (ITU-T X.690), as much of it as certificates need. Pure. It never writes a form that DER
// forbids: lengths and integers are minimal, times are in UTC to the second.

export type Bytes = Uint8Array

/** One element: tag, definite length, the parts one after the other. */
export function tlv(tag: number, ...parts: readonly Bytes[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const head = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x1_0000 ? 4 : 5
  if (length >= 0x100_0000) throw new RangeError(`an element of ${length} bytes is longer than a certificate ever is`)
  const out = Buffer.allocUnsafe(head + length)
  out[0] = tag
  out[1] = head === 2 ? length : 0x80 + head - 2
  if (head > 2) out.writeUIntBE(length, 2, head - 2)
  let at = head
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

export function sequence(...parts: readonly Bytes[]): Buffer {
  return tlv(0x30, ...parts)
}

export function set(...parts: readonly Bytes[]): Buffer {
  return tlv(0x31, ...parts)
}

/** A non-negative integer from its big-endian bytes, in the shortest form. */
export function integer(bytes: Bytes): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1
  const magnitude = bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(start)
  return (magnitude[0] ?? 0) > 0x7f ? tlv(0x02, Uint8Array.of(0), magnitude) : tlv(0x02, magnitude)
}

export function boolean(value: boolean): Buffer {
  return tlv(0x01, Uint8Array.of(value ? 0xff : 0))
}

export function nothing(): Buffer {
  return tlv(0x05)
}

export function octets(...parts: readonly Bytes[]): Buffer {
  return tlv(0x04, ...parts)
}

/** A bit string; the last `unused` bits are padding. */
export function bits(bytes: Bytes, unused = 0): Buffer {
  return tlv(0x03, Uint8Array.of(unused), bytes)
}

/** From dotted decimal. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const content: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    if (!Number.isInteger(arc) || arc < 0 || arc > 0x7fff_ffff) throw new RangeError(`not an object identifier: ${dotted}`)
    const digits = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f))
    content.push(...digits)
  }
  return tlv(0x06, Uint8Array.from(content))
}

export function utf8(text: string): Buffer {
  return tlv(0x0c, Buffer.from(text, 'utf8'))
}

/** `[n]` around whole elements. */
export function explicit(n: number, ...parts: readonly Bytes[]): Buffer {
  return tlv(0xa0 + n, ...parts)
}

/** `[n]` in place of a primitive's own tag. */
export function implicit(n: number, content: Bytes): Buffer {
  return tlv(0x80 + n, content)
}

/** A time as RFC 5280 section 4.1.2.5 has it: UTCTime until 2049, GeneralizedTime after; below the second it is cut. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const year = Number(digits.slice(0, 4))
  if (digits.length !== 15 || year < 1950) throw new RangeError(`a time that no certificate has: ${digits}`)
  return year < 2050 ? tlv(0x17, Buffer.from(digits.slice(2), 'latin1')) : tlv(0x18, Buffer.from(digits, 'latin1'))
}
