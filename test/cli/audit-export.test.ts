// `audit export`: what it writes can be read by who asked for it, a file is there whole or not at all, and whole
// segments check on another machine.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { listSegments } from '../../src/audit/segments.ts'
import { loadSigningKey } from '../../src/audit/signing-key.ts'
import { exportRecords } from '../../src/cli/audit-export.ts'
import { verify } from '../../src/cli/audit-verify.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { ocsfFaults } from '../support/ocsf-schema.ts'
import { allowed, denied, folder, openTestJournal, redaction, subject, testClock } from '../audit/fixture.ts'

interface Output extends CommandIo {
  text: string
  errors: string
  code: number
}

async function run(cwd: string, argv: readonly string[], options: { signal?: AbortSignal; isProgressShown?: boolean } = {}): Promise<Output> {
  const io: Output = { text: '', errors: '', code: -1, cwd, isTty: false, out: (text) => void (io.text += text), err: (text) => void (io.errors += text), ...(options.signal === undefined ? {} : { signal: options.signal }) }
  io.code = await exportRecords([...argv, '--data', join(cwd, 'data')], io, options.isProgressShown ?? false)
  return io
}

/** A journal of several segments: 12 exchanges, one each minute from 10:00 on. */
async function journaled(t: Test): Promise<string> {
  const dir = folder(t)
  const clock = testClock(Date.UTC(2026, 0, 2, 10, 0))
  const journal = await openTestJournal(t, join(dir, 'data'), { segmentBytes: 4000, clock, checkpoints: { signer: loadSigningKey(join(dir, 'data')), intervalMs: 3_600_000 } })
  for (let at = 0; at < 12; at++) {
    const about = { ...subject, requestId: `r-${at}`, host: at % 3 === 0 ? 'pastebin.com' : 'api.example.com' }
    await journal.append(decisionEvent(about, at % 3 === 0 ? denied : allowed, 'policy', redaction))
    await journal.append(endedEvent(about, { outcome: 'completed', status: 200, bytesFromClient: 1, bytesFromOrigin: 2 }, 3.5))
    clock.advance(60_000)
  }
  await journal.close()
  return dir
}

const lines = (text: string): string[] => text.split('\n').slice(0, -1)
const objects = (text: string): Record<string, unknown>[] => lines(text).map((line) => JSON.parse(line) as Record<string, unknown>)

async function journalText(dir: string): Promise<string> {
  return (await listSegments(join(dir, 'data', 'journal'))).map(({ path }) => readFileSync(path, 'latin1')).join('')
}

t.test('jsonl is the journal itself, byte for byte, and such a file can be checked', async (t) => {
  const dir = await journaled(t)
  const { text, code, errors } = await run(dir, [])
  t.equal(code, 0)
  t.equal(text, await journalText(dir))
  t.equal(errors, '')
  t.equal((await run(dir, ['--out', 'events.jsonl'])).code, 0)
  t.match(await verified(dir, ['--file', 'events.jsonl', '--key', 'data/audit-signing.pub']), /^the file is intact/)
})

t.test('every format writes one line for each record, which a reader of it understands', async (t) => {
  const dir = await journaled(t)
  const count = lines(await journalText(dir)).length
  for (const event of objects((await run(dir, ['--format', 'ocsf'])).text)) t.strictSame(ocsfFaults(event), [])
  const ecs = objects((await run(dir, ['--format', 'ecs'])).text)
  t.equal(ecs.length, count)
  t.match(ecs[0], { event: { sequence: 1 }, service: { environment: 'dev' } })
  const cef = lines((await run(dir, ['--format', 'cef'])).text)
  t.equal(cef.length, count)
  for (const line of cef) t.match(line, /^CEF:0\|sallyport\|sallyport\|[^|]+\|sallyport\.[a-z.]+\|/)
  writeFileSync(join(dir, 'sallyport.toml'), '[otel]\nenvironment = "prod"\n')
  t.match(objects((await run(dir, ['--format', 'ecs'])).text)[0], { service: { environment: 'prod' } })
})

