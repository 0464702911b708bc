// `sallyport audit repair`: for a proxy that does not start because its journal, its database or its signing key is
// damaged. What is damaged is moved aside whole, what is missing then is journaled, and nothing is made up: the proxy
// that starts afterwards knows less, and allows no more.
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { openJournal } from '../audit/journal.ts'
import { lockJournal } from '../audit/journal-lock.ts'
import { applyRepair, planRepair, type RepairPlan } from '../audit/journal-repair.ts'
import { loadSigningKey, readPublicKey, signingKeyFault, signingKeyPaths, SigningKeyError } from '../audit/signing-key.ts'
import { systemClock } from '../clock.ts'
import { sqliteFault } from '../store/sqlite-store.ts'
import { findJournal, journalOptions, journalOptionsHelp } from './journal-place.ts'
import { plural } from './plural.ts'
import type { CommandIo } from './run.ts'

export const repairUsage = `usage: sallyport audit repair [OPTIONS]

For a proxy that does not start because its journal, its database or its signing key is damaged; stop it first.
Looks at all of the journal, at sallyport.db and at audit-signing.key, and moves what is damaged into
DATA/set-aside/TIME/, whole. Of a damaged segment what is whole before the damage stays. Record numbers go on
above every number that was ever given, and a \`sallyport.audit.gap\` event (\`set_aside\`) says what is missing.

Of a damaged database sessions, open questions and grants are gone: every agent needs a new session, and until
there is one, local agents without credentials are served as on a new machine, unless \`require_session\` is set.
A key that is damaged or lost is followed by a new one; its public half stays as audit-signing-ID.pub.

  --dry-run       say what would be done, and change nothing
  --new-key       move a signing key aside that is sound, because others may have read it
${journalOptionsHelp}  --json          one JSON object

examples:
  sallyport audit repair --dry-run
  sallyport audit repair --data /var/lib/sallyport

exit codes: 0 repaired, or nothing is damaged, 1 it could not be done, 2 wrong command line
`

const options = { ...journalOptions, 'dry-run': { type: 'boolean', default: false }, 'new-key': { type: 'boolean', default: false } } as const

interface Finding {
  readonly file: string
  readonly what: string
}

interface Found {
  readonly journal: RepairPlan
  readonly database: Finding | undefined
  readonly key: Finding | undefined
}

export async function repair(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options })
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const dataDir = dirname(dir)
  const isDry = values['dry-run']
  if (!existsSync(dataDir)) {
    io.err(`there is no data folder \`${dataDir}\`: --data names another one\n`)
    return 1
  }
  try {
    const lock = isDry || !existsSync(dir) ? undefined : lockJournal(dir, () => undefined)
    let found: Found
    const aside = join(dataDir, 'set-aside', new Date(systemClock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, ''))
    try {
      found = await look(dir, dataDir, values['new-key'])
      if (!isDry && isDamaged(found)) await moveAside(dir, dataDir, found, aside)
    } finally {
      lock?.release()
    }
    if (!isDry && isDamaged(found)) await tell(dir, dataDir, found, aside)
    say(found, isDry, values.json, aside, io)
    return 0
  } catch (error) {
    io.err(`sallyport audit repair: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

async function look(dir: string, dataDir: string, isNewKey: boolean): Promise<Found> {
  const database = join(dataDir, 'sallyport.db')
  const databaseFault = sqliteFault(database)
  const { key } = signingKeyPaths(dataDir)
  const keyFault = signingKeyFault(dataDir)?.message ?? (isNewKey && existsSync(key) ? `${key}: is replaced because --new-key says so` : undefined)
  return {
    journal: await planRepair(dir),
    database: databaseFault === undefined ? undefined : { file: database, what: databaseFault },
    key: keyFault === undefined ? undefined : { file: key, what: keyFault.slice(keyFault.indexOf(': ') + 2) },
  }
}

function isDamaged({ journal, database, key }: Found): boolean {
  return journal.damages.length + journal.gaps.length > 0 || database !== undefined || key !== undefined
}

async function moveAside(dir: string, dataDir: string, { journal, database, key }: Found, aside: string): Promise<void> {
  mkdirSync(aside, { recursive: true, mode: 0o700 })
  if (database !== undefined) for (const end of ['', '-wal', '-shm']) moveIfThere(`${database.file}${end}`, aside)
  if (key !== undefined) {
    moveIfThere(key.file, aside)
    keepPublicHalf(dataDir, aside)
  }
  if (journal.damages.length > 0) await applyRepair(dir, journal, aside)
}

/** The records that it signed are to be verified with it for as long as they are kept. */
function keepPublicHalf(dataDir: string, aside: string): void {
  const { pub } = signingKeyPaths(dataDir)
  if (!existsSync(pub)) return
  try {
    renameSync(pub, join(dataDir, `audit-signing-${readPublicKey(pub).keyId}.pub`))
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error
    moveIfThere(pub, aside)
  }
}

function moveIfThere(path: string, into: string): void {
  if (existsSync(path)) renameSync(path, join(into, basename(path)))
}

/** Opens the journal as the proxy does, which is the proof that it starts again, and has it say what happened. */
async function tell(dir: string, dataDir: string, found: Found, aside: string): Promise<void> {
  const journal = await openJournal({
    dir, instanceId: randomUUID(), clock: systemClock, durability: 'power',
    segmentBytes: 2 ** 40, maxBytes: 2 ** 50, maxAgeMs: Number.MAX_SAFE_INTEGER,
    checkpoints: { signer: loadSigningKey(dataDir), intervalMs: 60_000 },
    repaired: { gaps: found.journal.gaps, nextSeq: found.journal.nextSeq, detail: `${wordsOf(found).join('; ')}; moved to ${aside}` },
    onFault: (error) => {
      throw error
    },
  })
  await journal.close()
}

function wordsOf({ journal, database, key }: Found): readonly string[] {
  return [
    ...journal.damages.map(({ file, line, what }) => `${basename(file)} line ${line}: ${what}`),
    ...(database === undefined ? [] : [`${basename(database.file)} ${database.what}`]),
    ...(key === undefined ? [] : [`${basename(key.file)} ${key.what.replace(/[:(].*$/, '').trim()}`]),
  ]
}

function say(found: Found, isDry: boolean, isJson: boolean, aside: string, io: CommandIo): void {
  const { journal, database, key } = found
  if (isJson) {
    const gaps = journal.gaps.map(({ firstSeq, lastSeq }) => ({ first_seq: firstSeq, last_seq: lastSeq }))
    const damages = journal.damages.map(({ file, line, what }) => ({ file, line, what }))
    io.out(`${JSON.stringify({ damaged: isDamaged(found), repaired: isDamaged(found) && !isDry, set_aside: isDamaged(found) ? aside : null, journal: damages, gaps, database: database ?? null, key: key ?? null })}\n`)
    return
  }
  if (!isDamaged(found)) {
    io.out('nothing is damaged\n')
    return
  }
  for (const { file, line, what, keptBytes } of journal.damages) io.out(`${file} line ${line}: ${what}${keptBytes > 0 ? '; what is before it stays' : ''}\n`)
  for (const finding of [database, key]) if (finding !== undefined) io.out(`${finding.file}: ${finding.what}\n`)
  for (const { firstSeq, lastSeq } of journal.gaps) io.out(`records ${firstSeq} to ${lastSeq} are missing in the journal (${plural(lastSeq - firstSeq + 1, 'record')})\n`)
  io.out(isDry ? `nothing was changed; it would be moved to ${aside}\n` : `moved to ${aside}, and journaled\n`)
}
