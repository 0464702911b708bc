// `sallyport audit search`: the records of the journal that fit, found by its index where there is one. It reads the
// files themselves, with or without a proxy.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { findRecords, journalRecords } from '../audit/journal-query.ts'
import { readIndex, termFields, type RecordIndex } from '../audit/record-index.ts'
import type { RecordFilter } from '../audit/record-filter.ts'
import { countRecords, searchJournal } from '../audit/record-search.ts'
import { systemClock } from '../clock.ts'
import { nearestWord } from '../policy/suggestion.ts'
import { asciiJson } from './ascii-json.ts'
import { askedText, filterOptions, filterOptionsHelp, readFilter, type FilterValues } from './filter-options.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount } from './journal-place.ts'
import { plural } from './plural.ts'
import { recordLine } from './record-line.ts'
import type { CommandIo } from './run.ts'

export const searchUsage = `usage: sallyport audit search [OPTIONS]

Shows the records of the journal that fit all that is asked, one line each, the newest last.

  -n N            how many, the newest ones (default: 100)
  --count         only how many fit, all of them
${filterOptionsHelp}
A GLOB has * for anything, ? for one character, [ab] and {one,other}, and a ! in front for all others; case does
not count. A running proxy keeps an index, so that this is quick in a long journal; without it the answer is the same.

${journalOptionsHelp}  --json          the records as they are journaled, one JSON object a line; with --count one object

examples:
  sallyport audit search --host '*.example.com' --verdict deny --since 7d
  sallyport audit search --agent codex --code 'dns_*' --count
  sallyport audit search --event 'approval.*' --team web -n 20 --json

exit codes: 0 ok, 1 there is no journal, 2 wrong command line
`

const options = { ...journalOptions, ...filterOptions, number: { type: 'string', short: 'n', default: '100' }, count: { type: 'boolean', default: false } } as const

export async function search(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options })
  const limit = readCount('-n', values.number)
  const filter = readFilter(values, systemClock.now())
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const index = readIndex(dir)
  try {
    const { newest } = await findRecords(dir, 0, () => false)
    if (newest === undefined) {
      io.err(missingJournal(dir))
      return 1
    }
    const found = values.count ? await countAll(dir, filter, index, values.json, io) : await showAll(dir, filter, index, limit, values.json, io)
    if (found === 0) await sayNothingFound(dir, newest.seq, values, filter, index, io)
  } finally {
    index?.close()
  }
  return 0
}

async function countAll(dir: string, filter: RecordFilter, index: RecordIndex | undefined, isJson: boolean, io: CommandIo): Promise<number> {
  const { count, invalid } = await countRecords(dir, filter.question, index)
  io.out(isJson ? `${JSON.stringify({ count })}\n` : `${count}\n`)
  sayInvalid(invalid, io)
  return count
}

async function showAll(dir: string, filter: RecordFilter, index: RecordIndex | undefined, limit: number, isJson: boolean, io: CommandIo): Promise<number> {
  const { records, invalid, lookedTo } = await searchJournal(dir, { question: filter.question, from: 'newest', limit }, index)
  for (const record of records) io.out(isJson ? `${asciiJson(record)}\n` : recordLine(record, io.isTty))
  sayInvalid(invalid, io)
  if (lookedTo !== undefined && !isJson) io.err(`the newest ${records.length}; there may be older ones: -n ${records.length * 10}, or --until, shows them, and --count counts all\n`)
  return records.length
}

/** Said of what stands in the journal and is no record, so that nobody takes an answer for more than it is. */
export function sayInvalid(invalid: number, io: CommandIo): void {
  if (invalid > 0) io.err(`${plural(invalid, 'line')} ${invalid === 1 ? 'is no valid record' : 'are no valid records'}; run \`sallyport audit verify\`\n`)
}

/** What was looked through, so that an empty answer is never mistaken for a quiet proxy. */
async function sayNothingFound(dir: string, lastSeq: number, values: FilterValues, filter: RecordFilter, index: RecordIndex | undefined, io: CommandIo): Promise<void> {
  const asked = askedText(values)
  const oldest = await first(journalRecords(dir))
  io.err(`no record fits${asked === '' ? '' : ` ${escapeText(asked)}`}: records ${oldest?.seq ?? 1} to ${lastSeq} were searched${oldest === undefined ? '' : `, the oldest of ${escapeText(oldest.time, 32)}`}\n`)
  if (index !== undefined) for (const line of strangers(filter, index)) io.err(line)
}

async function first<T>(items: AsyncGenerator<T>): Promise<T | undefined> {
  for await (const item of items) return item
  return undefined
}

/** A word that no record has at all, and one that was probably meant. */
function strangers(filter: RecordFilter, index: RecordIndex): readonly string[] {
  return termFields.flatMap((field) => {
    const text = filter.globs.get(field)?.text
    if (text === undefined) return []
    const known = new Set<string>()
    for (const term of index.terms(field)) {
      if (filter.fits(field, term.text)) return []
      known.add(field === 'host' ? term.text.slice(0, term.text.lastIndexOf(':')) : term.text)
    }
    const near = nearestWord(text, known)
    const some = known.size > 0 && known.size <= 8 ? `; there ${known.size === 1 ? 'is' : 'are'} ${[...known].map((word) => `\`${escapeText(word)}\``).join(', ')}` : ''
    return [`no ${field} that is indexed fits \`${escapeText(text)}\`${near === undefined ? some : `; did you mean \`${escapeText(near)}\`?`}\n`]
  })
}
