// What lies beside the segments of the journal and may name people in the clear: records that a collector refused, and
// torn ends, of before sealing or without it. Segments themselves are never changed.
import { appendFileSync, closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from './absent.ts'
import { escapeNonAscii } from './json-text.ts'
import { personKeyOf } from './personal.ts'

const names = /"(?:user\.name|sallyport\.actor\.name|sallyport\.reviewer\.name|sallyport\.reviewer\.second)":("(?:[^"\\]|\\.)*")/g

/** Whether a line of the journal names a person in the clear, however the name is written; `folded`: as `personKeyOf` has it. */
export function isNamedIn(line: string, folded: string): boolean {
  for (const [, json = '""'] of line.matchAll(names)) if (isName(json, folded)) return true
  return false
}

function isName(json: string, folded: string): boolean {
  try {
    const name: unknown = JSON.parse(json)
    return typeof name === 'string' && personKeyOf(name) === folded
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return false
  }
}

/** The same of a line of a poison file: a record, or the text of a line that was none. */
function isNamedInPoison(line: string, folded: string): boolean {
  return isNamedIn(line, folded) || (line.includes('"text":') && isNamedInPiece(line, folded))
}

/** A piece of a line may break off anywhere, and what stands in another text is escaped once more. */
function isNamedInPiece(text: string, folded: string): boolean {
  const once = asciiOf(folded)
  return [once, asciiOf(once)].some((name) => personKeyOf(text).includes(name))
}

/** Lines of poison files and torn ends that name the person; with `isScrubbing` they are overwritten and removed. */
export async function forgetInFiles(journalDir: string, person: string, isScrubbing: boolean): Promise<number> {
  let count = 0
  const folded = personKeyOf(person)
  for (const name of await namesIn(journalDir)) {
    const path = join(journalDir, name)
    if (name.endsWith('.torn')) {
      // a piece of one record, which was never acknowledged
      if (!isNamedInPiece(readFileSync(path, 'latin1'), folded)) continue
      count++
      if (isScrubbing) replaceText(path, () => undefined)
    } else if (name.endsWith('poison.jsonl')) {
      const without = (text: string): string => text.split('\n').filter((line) => !isNamedInPoison(line, folded)).join('\n')
      const named = readFileSync(path, 'latin1').split('\n').filter((line) => isNamedInPoison(line, folded)).length
      count += named
      if (isScrubbing && named > 0) replaceText(path, without)
    }
  }
  return count
}

/** As it stands between the quotes of a line. */
function asciiOf(text: string): string {
  return escapeNonAscii(JSON.stringify(text)).slice(1, -1).toLowerCase()
}

/** Puts what `change` makes of a file in its place, or nothing, and overwrites the old bytes. */
function replaceText(path: string, change: (text: string) => string | undefined): void {
  const old = openSync(path, 'r+')
  try {
    const text = readFileSync(old, 'latin1')
    const changed = change(text)
    if (changed === undefined) rmSync(path)
    else {
      const draft = `${path}.tmp`
      writeFileSync(draft, changed, { encoding: 'latin1', mode: 0o600, flush: true })
      renameSync(draft, path)
      // the exporter may have written to it meanwhile
      const late = readFileSync(old, 'latin1')
      if (late.length > 0) appendFileSync(path, change(late) ?? '', { encoding: 'latin1', flush: true })
    }
    writeSync(old, ' '.repeat(fstatSync(old).size), 0)
    fsyncSync(old)
  } finally {
    closeSync(old)
  }
}