t.test('records are chosen by number, time and what they say', async (t) => {
  const dir = await journaled(t)
  const seqs = async (...argv: string[]): Promise<unknown[]> => objects((await run(dir, argv)).text).map(({ seq }) => seq)
  const all = await seqs()
  t.strictSame(await seqs('--from', '20'), all.slice(19))
  const since = objects((await run(dir, ['--since', '2026-01-02T10:05Z', '--until', '2026-01-02T10:07Z'])).text)
  t.ok(since.length > 0 && since.length < all.length)
  for (const { time } of since) t.match(time, /^2026-01-02T10:0[56]:/)
  t.strictSame(await seqs('--since', '1h'), [], 'the journal is older')
  const denials = objects((await run(dir, ['--verdict', 'deny'])).text)
  t.equal(denials.length, 4)
  for (const { attributes } of denials) t.match(attributes, { 'server.address': 'pastebin.com' })
})

t.test('a file is there whole or not at all, and nobody\'s file is replaced without being asked to', async (t) => {
  const dir = await journaled(t)
  const out = join(dir, 'events.jsonl')
  const first = await run(dir, ['--out', 'events.jsonl', '--json'])
  t.equal(first.code, 0)
  t.match(JSON.parse(first.text), { format: 'jsonl', out, records: lines(await journalText(dir)).length, first_seq: 1, filtered: false, invalid: 0, missing: 0 })
  t.equal(readFileSync(out, 'latin1'), await journalText(dir))
  const second = await run(dir, ['--out', 'events.jsonl', '--verdict', 'deny'])
  t.equal(second.code, 1)
  t.match(second.errors, /is there already: give another name, or --force/)
  t.equal(readFileSync(out, 'latin1'), await journalText(dir))
  const forced = await run(dir, ['--out', 'events.jsonl', '--verdict', 'deny', '--force'])
  t.equal(forced.code, 0)
  t.match(forced.errors, /^4 records, \d+ to \d+ \(--verdict deny\) as jsonl in /)
  t.equal(lines(readFileSync(out, 'latin1')).length, 4)
  const interrupted = await run(dir, ['--out', 'other.jsonl'], { signal: AbortSignal.abort() })
  t.equal(interrupted.code, 1)
  t.equal(interrupted.errors, 'interrupted; nothing was exported\n')
  t.strictSame(readdirSync(dir).toSorted(), ['data', 'events.jsonl'], 'nothing half written is left')
})

t.test('on a terminal it says how far it is, and wipes that away', async (t) => {
  const dir = await journaled(t)
  const { errors } = await run(dir, ['--out', 'events.jsonl'], { isProgressShown: true })
  const [wiped, first, ...more] = errors.split('\r\u001b[K')
  t.equal(wiped, '')
  t.equal(first, '1 record, up to 2026-01-02T10:00:00.000Z')
  t.match(more.at(-1), /^\d+ records, 1 to \d+ as jsonl in /)
  t.equal((await run(dir, [], { isProgressShown: true })).errors, '', 'on stdout the records are what there is to see')
})

