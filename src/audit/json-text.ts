// Text and numbers as they stand in a line of the journal: valid JSON, ASCII only. Pure. Nearly every
// text is plain and is handed back as it is; what is not must never end a string or a line early.

const foreign = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const notAscii = /[^\x20-\x7e]/g

/** What stands between the quotes of a JSON string; the very same text when nothing in it needs escaping. */
export function jsonText(text: string): string {
  return foreign.test(text) ? escapeNonAscii(JSON.stringify(text).slice(1, -1)) : text
}

/** Whether a text is the same in JSON, and visible ASCII. */
export function isPlain(text: string): boolean {
  return !foreign.test(text)
}

/** As `jsonText`, of the first `maxLength` UTF-16 units. */
export function cappedJson(text: string, maxLength: number): string {
  return jsonText(text.length <= maxLength ? text : text.slice(0, maxLength))
}

/** JSON has no word for what is not finite. */
export function jsonNumber(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null'
}

/** JSON text with everything that is not visible ASCII as `\uNNNN`; JSON itself leaves DEL and what is beyond. */
export function escapeNonAscii(json: string): string {
  return json.replace(notAscii, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The same ASCII text in one piece: what is put together once and used a million times is copied faster so. */
export function inOnePiece(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
