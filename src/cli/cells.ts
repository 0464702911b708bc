// Text in terminal cells: how wide it is, cut and padded to a width, wrapped, set in columns. Pure. Everything
// that goes in is escaped first, so that what comes out holds no control character.
import { escapeText } from '../audit/escape.ts'

const combining = /^\p{M}$/u
// East Asian Wide and Fullwidth (Unicode TR11), and what terminals draw as a picture
const wide = /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})$/u
const plain = /^[\x20-\x7e]*$/

/** Cells that escaped text takes. */
export function cellWidth(text: string): number {
  if (plain.test(text)) return text.length
  let cells = 0
  for (const character of text) cells += characterWidth(character)
  return cells
}

function characterWidth(character: string): 0 | 1 | 2 {
  if (combining.test(character)) return 0
  return wide.test(character) ? 2 : 1
}

/** Escaped text in at most `width` cells; what is cut ends in `…`. */
export function fit(text: string, width: number): string {
  if (cellWidth(text) <= width) return text
  let cells = 0
  let kept = ''
  for (const character of text) {
    cells += characterWidth(character)
    if (cells > width - 1) break
    kept += character
  }
  return width < 1 ? '' : `${kept}…`
}

/** Escaped text in at most `width` cells; what is cut is cut from its middle. */
export function fitMiddle(text: string, width: number): string {
  if (cellWidth(text) <= width) return text
  const head = fit(text, Math.ceil((width + 1) / 2)).slice(0, -1)
  let tail = ''
  for (const character of Array.from(text).toReversed()) {
    if (cellWidth(head) + cellWidth(tail) + characterWidth(character) > width - 1) break
    tail = character + tail
  }
  return width < 1 ? '' : `${head}…${tail}`
}

/** Escaped text in exactly `width` cells. */
export function pad(text: string, width: number): string {
  const cut = fit(text, width)
  return cut + ' '.repeat(Math.max(0, width - cellWidth(cut)))
}

/** Escaped text in lines of at most `width` cells, broken at blanks where there are any. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`
    if (cellWidth(joined) <= width) {
      line = joined
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    while (cellWidth(line) > width) {
      const head = headOf(line, width)
      lines.push(head)
      line = line.slice(head.length)
    }
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line]
}

/** The longest beginning that fits; at least one character, so that wrapping ends. */
function headOf(text: string, width: number): string {
  let cells = 0
  let head = ''
  for (const character of text) {
    cells += characterWidth(character)
    if (cells > width && head !== '') break
    head += character
  }
  return head
}

/** Rows in columns below a heading, each line ending in a newline; nothing foreign in it is left unescaped. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows.map((row) => row.map((cell) => escapeText(cell, 200)))]
  const widths = heading.map((_, column) => Math.max(...all.map((row) => cellWidth(row[column] ?? ''))))
  return all.map((row) => `${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  ').trimEnd()}\n`).join('')
}
