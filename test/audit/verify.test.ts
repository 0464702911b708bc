// The verifier names the first record that is wrong, whatever was done to the files.
import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { writeCursor } from '../../src/audit/export-cursor.ts'
import { listSegments } from '../../src/audit/segments.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { decisionOf, folder, openTestJournal } from './fixture.ts'

interface Made {
  dir: string
  paths: string[]
  /** lines of each segment */
  lines: string[][]
}

async function made(t: Test, count = 9): Promise<Made> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { segmentBytes: 3500 })
  for (let at = 0; at < count; at++) await journal.append(decisionOf(`r-${at}`))
  await journal.close()
  const paths = (await listSegments(join(dir, 'journal'))).map(({ path }) => path)
  return { dir: join(dir, 'journal'), paths, lines: paths.map((path) => readFileSync(path, 'latin1').split('\n').slice(0, -1)) }
}

const write = (path: string, lines: readonly string[]): void => writeFileSync(path, lines.map((line) => `${line}\n`).join(''))

t.test('a sound journal verifies, and says where it ends', async (t) => {
  const { dir, lines } = await made(t)
  const result = await verifyJournal(dir)
  t.match(result, { ok: true, firstSeq: 1, isPruned: false, tornBytes: 0, fault: undefined })
  t.equal(result.records, lines.flat().length)
  t.ok(lines.flat().at(-1)?.includes(result.lastHash))
})

t.test('one flipped bit anywhere names the file, the line and the record', async (t) => {
  const { dir, paths, lines } = await made(t)
  let seq = 0
  for (const [at, path] of paths.entries()) {
    for (const [number, line] of (lines[at] ?? []).entries()) {
      seq++
      for (let byte = seq % 61; byte < line.length; byte += 61) {
        const changed = [...(lines[at] ?? [])]
        changed[number] = line.slice(0, byte) + String.fromCharCode(line.charCodeAt(byte) ^ 1) + line.slice(byte + 1)
        write(path, changed)
        const { ok, fault } = await verifyJournal(dir)
        if (ok || fault?.file !== path || fault.line !== number + 1) t.fail(`byte ${byte} of record ${seq} was not found`, { fault })
      }
    }
    write(path, lines[at] ?? [])
  }
  t.equal((await verifyJournal(dir)).ok, true)
})

t.test('removed, repeated and reordered records are named', async (t) => {
  const { dir, paths, lines } = await made(t)
  const [first = ''] = paths
  const [a = '', b = '', c = ''] = lines[0] ?? []
  const cases: [string[], number, RegExp][] = [
    [[a, c], 3, /records 2 to 2 are missing before this one/],
    [[b, c], 2, /records 1 to 1 are missing/],
    [[a, a, b, c], 1, /repeated or moved/],
    [[a, c, b], 3, /missing before this one/],
  ]
  for (const [content, seq, what] of cases) {
    write(first, content)
    t.match(await verifyJournal(dir), { ok: false, fault: { file: first, seq, what } })
  }
})

t.test('a record that was rewritten with a hash that fits is found by the one after it', async (t) => {
  const { dir, paths } = await made(t)
  const other = await made(t)
  const [first = ''] = paths
  const content = readFileSync(first, 'latin1').split('\n').slice(0, -1)
  // record 1 of another journal: its own hash is right, the chain is not
  write(first, [other.lines[0]?.[0] ?? '', ...content.slice(1)])
  t.match(await verifyJournal(dir), { ok: false, fault: { line: 2, seq: 2, what: /does not continue/ } })
})

t.test('swapped, renamed and missing segments are named', async (t) => {
  const { dir, paths, lines } = await made(t)
  const [first = '', second = '', third = ''] = paths
  write(first, lines[1] ?? [])
  write(second, lines[0] ?? [])
  t.match(await verifyJournal(dir), { ok: false, fault: { file: first, line: 1 } })
  write(first, lines[0] ?? [])
  write(second, lines[1] ?? [])
  renameSync(second, `${second}.aside`)
  t.match(await verifyJournal(dir), { ok: false, fault: { file: third, what: /are missing between the segment before and this one/ } })
  renameSync(`${second}.aside`, second)
  t.equal((await verifyJournal(dir)).ok, true)
})

t.test('a segment cut short in the middle of the journal is named', async (t) => {
  const { dir, paths, lines } = await made(t)
  const [first = '', second = ''] = paths
  writeFileSync(first, readFileSync(first).subarray(0, -20))
  t.match(await verifyJournal(dir), { ok: false, fault: { file: first, what: /torn record/ } })
  write(first, (lines[0] ?? []).slice(0, -1))
  t.match(await verifyJournal(dir), { ok: false, fault: { file: second, what: /missing between/ } })
  write(first, lines[0] ?? [])
  writeFileSync(second, '')
  t.match(await verifyJournal(dir), { ok: false, fault: { file: second, what: /is empty and is not the last one/ } })
})

t.test('retention may have removed the oldest segments, and the result says so', async (t) => {
  const { dir, paths } = await made(t)
  unlinkSync(paths[0] ?? '')
  const result = await verifyJournal(dir)
  t.equal(result.ok, true)
  t.equal(result.isPruned, true)
  t.ok(result.firstSeq > 1)
})

t.test('a write under way at the end is no fault', async (t) => {
  const { dir, paths } = await made(t)
  writeFileSync(paths.at(-1) ?? '', '{"v":1,', { flag: 'a' })
  t.match(await verifyJournal(dir), { ok: true, tornBytes: 7 })
})

t.test('an end that was cut off after it was exported is found', async (t) => {
  const { dir, paths, lines } = await made(t)
  const { lastSeq, lastHash } = await verifyJournal(dir)
  await writeCursor(dir, 'otel', { seq: lastSeq, hash: lastHash, segment: 'segment-000000000001.jsonl', offset: 0 })
  t.equal((await verifyJournal(dir)).ok, true)
  write(paths.at(-1) ?? '', (lines.at(-1) ?? []).slice(0, -1))
  t.match(await verifyJournal(dir), { ok: false, fault: { seq: lastSeq, what: /were exported and are missing at the end/ } })
})

t.test('an empty folder has nothing to verify', async (t) => {
  t.match(await verifyJournal(join(folder(t), 'journal')), { ok: true, records: 0, segments: 0 })
})