t.test('whole segments check in another place, with what proves them beside', async (t) => {
  const dir = await journaled(t)
  const segments = await listSegments(join(dir, 'data', 'journal'))
  t.ok(segments.length > 3)
  const torn = segments.at(-1)
  if (torn !== undefined) writeFileSync(torn.path, '{"v":1,"seq":9', { flag: 'a' })
  writeFileSync(join(dir, 'data', 'audit-signing-old.pub'), 'the key before this one')
  const done = await run(dir, ['--segments', 'evidence', '--json'])
  t.equal(done.code, 0)
  t.match(JSON.parse(done.text), { segments: segments.length, checkpoints: true, key: true })
  t.strictSame(readdirSync(join(dir, 'evidence')).toSorted(), ['audit-signing-old.pub', 'audit-signing.pub', 'checkpoints.jsonl', ...segments.map(({ name }) => name)])
  renameSync(join(dir, 'data', 'audit-signing.pub'), join(dir, 'their.pub'))
  t.equal(await verified(dir, ['--dir', 'evidence', '--key', 'their.pub']), 'the journal is intact')
  const again = await run(dir, ['--segments', 'evidence'])
  t.equal(again.code, 1)
  t.match(again.errors, /is not empty: name a new folder/)
  const some = await run(dir, ['--segments', 'some', '--from', String(segments[2]?.firstSeq)])
  t.match(some.errors, new RegExp(`^${segments.length - 2} segments in .*, with the checkpoints\n$`))
  t.equal(await verified(dir, ['--dir', 'some', '--range', '--key', 'their.pub']), 'the journal is intact')
  const [, tampered] = await listSegments(join(dir, 'evidence'))
  if (tampered !== undefined) writeFileSync(tampered.path, readFileSync(tampered.path, 'latin1').replace('pastebin.com', 'pastebin.org'))
  t.match(await verified(dir, ['--dir', 'evidence', '--key', 'their.pub']), /^the journal is not intact: /)
})

/** What `audit verify` says first. */
async function verified(cwd: string, argv: readonly string[]): Promise<string> {
  let said = ''
  const io: CommandIo = { cwd, isTty: false, out: (text) => void (said += text), err: (text) => void (said += text) }
  const code = await verify(argv, io)
  const [first = ''] = said.split(/: records|\n/)
  return code === 0 || first.includes('not intact') ? first : `${code}: ${said}`
}

t.test('what is broken or missing is said, and is no success', async (t) => {
  const dir = await journaled(t)
  const [first, second] = await listSegments(join(dir, 'data', 'journal'))
  if (first === undefined || second === undefined) throw new Error('there are no segments')
  const kept = readFileSync(first.path, 'latin1').split('\n')
  writeFileSync(first.path, [kept[0], ...kept.slice(2)].join('\n'))
  const missing = await run(dir, [])
  t.equal(missing.code, 1)
  t.match(missing.errors, /^1 record between them is not in the journal/)
  t.equal((await run(dir, ['--verdict', 'deny'])).code, 0, 'who asks for some of them is told of no gap')
  writeFileSync(second.path, readFileSync(second.path, 'latin1').replace('"v":1', '"v":9'))
  const broken = await run(dir, ['--format', 'ocsf'])
  t.equal(broken.code, 1)
  t.match(broken.errors, /^1 line is no valid record and is left out/)
  const none = folder(t)
  const nothing = await run(none, [])
  t.equal(nothing.code, 1)
  t.match(nothing.errors, /there is no journal in/)
  const nowhere = await run(dir, ['--out', 'no/such/folder/x.jsonl'])
  t.equal(nowhere.code, 1)
  t.match(nowhere.errors, /^sallyport audit export: ENOENT: no such file or directory, open '/)
})

t.test('a command line that asks for what cannot be says so', async (t) => {
  const dir = await journaled(t)
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [['--format', 'leef'], /`--format leef` is not jsonl, ocsf, ecs or cef/],
    [['--json'], /give --out or --segments too/],
    [['--force'], /--force is about --out/],
    [['--segments', 'x', '--out', 'y'], /--out or --segments, not both/],
    [['--segments', 'x', '--format', 'cef'], /has no other format/],
    [['--segments', 'x', '--verdict', 'deny'], /--verdict cannot/],
    [['--from', 'x'], /`--from x` is not a number/],
    [['--since', '1h', '--until', '2h'], /--since is not before --until/],
  ]
  for (const [argv, message] of wrong) await t.rejects(run(dir, argv), { name: 'UsageError', message }, argv.join(' '))
  t.notOk(existsSync(join(dir, 'x')))
})
