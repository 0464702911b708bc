// What lies beside the segments of the journal and may name people in the clear: records that a collector refused, and
// torn ends, of before sealing or without it. Segments themselves are never changed.
import { appendFileSync, closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeNonAscii } from './json-text.ts'
import { personKeyOf } from './personal.ts'

/** How a line of the journal names a person in the clear. */
export function namingLines(person: string): RegExp {
  const spelled = [...new Set([person, personKeyOf(person)].map((name) => RegExp.escape(escapeNonAscii(JSON.stringify(name)))))]
  return new RegExp(`"(?:user\\.name|sallyport\\.actor\\.name|sallyport\\.reviewer\\.name|sallyport\\.reviewer\\.second)":(?:${spelled.join('|')})`, 'i')
}

export function isNamedIn(line: string, naming: RegExp): boolean {
  return naming.test(line)
}

/** Lines of poison files and torn ends that name the person; with `isScrubbing` they are overwritten and removed. */
export async function forgetInFiles(journalDir: string, person: string, isScrubbing: boolean): Promise<number> {
  let count = 0
  const naming = namingLines(person)
  for (const name of await namesIn(journalDir)) {
    const path = join(journalDir, name)
    if (name.endsWith('.torn')) {
      // a piece of one record, which was never acknowledged
      if (!personKeyOf(readFileSync(path, 'latin1')).includes(asciiOf(personKeyOf(person)))) continue
      count++
      if (isScrubbing) replaceText(path, () => undefined)
    } else if (name.endsWith('poison.jsonl')) {
      const without = (text: string): string => text.split('\n').filter((line) => !isNamedIn(line, naming)).join('\n')
      const named = readFileSync(path, 'latin1').split('\n').filter((line) => isNamedIn(line, naming)).length
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

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
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
