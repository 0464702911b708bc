// `sallyport audit export`: records of the journal in the form that another program reads, or whole segments that
// another machine can check. It reads the files themselves, with or without a proxy, and changes nothing.
import { existsSync, readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import { parseArgs } from 'node:util'
import { formatNames, formatter, type FormatName } from '../audit/formats/formatter.ts'
import { journalRecords, type RecordWindow } from '../audit/journal-query.ts'
import { globFields, type RecordFilter, wordFields } from '../audit/record-filter.ts'
import { copySegments } from '../audit/segment-copy.ts'
import { listSegments } from '../audit/segments.ts'
import { systemClock } from '../clock.ts'
import { asciiJson } from './ascii-json.ts'
import { type ExportTarget, fileTarget, stdoutTarget } from './export-target.ts'
import { askedText, filterOptions, filterOptionsHelp, readFilter } from './filter-options.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount, readEnvironment } from './journal-place.ts'
import { plural } from './plural.ts'
import { type CommandIo, UsageError, version } from './run.ts'
import { sizeText } from './size-words.ts'

export const exportUsage = `usage: sallyport audit export [OPTIONS]
       sallyport audit export --segments DIR [OPTIONS]

Writes records of the journal, oldest first, one a line.

  --format NAME   jsonl: the journal's own lines, unchanged (default); ocsf, ecs: JSON of the Open
                  Cybersecurity Schema Framework 1.9.0 or the Elastic Common Schema; cef: ArcSight's
  --from N        from record N on
${filterOptionsHelp}  --out FILE      into a file, which is there whole or not at all (default: stdout)
  --force         replace FILE
  --segments DIR  whole segments instead, as they stand, with the checkpoints and the public keys that
                  prove them, into a new folder; --from, --since and --until choose which
${journalOptionsHelp}  --json          what was exported, as one JSON object on stdout; with --out or --segments

Whoever is to check that nothing is missing needs a whole stretch of the chain: --segments, or jsonl without
a filter; \`sallyport audit verify\` takes both, --dir and --file. docs/siem/formats.md says what becomes what.

examples:
  sallyport audit export --format ocsf --since 2h | head
  sallyport audit export --format cef --verdict deny --since 7d --out denied.cef
  sallyport audit export --segments /mnt/evidence/2027-01 --since 2027-01-01 --until 2027-02-01

exit codes: 0 ok, 1 there is no journal, or records in it are missing or broken, 2 wrong command line
`

const options = {
  ...journalOptions,
  ...filterOptions,
  format: { type: 'string', default: 'jsonl' },
  from: { type: 'string' },
  out: { type: 'string' },
  force: { type: 'boolean', default: false },
  segments: { type: 'string' },
} as const

type Values = ReturnType<typeof parse>

export async function exportRecords(argv: readonly string[], io: CommandIo, isProgressShown = isatty(2)): Promise<number> {
  try {
    return await run(argv, io, isProgressShown)
  } catch (error) {
    // a full disk, a folder that is not there or not ours: what the system says names the file
    if (!(error instanceof Error && 'syscall' in error)) throw error
    io.err(`sallyport audit export: ${error.message}\n`)
    return 1
  }
}

async function run(argv: readonly string[], io: CommandIo, isProgressShown: boolean): Promise<number> {
  const values = parse(argv)
  const format = readFormat(values.format)
  const filter = readFilter(values, systemClock.now())
  const fromSeq = values.from === undefined ? undefined : readSeq(values.from)
  const { sinceMs, untilMs } = filter.question
  const window: RecordWindow = { fromSeq, sinceMs, untilMs }
  checkTogether(values)
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  if ((await listSegments(dir)).length === 0) {
    io.err(missingJournal(dir))
    return 1
  }
  const progress = new Progress(io, isProgressShown && (values.out !== undefined || values.segments !== undefined))
  if (values.segments !== undefined) return exportSegments(dir, resolve(io.cwd, values.segments), window, values.json, io, progress)
  const environment = readEnvironment(values, io)
  if (environment === undefined) return 1
  const path = values.out === undefined ? undefined : resolve(io.cwd, values.out)
  if (path !== undefined && !values.force && existsSync(path)) {
    io.err(`\`${path}\` is there already: give another name, or --force to replace it\n`)
    return 1
  }
  const target = path === undefined ? stdoutTarget(io) : await fileTarget(path, values.force)
  try {
    const done = await writeRecords(dir, window, filter, format, environment, target, io.signal, progress)
    progress.end()
    if (done === undefined) {
      io.err('interrupted; nothing was exported\n')
      return 1
    }
    await target.finish()
    return sayExported(done, { format, path, asked: askedText(values), hasFilter: hasFilter(filter), isJson: values.json }, io)
  } finally {
    progress.end()
    await target.abandon()
  }
}

function parse(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options }).values
}

function readFormat(text: string): FormatName {
  const name = formatNames.find((each) => each === text)
  if (name === undefined) throw new UsageError(`\`--format ${text}\` is not ${formatNames.slice(0, -1).join(', ')} or ${formatNames.at(-1) ?? ''}`)
  return name
}

function readSeq(text: string): number {
  return /^\d{8,15}$/.test(text) ? Number(text) : readCount('--from', text)
}

