// What a header field is made of (RFC 9110 section 5), the same on every side: ours and the origins', heads, trailers and
// settings. Texts are bytes as Latin-1. Pure.

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const notInValue = /[^\t\x20-\x7e\x80-\xff]/
const visibleEnds = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/
const space = 0x20
const tab = 0x09

/** A token (RFC 9110 section 5.6.2): what names of fields and methods are. */
export function isToken(text: string): boolean {
  return token.test(text)
}

/** Holds nothing that could end its line, nor any other control character (RFC 9110 section 5.5); it may be empty. */
export function isFieldValue(text: string): boolean {
  return !notInValue.test(text)
}

/** A field value as it is without what may stand around it: not empty, and nothing at either end that could be read in two ways. */
export function isTrimmedFieldValue(text: string): boolean {
  return visibleEnds.test(text)
}

/** What is between `start` and `end` without the spaces and tabs around it (RFC 9112 section 5.1), in time linear to its length. */
export function withoutBlanks(text: string, start: number, end: number): string {
  const from = afterBlanks(text, start, end)
  let to = end
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

/** The first place from `start` on that is neither space nor tab, at most `end`. */
export function afterBlanks(text: string, start: number, end: number): number {
  let from = start
  while (from < end && isBlank(text.charCodeAt(from))) from++
  return from
}

function isBlank(code: number): boolean {
  return code === space || code === tab
}
