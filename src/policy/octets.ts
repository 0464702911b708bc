// Bytes of a request-target as characters (Latin-1): how they are decoded, and what is no text. Never repairs.

/** Decodes `%xx` once; what is no escape stays as it is. */
export function decodeOctets(raw: string): string {
  if (!raw.includes('%')) return raw
  return raw.replaceAll(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** The UTF-8 bytes of a text. */
export function utf8Octets(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('')
}

/** Overlong forms and surrogates are not UTF-8: an origin that accepts them reads something else. */
export function isUtf8(octets: string): boolean {
  if (!/[\x80-\xff]/.test(octets)) return true
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    decoder.decode(Uint8Array.from(octets, (c) => c.charCodeAt(0)))
    return true
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}