function checkTogether(values: Values): void {
  const { segments, out, force, json, format } = values
  if (json && out === undefined && segments === undefined) throw new UsageError('--json says what was exported on stdout, where the records go: give --out or --segments too')
  if (force && out === undefined) throw new UsageError('--force is about --out')
  if (segments === undefined) return
  if (out !== undefined) throw new UsageError('give --out or --segments, not both')
  if (format !== 'jsonl') throw new UsageError('--segments copies the journal as it stands: it has no other format')
  const filter = [...globFields, ...wordFields].find((name) => values[name] !== undefined)
  if (filter !== undefined) throw new UsageError(`--segments copies whole segments: --since, --until and --from choose them, and --${filter} cannot`)
}

/** Whether records within the window may be left out. */
function hasFilter({ question }: RecordFilter): boolean {
  return [...globFields, ...wordFields].some((field) => question[field] !== undefined)
}

interface Exported {
  readonly records: number
  readonly firstSeq: number | undefined
  readonly lastSeq: number | undefined
  /** lines that are no valid record */
  readonly invalid: number
  /** numbers that no record has, between those that were looked at */
  readonly missing: number
}

/** Undefined: it was interrupted. */
async function writeRecords(
  dir: string, window: RecordWindow, filter: RecordFilter, name: FormatName, environment: string, target: ExportTarget, signal: AbortSignal | undefined, progress: Progress,
): Promise<Exported | undefined> {
  const line = formatter(name, { version: version(), environment, hostname: hostname() })
  const isWhole = !hasFilter(filter)
  let records = 0
  let invalid = 0
  let missing = 0
  let firstSeq: number | undefined
  let lastSeq: number | undefined
  let text = ''
  // the line itself, before anything in the record is opened or left out
  const mayMatch = (whole: string): boolean => {
    text = whole
    return filter.mayMatch(whole)
  }
  for await (const record of journalRecords(dir, window, { mayMatch, onInvalid: () => void invalid++ })) {
    if (signal?.aborted === true) return undefined
    if (!filter.matches(record)) continue
    if (isWhole && lastSeq !== undefined) missing += record.seq - lastSeq - 1
    firstSeq ??= record.seq
    lastSeq = record.seq
    records++
    await target.write(name === 'jsonl' ? text : line(record))
    progress.say(() => `${plural(records, 'record')}, up to ${record.time}`)
  }
  return { records, firstSeq, lastSeq, invalid, missing }
}

interface Asked {
  readonly format: FormatName
  readonly path: string | undefined
  readonly asked: string
  readonly hasFilter: boolean
  readonly isJson: boolean
}

function sayExported({ records, firstSeq, lastSeq, invalid, missing }: Exported, { format, path, asked, hasFilter: isFiltered, isJson }: Asked, io: CommandIo): number {
  const isSound = invalid === 0 && missing === 0
  if (isJson) {
    io.out(`${asciiJson({ format, out: path, records, first_seq: firstSeq ?? null, last_seq: lastSeq ?? null, filtered: isFiltered, invalid, missing })}\n`)
  } else if (path !== undefined) {
    const which = firstSeq === undefined ? '' : `, ${firstSeq} to ${lastSeq}`
    io.err(`${plural(records, 'record')}${which}${asked === '' ? '' : ` (${asked})`} as ${format} in ${path}\n`)
  }
  if (invalid > 0) io.err(`${plural(invalid, 'line')} ${invalid === 1 ? 'is no valid record and is' : 'are no valid records and are'} left out; run \`sallyport audit verify\`\n`)
  if (missing > 0 && invalid === 0) io.err(`${plural(missing, 'record')} between them ${missing === 1 ? 'is' : 'are'} not in the journal; run \`sallyport audit verify\`\n`)
  return isSound ? 0 : 1
}

async function exportSegments(dir: string, into: string, window: RecordWindow, isJson: boolean, io: CommandIo, progress: Progress): Promise<number> {
  if (existsSync(into) && readdirSync(into).length > 0) {
    io.err(`\`${into}\` is not empty: name a new folder\n`)
    return 1
  }
  let bytes = 0
  try {
    const files = await copySegments(dir, into, window, (file) => {
      bytes += file.bytes
      progress.say(() => `${file.name}, ${sizeText(bytes)}`)
    })
    progress.end()
    const segments = files.filter(({ name }) => name.startsWith('segment-'))
    const has = (name: string): boolean => files.some((file) => file.name === name)
    if (isJson) io.out(`${asciiJson({ segments: segments.length, folder: into, bytes, checkpoints: has('checkpoints.jsonl'), key: has('audit-signing.pub') })}\n`)
    else io.err(`${plural(segments.length, 'segment')} in ${into}, ${sizeText(bytes)}${has('checkpoints.jsonl') ? ', with the checkpoints' : ''}${has('audit-signing.pub') ? ' and the public key' : ''}\n`)
    return 0
  } finally {
    progress.end()
  }
}

/** One line on stderr that is written over, ten times a second at most. */
class Progress {
  readonly #io: CommandIo
  readonly #isShown: boolean
  #saidMs = Number.NEGATIVE_INFINITY
  #isOpen = false

  constructor(io: CommandIo, isShown: boolean) {
    this.#io = io
    this.#isShown = isShown
  }

  say(text: () => string): void {
    const nowMs = this.#isShown ? systemClock.monotonic() : 0
    if (!this.#isShown || nowMs - this.#saidMs < 100) return
    this.#saidMs = nowMs
    this.#isOpen = true
    this.#io.err(`\r\x1b[K${text()}`)
  }

  end(): void {
    if (this.#isOpen) this.#io.err('\r\x1b[K')
    this.#isOpen = false
  }
}
