// `sallyport audit verify`: checks that nothing in the journal was changed, moved or taken away, here or on another
// machine. It reads the files themselves, with or without a proxy.
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isatty } from 'node:tty'
import { parseArgs } from 'node:util'
import { readPublicKey, readPublicKeys, SigningKeyError, type PublicKey } from '../audit/signing-key.ts'
import { verifyLines, type LinesResult } from '../audit/verify-lines.ts'
import { verifyJournal, type VerifyFault, type VerifyResult } from '../audit/verify.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal } from './journal-place.ts'
import { plural } from './plural.ts'
import { type CommandIo, UsageError } from './run.ts'

export const verifyUsage = `usage: sallyport audit verify [OPTIONS]
       sallyport audit verify --dir DIR --key FILE [--range]
       sallyport audit verify --file FILE --key FILE

Reads the whole journal and checks every record: its own hash, that it continues the record before it,
that no number is missing; against the signed checkpoints, that no stretch was written anew; against their
copies in checkpoints.jsonl, that the journal begins where retention left it and is not shorter than it was;
against the export cursor, that it has what was exported. It names the first record that is wrong.

The public key lies beside the journal, so on this machine it proves little: keep a copy of
audit-signing.pub elsewhere and give it with --key. What only the collector can prove: compare its copy of
the last record with the hash that verify prints.

  --dir DIR       a copy of a journal folder, on any machine
  --range         of which only some segments were copied: its beginning and its end are not looked for
  --file FILE     lines of a journal in one file, as \`sallyport audit export --format jsonl\` writes them
  --key FILE      public key to check signatures with; for a journal whose key was changed, give each
                  (default: audit-signing.pub and audit-signing-*.pub beside the journal)
${journalOptionsHelp}  --json          one JSON object

examples:
  sallyport audit verify
  sallyport audit verify --data /var/lib/sallyport --key /mnt/usb/audit-signing.pub
  sallyport audit verify --dir evidence/2027-01 --range --key audit-signing.pub

exit codes: 0 ok, 1 there is no journal or it is not intact, 2 wrong command line
`

const options = {
  ...journalOptions,
  dir: { type: 'string' },
  range: { type: 'boolean', default: false },
  file: { type: 'string' },
  key: { type: 'string', multiple: true },
} as const

type Values = ReturnType<typeof parse>

function parse(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options }).values
}

export async function verify(argv: readonly string[], io: CommandIo, isProgressShown = isatty(2)): Promise<number> {
  const values = parse(argv)
  if (values.dir !== undefined && values.file !== undefined) throw new UsageError('`--dir` and `--file` are two things to verify: say one')
  if (values.range && values.dir === undefined) throw new UsageError('`--range` is about a copied folder: say which with `--dir`')
  try {
    if (values.file !== undefined) return await verifyFile(resolve(io.cwd, values.file), values, io)
    return await verifyFolder(values, io, isProgressShown)
  } catch (error) {
    if (!(error instanceof SigningKeyError) && !(error instanceof Error && 'syscall' in error)) throw error
    io.err(`sallyport audit verify: ${error.message}\n`)
    return 1
  }
}

interface Keys {
  /** undefined: there is none to check with */
  readonly keys: readonly PublicKey[] | undefined
  readonly areGiven: boolean
}

/** The keys given, or those that lie in `beside`. */
function keysFor(values: Values, io: CommandIo, beside: string): Keys {
  if (values.key !== undefined) return { keys: values.key.map((path) => readPublicKey(resolve(io.cwd, path))), areGiven: true }
  const found = readPublicKeys(beside)
  return { keys: found.length === 0 ? undefined : found, areGiven: false }
}

async function verifyFolder(values: Values, io: CommandIo, isProgressShown: boolean): Promise<number> {
  const copy = values.dir === undefined ? undefined : resolve(io.cwd, values.dir)
  const dir = copy ?? findJournal(values, io)
  if (dir === undefined) return 1
  const keys = keysFor(values, io, copy ?? dirname(dir))
  let shown = ''
  const result = await verifyJournal(dir, {
    keys: keys.keys, isRange: values.range,
    onProgress: (bytes, total) => {
      const percent = `${Math.floor((100 * bytes) / Math.max(1, total))} %`
      if (!isProgressShown || percent === shown) return
      shown = percent
      io.err(`\r${percent} verified`)
    },
  })
  if (shown !== '') io.err('\r\u001b[K')
  const isHere = result.segments > 0 || result.fault !== undefined
  if (values.json) io.out(`${JSON.stringify(folderJson(dir, result, keys))}\n`)
  else if (isHere) sayFolder(result, keys, values.range, io)
  else io.err(missingJournal(dir))
  return result.ok && isHere ? 0 : 1
}

async function verifyFile(path: string, values: Values, io: CommandIo): Promise<number> {
  if (!existsSync(path)) {
    io.err(`\`${path}\` is not there\n`)
    return 1
  }
  const keys = keysFor(values, io, dirname(path))
  const result = await verifyLines(path, keys.keys)
  const isOk = result.ok && result.records > 0
  if (values.json) io.out(`${JSON.stringify({ ok: isOk, file: path, ...common(result, keys), missing: result.missing, complete: isOk && result.missing === 0 })}\n`)
  else if (result.records === 0 && result.ok) io.err(`there is no record in \`${path}\`\n`)
  else sayLines(result, keys, io)
  return isOk ? 0 : 1
}

