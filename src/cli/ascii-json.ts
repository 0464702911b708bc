// JSON for people's terminals and programs alike: plain ASCII, so that no text in it can move the cursor,
// hide or reorder anything.

/** One line without its newline; what is not printable ASCII is written as `\uNNNN`. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
