// `sallyport audit tail`: what was decided, as it is journaled. It reads the files themselves, with or without a proxy.
import { parseArgs } from 'node:util'
import { findRecords, followRecords } from '../audit/journal-query.ts'
import type { JournalRecord } from '../audit/record.ts'
import { readIndex } from '../audit/record-index.ts'
import { searchJournal } from '../audit/record-search.ts'
import { systemClock } from '../clock.ts'
import { asciiJson } from './ascii-json.ts'
import { sayInvalid } from './audit-search.ts'
import { filterOptions, filterOptionsHelp, readFilter } from './filter-options.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount } from './journal-place.ts'
import { recordLine } from './record-line.ts'
import type { CommandIo } from './run.ts'

export const tailUsage = `usage: sallyport audit tail [OPTIONS]

Shows the newest records of the journal, one line each, oldest first.

  -n N            how many (default: 20)
  -f, --follow    go on with what is appended, until interrupted
${filterOptionsHelp}${journalOptionsHelp}  --json          the records as they are journaled, one JSON object a line

examples:
  sallyport audit tail -f --verdict deny
  sallyport audit tail -n 100 --host '*.githubusercontent.com' --json

exit codes: 0 ok, 1 there is no journal, 2 wrong command line
`

const options = {
  ...journalOptions,
  ...filterOptions,
  count: { type: 'string', short: 'n', default: '20' },
  follow: { type: 'boolean', short: 'f', default: false },
} as const

export async function tail(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options })
  const limit = readCount('-n', values.count)
  const filter = readFilter(values, systemClock.now())
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const show = (record: JournalRecord): void => io.out(values.json ? `${asciiJson(record)}\n` : recordLine(record, io.isTty))
  const { newest, segments } = await findRecords(dir, 0, () => false)
  if (segments === 0 && !values.follow) {
    io.err(missingJournal(dir))
    return 1
  }
  const index = filter.isEmpty ? undefined : readIndex(dir)
  try {
    const { records, invalid } = await searchJournal(dir, { question: filter.question, from: 'newest', limit, beforeSeq: (newest?.seq ?? 0) + 1 }, index)
    for (const record of records) show(record)
    sayInvalid(invalid, io)
  } finally {
    index?.close()
  }
  if (!values.follow) return 0
  const signal = io.signal ?? new AbortController().signal
  for await (const record of followRecords(dir, newest, signal)) {
    if (filter.matches(record)) show(record)
  }
  return 0
}
