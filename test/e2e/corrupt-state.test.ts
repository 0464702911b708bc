// Damaged state: the proxy does not start, says which file and what to do, and starts again once `audit repair` has set
// aside what is damaged; never as if nothing had been there.
import { chmodSync, cpSync, readFileSync, readdirSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { migrations } from '../../src/approvals/migrations.ts'
import { loadSigningKey, readPublicKeys } from '../../src/audit/signing-key.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { repair } from '../../src/cli/audit-repair.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { decisionOf, folder, openTestJournal, readRecords } from '../audit/fixture.ts'
import { startChildProxy } from '../support/child-proxy.ts'

const policy = '[network]\nunknown = "deny"\n'

interface State {
  readonly dir: string
  readonly data: string
  readonly segment: (place: number) => string
  readonly database: string
}

function stateOf(dir: string): State {
  const data = join(dir, 'var')
  const segments = readdirSync(join(data, 'journal')).filter((name) => /^segment-.*\.jsonl$/.test(name)).toSorted()
  return { dir, data, segment: (place) => join(data, 'journal', segments.at(place) ?? ''), database: join(data, 'sallyport.db') }
}

/** What a proxy left that ran well: a journal of a few segments, a database, a key. */
async function sound(t: Test): Promise<string> {
  const dir = folder(t)
  const proxy = await startChildProxy(t, { dir, policy })
  proxy.child.kill('SIGTERM')
  await proxy.ended
  const data = join(dir, 'var')
  const journal = await openTestJournal(t, data, { checkpoints: { signer: loadSigningKey(data), intervalMs: 3_600_000 }, segmentBytes: 5000 })
  for (let at = 0; at < 10; at++) await journal.append(decisionOf(`r-${at}`))
  await journal.close()
  return dir
}

async function run(argv: readonly string[]): Promise<{ readonly code: number; readonly text: string; readonly errors: string }> {
  let text = ''
  let errors = ''
  const io: CommandIo = { cwd: '/', isTty: false, out: (more) => void (text += more), err: (more) => void (errors += more) }
  const code = await repair(argv, io)
  return { code, text, errors }
}

/** What a start opens of it, in its order. */
async function openState(t: Test, { data, database }: State): Promise<void> {
  await (await openTestJournal(t, data, { checkpoints: { signer: loadSigningKey(data), intervalMs: 3_600_000 } })).close()
  openSqliteStore(database, migrations, true).close()
}

/** Every file under a folder, with what is in it. */
function contents(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ parentPath, name }) => `${join(parentPath, name)} ${readFileSync(join(parentPath, name), 'base64')}`).toSorted()
}

const zero = (path: string): void => writeFileSync(path, Buffer.alloc(statSync(path).size))
const halve = (path: string): void => truncateSync(path, Math.floor(statSync(path).size / 2))

interface Case {
  readonly harm: (state: State) => void
  readonly says: RegExp
  /** looked at through a whole proxy, before and after */
  readonly isStarted?: boolean
}

