// Where a redirect leads (RFC 9110 section 10.2.2), for those who follow one themselves. Pure. What it names is only a
// text: whoever follows it parses it with target/ and has it decided anew.
import { onlyValue } from '../target/field-list.ts'

export const maxRedirects = 5
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Absolute; undefined: it is no redirect, or leads nowhere that http can go. A Location that is there twice leads nowhere. */
export function redirectOf({ status, fields }: { readonly status: number; readonly fields: readonly string[] }, from: string): string | undefined {
  if (!redirects.has(status)) return undefined
  const location = onlyValue(fields, 'location')
  const url = location === undefined ? null : URL.parse(escaped(location), from)
  return url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') ? undefined : url.href
}

/** Fields are bytes as Latin-1: those beyond ASCII, of UTF-8 mostly, are escaped as they are. */
function escaped(location: string): string {
  return location.replaceAll(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
}
