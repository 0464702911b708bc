// What stands in Proxy-Authorization: Basic credentials (RFC 7617), in the one spelling that the credentials of
// a session can have. Pure. Nothing of a value that is not understood is guessed, repeated or kept.

export interface Credentials {
  /** id of a session, if it is one */
  readonly user: string
  readonly password: string
}

// those of a session take 82; what is longer is none
const maxLength = 256
// the scheme's name is any case, spaces as RFC 9110 section 11.4 has them
const basic = /^basic +([A-Za-z0-9+/]{4,}={0,2})$/i
// a session's id and token are of these; controls, spaces and everything beyond ASCII are not
const visible = /^[\x21-\x7e]+$/

/** `values`: those of every Proxy-Authorization field of a request, at least one; a repeated field is not
 * valid, whatever stands in it. undefined: not valid. What is percent-encoded in a proxy's URL, its client decodes. */
export function parseCredentials(values: readonly string[]): Credentials | undefined {
  const [value, ...more] = values
  if (value === undefined || more.length > 0 || value.length > maxLength) return undefined
  const encoded = basic.exec(value)?.[1]
  if (encoded === undefined) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  // node takes wrong padding and stray bits; one text has one spelling here
  if (bytes.toString('base64') !== encoded) return undefined
  const text = bytes.toString('latin1')
  if (!visible.test(text)) return undefined
  const colon = text.indexOf(':')
  if (colon < 1 || colon === text.length - 1) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