const cases: Record<string, Case> = {
  'a complete segment that is zeroed': { harm: ({ segment }) => zero(segment(1)), says: /segment-\d+\.jsonl` line 1: .*audit verify.*audit repair/, isStarted: true },
  'a complete segment that is cut in two': { harm: ({ segment }) => halve(segment(1)), says: /line \d+: the segment ends in a torn record and is not the last one/ },
  'a complete segment that is empty': { harm: ({ segment }) => truncateSync(segment(1), 0), says: /the segment is empty and is not the last one/ },
  'a complete segment that is gone': { harm: ({ segment }) => unlinkSync(segment(1)), says: /records \d+ to \d+ are missing between this segment and the next/ },
  'the last segment zeroed': { harm: ({ segment }) => zero(segment(-1)), says: /line 1: it does not begin with a record: the file was zeroed/ },
  'the last segment gone': { harm: ({ segment }) => unlinkSync(segment(-1)), says: /records \d+ to \d+ are missing at the end: checkpoints\.jsonl has a copy/ },
  'a record of a later version': {
    harm: ({ segment }) => writeFileSync(segment(-1), readFileSync(segment(-1), 'latin1').replace('{"v":1,', '{"v":2,')),
    says: /record version 2 is not known: a later version of sallyport wrote it/,
  },
  'every segment gone': {
    harm: ({ data }) => {
      for (const name of readdirSync(join(data, 'journal'))) if (name.startsWith('segment-')) unlinkSync(join(data, 'journal', name))
    },
    says: /checkpoints\.jsonl` line 1: the journal has no record/,
  },
  'copies of checkpoints that are zeroed and a line': { harm: ({ data }) => writeFileSync(join(data, 'journal', 'checkpoints.jsonl'), `${'\0'.repeat(100)}\n`), says: /checkpoints\.jsonl` line 1: the line is not JSON/ },
  'a database that is empty': { harm: ({ database }) => truncateSync(database, 0), says: /database `.*sallyport\.db`: is empty: it was truncated; restore a copy, or let `sallyport audit repair`/, isStarted: true },
  'a database that is zeroed': { harm: ({ database }) => zero(database), says: /sallyport\.db`: is damaged: / },
  'a database that is cut in two': { harm: ({ database }) => halve(database), says: /sallyport\.db`: is damaged: / },
  'a signing key that is cut in two': { harm: ({ data }) => halve(join(data, 'audit-signing.key')), says: /audit-signing\.key: holds no private key \(it is truncated, zeroed or something else\): restore it from a copy/, isStarted: true },
  'a signing key that is gone': { harm: ({ data }) => unlinkSync(join(data, 'audit-signing.key')), says: /audit-signing\.key: is not there, and its public half/ },
}

const whole = sound(t)

t.test('damaged state stops the start by name, and is set aside by the repair', async (t) => {
  const from = await whole
  for (const [what, { harm, says, isStarted }] of Object.entries(cases)) {
    await t.test(what, async (t) => {
      const dir = folder(t)
      cpSync(from, dir, { recursive: true })
      const state = stateOf(dir)
      const before = await readRecords(t, state.data)
      const last = before.at(-1)?.seq ?? 0
      harm(state)
      await t.rejects(isStarted === true ? startChildProxy(t, { dir, policy }).then(() => undefined) : openState(t, state), { message: says })
      const files = contents(dir)
      const dry = await run(['--data', state.data, '--dry-run'])
      t.equal(dry.code, 0)
      t.match(dry.text, /nothing was changed; it would be moved to/)
      t.strictSame(contents(dir), files, 'a dry run changes nothing')
      const done = await run(['--data', state.data])
      t.match(done, { code: 0, errors: '', text: /moved to .*set-aside.*, and journaled\n$/ })
      const keys = readPublicKeys(state.data)
      const result = await verifyJournal(join(state.data, 'journal'), { keys })
      t.equal(result.fault, undefined)
      const records = await readRecords(t, state.data)
      const gap = records.findLast(({ attributes }) => attributes['sallyport.gap.cause'] === 'set_aside')
      t.ok((gap?.seq ?? 0) > last, 'no number is given twice, and it is journaled')
      t.equal(gap?.severity, 'ERROR')
      const missing = result.knownGaps.reduce((sum, { firstSeq, lastSeq }) => sum + lastSeq + 1 - firstSeq, 0)
      t.equal(records.filter(({ seq }) => seq <= last).length + (records[0]?.seq === 1 ? missing : last), last, 'what is missing is said, all of it and no more')
      t.strictSame((await run(['--data', state.data])).text, 'nothing is damaged\n')
      if (isStarted !== true) return
      const again = await startChildProxy(t, { dir, policy })
      again.child.kill('SIGTERM')
      t.equal(await again.ended, 0)
    })
  }
})

t.test('what a repair does not mend is left alone', async (t) => {
  const dir = folder(t)
  cpSync(await whole, dir, { recursive: true })
  const { data, database } = stateOf(dir)
  t.strictSame(await run(['--data', data]), { code: 0, text: 'nothing is damaged\n', errors: '' })
  const other = new DatabaseSync(database)
  other.exec(`INSERT INTO migrations (name) VALUES ('999-later')`)
  other.close()
  await t.rejects(startChildProxy(t, { dir, policy }), { message: /database `.*sallyport\.db` was written by a later version of sallyport \(migration `999-later`\): start that version/ })
  t.equal((await run(['--data', data])).text, 'nothing is damaged\n')
  const again = new DatabaseSync(database)
  again.exec(`DELETE FROM migrations WHERE name = '999-later'`)
  again.close()
  chmodSync(join(data, 'audit-signing.key'), 0o644)
  await t.rejects(startChildProxy(t, { dir, policy }), { message: /audit-signing\.key: other users may open it \(mode 0644\)/ })
  chmodSync(join(data, 'audit-signing.key'), 0o600)
  const proxy = await startChildProxy(t, { dir, policy })
  t.match(await run(['--data', data]), { code: 1, errors: /in use by another process/ })
  proxy.child.kill('SIGTERM')
  await proxy.ended
  const changed = await run(['--data', data, '--new-key', '--json'])
  t.match(JSON.parse(changed.text), { repaired: true, key: { what: 'is replaced because --new-key says so' } })
  t.equal(readPublicKeys(data).length, 2, 'the former public half is kept')
})
