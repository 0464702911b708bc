// `sallyport audit verify`: checks that nothing in the journal was changed. It reads the files themselves, with or
// without a proxy.
import { parseArgs } from 'node:util'
import type { VerifyResult } from '../audit/verify.ts'
import { verifyJournal } from '../audit/verify.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal } from './journal-place.ts'
import { plural } from './plural.ts'
import type { CommandIo } from './run.ts'

export const verifyUsage = `usage: sallyport audit verify [OPTIONS]

Reads the whole journal and checks every record: its own hash, that it continues the record before it,
that no number is missing, and that nothing that was exported is missing at the end. It names the first
record that is wrong. What only the collector can prove: compare its copy of the last record with the
hash that verify prints.

${journalOptionsHelp}  --json          one JSON object

examples:
  sallyport audit verify
  sallyport audit verify --data /var/lib/sallyport

exit codes: 0 ok, 1 there is no journal or it is not intact, 2 wrong command line
`

export async function verify(argv: readonly string[], io: CommandIo): Promise<number> {
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