function sayFault(whole: string, fault: VerifyFault, records: number, io: CommandIo): void {
  io.err(`${whole} is not intact: ${fault.file} line ${fault.line} (record ${fault.seq}): ${fault.what}\n`)
  io.err(`${records === 1 ? '1 record before it is' : `${records} records before it are`} good\n`)
}

function sayFolder(result: VerifyResult, keys: Keys, isRange: boolean, io: CommandIo): void {
  const { fault, records, segments, firstSeq, lastSeq, lastHash, isPruned, tornBytes, knownGaps, unsigned } = result
  if (fault !== undefined) return sayFault('the journal', fault, records, io)
  io.out(`the journal is intact: records ${firstSeq} to ${lastSeq}, ${records} in ${plural(segments, 'segment')}\n`)
  if (isRange) io.out('it is part of a journal: what came before and after is not here\n')
  else if (isPruned) io.out(`records before ${firstSeq} were removed by retention\n`)
  for (const part of unsigned) io.out(`nothing proves ${part.firstSeq === part.lastSeq ? `record ${part.lastSeq}` : `records ${part.firstSeq} to ${part.lastSeq}`}: no signature covers what stands before the missing records that follow\n`)
  for (const gap of knownGaps) io.out(`records ${gap.firstSeq} to ${gap.lastSeq} are not among them: they were damaged, and \`sallyport audit repair\` set them aside\n`)
  if (tornBytes > 0) io.out(`${plural(tornBytes, 'byte')} at the end ${tornBytes === 1 ? 'is' : 'are'} not a whole record yet: a write under way, or what a crash left\n`)
  saySignatures(result, keys, io)
  io.out(`hash of record ${lastSeq}: ${lastHash}\n`)
}

function sayLines(result: LinesResult, keys: Keys, io: CommandIo): void {
  const { fault, records, firstSeq, lastSeq, lastHash, missing } = result
  if (fault !== undefined) return sayFault('the file', fault, records, io)
  if (missing === 0) io.out(`the file is intact: records ${firstSeq} to ${lastSeq} without a gap\n`)
  else {
    io.out(`each line is a whole record with the hash that it says: ${plural(records, 'record')} between ${firstSeq} and ${lastSeq}\n`)
    io.out(`${plural(missing, 'record')} between them ${missing === 1 ? 'is' : 'are'} not in the file: this is not proof that a filter left them out, nor that what is here is as it was journaled\n`)
  }
  saySignatures(result, keys, io)
  io.out(`hash of record ${lastSeq}: ${lastHash}\n`)
}

function saySignatures({ checkpoints, signedThrough, lastSeq, keySpans }: VerifyResult | LinesResult, { keys, areGiven }: Keys, io: CommandIo): void {
  if (checkpoints === 0) {
    io.out('no signed checkpoint is in it: nothing is proven but that its records fit each other\n')
  } else if (keys === undefined) {
    io.out(`the signatures of ${plural(checkpoints, 'checkpoint')} were not checked: give the public key with --key\n`)
  } else {
    io.out(`${plural(checkpoints, 'checkpoint')} signed with ${keySpans.map(({ keyId }) => keyId).join(', then ')}${signedThrough === 0 ? '' : `, covering records up to ${signedThrough}`}\n`)
    for (const { keyId, firstSeq } of keySpans.slice(1)) io.out(`the key was changed: from record ${firstSeq} on it is ${keyId}\n`)
    if (signedThrough > 0 && signedThrough < lastSeq) io.out(`no signature covers ${lastSeq - signedThrough === 1 ? `record ${lastSeq}` : `records ${signedThrough + 1} to ${lastSeq}`} yet\n`)
    if (!areGiven) io.out('the key is the one that lies beside it: give a copy from elsewhere with --key\n')
  }
}

function folderJson(dir: string, result: VerifyResult, keys: Keys): object {
  const { ok, segments, isPruned, tornBytes, knownGaps, unsigned, fault } = result
  const isHere = segments > 0 || fault !== undefined
  return {
    ok: ok && isHere,
    journal: dir,
    ...common(result, keys),
    segments,
    pruned: isPruned,
    torn_bytes: tornBytes,
    known_gaps: knownGaps.map(({ firstSeq, lastSeq }) => ({ first_seq: firstSeq, last_seq: lastSeq })),
    unsigned: unsigned.map(({ firstSeq, lastSeq }) => ({ first_seq: firstSeq, last_seq: lastSeq })),
    fault: fault ?? (isHere ? null : { file: dir, line: 0, seq: 0, what: 'there is no journal here' }),
  }
}

function common({ records, firstSeq, lastSeq, lastHash, checkpoints, signedThrough, keySpans, fault }: VerifyResult | LinesResult, { keys }: Keys): object {
  return {
    records,
    first_seq: firstSeq,
    last_seq: lastSeq,
    last_hash: lastHash,
    checkpoints,
    signatures: checkpoints === 0 ? 'none' : keys === undefined ? 'unchecked' : 'checked',
    signed_through: signedThrough,
    keys: keySpans.map(({ keyId, firstSeq: from }) => ({ id: keyId, first_seq: from })),
    fault: fault ?? null,
  }
}
