// `sallyport audit tail` shows what was decided, as it is journaled; `sallyport audit verify` checks
// that nothing in the journal was changed. Both read the files themselves, with or without a proxy.
import { parseArgs } from 'node:util'
import micromatch from 'micromatch'
import { followRecords, findRecords } from '../audit/journal-query.ts'
import type { JournalRecord } from '../audit/record.ts'
import type { VerifyResult } from '../audit/verify.ts'
import { verifyJournal } from '../audit/verify.ts'
import { asciiJson } from './ascii-json.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount } from './journal-place.ts'
import { plural } from './plural.ts'
import { recordLine } from './record-line.ts'
import { type Command, type CommandIo, UsageError } from './run.ts'

const usage = `usage: sallyport audit tail [OPTIONS]
       sallyport audit verify [OPTIONS]

tail shows the newest records of the journal, one line each, oldest first.

  -n N            how many (default: 20)
  -f, --follow    go on with what is appended, until interrupted
  --host GLOB     only records about hosts that match, such as 'api-*' or '*.example.com'
  --verdict V     only decisions that say allow, deny or ask
  --session ID    only records of one session
${journalOptionsHelp}  --json          the records as they are journaled, one JSON object a line

verify reads the whole journal and checks every record: its own hash, that it continues the record
before it, that no number is missing, and that nothing that was exported is missing at the end. It
names the first record that is wrong. What only the collector can prove: compare its copy of the
last record with the hash that verify prints.

${journalOptionsHelp}  --json          one JSON object

examples:
  sallyport audit tail -f --verdict deny
  sallyport audit tail -n 100 --host '*.githubusercontent.com' --json
  sallyport audit verify --data /var/lib/sallyport

exit codes: 0 ok, 1 there is no journal or it is not intact, 2 wrong command line
`

const tailOptions = {
  ...journalOptions,
  count: { type: 'string', short: 'n', default: '20' },
  follow: { type: 'boolean', short: 'f', default: false },
  host: { type: 'string' },
  verdict: { type: 'string' },
  session: { type: 'string' },
} as const

export const auditCommand: Command = {
  name: 'audit',
  summary: 'read and verify the journal',
  usage,
  run: async ([what, ...rest], io) => {
    if (what === 'tail') return tail(rest, io)
    if (what === 'verify') return verify(rest, io)
    throw new UsageError(what === undefined ? 'say `tail` or `verify`' : `there is no \`audit ${what}\`, only tail and verify`)
  },
}

async function tail(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: tailOptions })
  const limit = readCount('-n', values.count)
  const matches = recordFilter(values)
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const show = (record: JournalRecord): void => io.out(values.json ? `${asciiJson(record)}\n` : recordLine(record, io.isTty))
  const { records, invalid, newest, segments } = await findRecords(dir, limit, matches, lineFilter(values))
  if (segments === 0 && !values.follow) {
    io.err(missingJournal(dir))
    return 1
  }
  for (const record of records) show(record)
  if (invalid > 0) io.err(`${plural(invalid, 'line')} ${invalid === 1 ? 'is no valid record' : 'are no valid records'}; run \`sallyport audit verify\`\n`)
  if (!values.follow) return 0
  const signal = io.signal ?? new AbortController().signal
  for await (const record of followRecords(dir, newest, signal)) {
    if (matches(record)) show(record)
  }
  return 0
}

async function verify(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: journalOptions })
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const result = await verifyJournal(dir)
  if (values.json) io.out(`${JSON.stringify(verifyJson(dir, result))}\n`)
  else if (result.segments === 0 && result.ok) io.err(missingJournal(dir))
  else sayVerified(result, io)
  return result.ok && result.segments > 0 ? 0 : 1
}

function sayVerified(result: VerifyResult, io: CommandIo): void {
  const { fault, records, segments, firstSeq, lastSeq, lastHash, isPruned, tornBytes } = result
  if (fault !== undefined) {
    io.err(`the journal is not intact: ${fault.file} line ${fault.line} (record ${fault.seq}): ${fault.what}\n`)
    io.err(`${records === 1 ? '1 record before it is' : `${records} records before it are`} good\n`)
    return
  }
  io.out(`the journal is intact: records ${firstSeq} to ${lastSeq}, ${records} in ${plural(segments, 'segment')}\n`)
  if (isPruned) io.out(`records before ${firstSeq} were removed by retention\n`)
  if (tornBytes > 0) io.out(`${plural(tornBytes, 'byte')} at the end ${tornBytes === 1 ? 'is' : 'are'} not a whole record yet: a write under way, or what a crash left\n`)
  io.out(`hash of record ${lastSeq}: ${lastHash}\n`)
}

function verifyJson(dir: string, result: VerifyResult): object {
  const { ok, records, segments, firstSeq, lastSeq, lastHash, isPruned, tornBytes, fault } = result
  return {
    ok: ok && segments > 0,
    journal: dir,
    records,
    segments,
    first_seq: firstSeq,
    last_seq: lastSeq,
    last_hash: lastHash,
    pruned: isPruned,
    torn_bytes: tornBytes,
    fault: fault ?? (segments === 0 ? { file: dir, line: 0, seq: 0, what: 'there is no journal here' } : null),
  }
}

/** What a line that can match must hold, whatever else it says. */
function lineFilter({ verdict, session }: { readonly verdict?: string; readonly session?: string }): (line: string) => boolean {
  const verdictText = verdict === undefined ? '' : `"network.policy.decision":"${verdict}"`
  const sessionText = session === undefined || !/^[\w.-]+$/.test(session) ? '' : `"session.id":"${session}"`
  return (line) => line.includes(verdictText) && line.includes(sessionText)
}

function recordFilter(asked: { readonly host?: string; readonly verdict?: string; readonly session?: string }): (record: JournalRecord) => boolean {
  const { host, verdict, session } = asked
  if (verdict !== undefined && !['allow', 'deny', 'ask'].includes(verdict)) throw new UsageError(`\`--verdict ${verdict}\` is not allow, deny or ask`)
  const isHost = host === undefined ? undefined : micromatch.matcher(host, { nocase: true, dot: true })
  return ({ attributes }) => {
    const address = attributes['server.address']
    if (isHost !== undefined && (typeof address !== 'string' || !isHost(address))) return false
    if (verdict !== undefined && attributes['network.policy.decision'] !== verdict) return false
    return session === undefined || attributes['session.id'] === session
  }
}
