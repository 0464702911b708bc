// Signed checkpoints: when there is one, what it covers, and its copy that outlives the segment.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CheckpointFile, checkpointPath, readCheckpoints } from '../../src/audit/checkpoint-file.ts'
import { checkpointOf, isSignedBy, type SignedCheckpoint } from '../../src/audit/checkpoint.ts'
import type { JournalOptions } from '../../src/audit/journal.ts'
import { encodeEvent, parseLine, sealLine, zeroHash, type JournalRecord } from '../../src/audit/record.ts'
import { decisionOf, folder, openTestJournal, readRecords, testClock, testSigner, until } from './fixture.ts'

const signer = testSigner()
const hourMs = 3_600_000
const signing = (intervalMs = hourMs): Partial<JournalOptions> => ({ checkpoints: { signer, intervalMs } })

const signedIn = (records: readonly JournalRecord[]): SignedCheckpoint[] => records.flatMap((record) => checkpointOf(record) ?? [])
const copies = async (dir: string): Promise<readonly JournalRecord[]> => ((await readCheckpoints(join(dir, 'journal')))?.lines ?? []).map(({ record }) => record)

/** Every checkpoint in the journal is signed, covers the record it names, and has its copy. */
async function allHold(t: Test, dir: string): Promise<readonly SignedCheckpoint[]> {
  const records = await readRecords(t, dir)
  const checkpoints = signedIn(records)
  for (const checkpoint of checkpoints) {
    t.equal(isSignedBy(checkpoint, signer.key), true, `record ${checkpoint.lastSeq}`)
    const covered = records.find(({ seq }) => seq === checkpoint.lastSeq)
    if (covered !== undefined) t.equal(covered.hash, checkpoint.lastHash)
  }
  t.equal(new Set(checkpoints.map(({ journal }) => journal)).size, 1)
  const kept = new Set((await copies(dir)).map(({ hash }) => hash))
  t.ok(records.filter((record) => checkpointOf(record) !== undefined).every(({ hash }) => kept.has(hash)), 'each has a copy')
  return checkpoints
}

t.test('there is one at a stop and at the start after it, and none where nothing was written', async (t) => {
  const dir = folder(t)
  await (await openTestJournal(t, dir, signing())).close()
  t.strictSame(await readRecords(t, dir), [])
  const first = await openTestJournal(t, dir, signing())
  await first.append(decisionOf('r-1'))
  first.checkpoint()
  await first.flush()
  await first.close()
  t.strictSame((await allHold(t, dir)).map(({ reason, lastSeq }) => [reason, lastSeq]), [['stopped', 1]], 'said before the exporter is closed, and not again')
  const second = await openTestJournal(t, dir, signing())
  await second.append(decisionOf('r-2'))
  await second.close()
  t.strictSame((await allHold(t, dir)).map(({ reason, lastSeq }) => [reason, lastSeq]), [['stopped', 1], ['started', 2], ['stopped', 4]])
})

t.test('what is written is covered within the interval, once', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, signing(20))
  await Promise.all([journal.append(decisionOf('r-1')), journal.append(decisionOf('r-2'))])
  await until(() => journal.lastSeq === 3)
  await new Promise((resolve) => setTimeout(resolve, 60))
  t.equal(journal.lastSeq, 3, 'a checkpoint is nothing that another would have to cover')
  await journal.append(decisionOf('r-3'))
  await until(() => journal.lastSeq === 5)
  await journal.close()
  t.strictSame((await allHold(t, dir)).map(({ reason, lastSeq }) => [reason, lastSeq]), [['interval', 2], ['interval', 4]])
})

t.test('a segment has one when it is complete, and leaves only when one about that is kept', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { ...signing(), clock, segmentBytes: 2500, maxAgeMs: hourMs })
  for (let at = 0; at < 6; at++) await journal.append(decisionOf(`r-${at}`))
  t.ok(signedIn(await readRecords(t, dir)).some(({ reason }) => reason === 'closed'))
  const before = await readRecords(t, dir)
  clock.advance(hourMs + 1)
  await journal.append(decisionOf('later'))
  const newest = before.at(-1)?.seq ?? 0
  await until(async () => ((await readRecords(t, dir))[0]?.seq ?? 0) >= newest)
  await journal.close()
  const oldest = (await readRecords(t, dir))[0]
  t.ok((oldest?.seq ?? 0) > 1)
  const pruned = signedIn(await copies(dir)).filter(({ reason }) => reason === 'pruned')
  t.match(pruned.at(-1), { lastSeq: (oldest?.seq ?? 0) - 1, lastHash: oldest?.prev }, 'so that the oldest kept is the one that follows')
  t.equal(pruned.length, 1, 'one for all that leave together')
  for (const { lastSeq, lastHash } of pruned) t.equal(before.find(({ seq }) => seq === lastSeq)?.hash ?? lastHash, lastHash)
  await allHold(t, dir)
})

t.test('the file of copies bounds itself, and keeps the newest of each kind', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, signing())
  await journal.append(decisionOf('r-1'))
  await journal.close()
  const [sample] = await copies(dir)
  if (sample === undefined) return t.fail('there is a copy')
  const faults: unknown[] = []
  const file = new CheckpointFile(join(dir, 'journal'), [], () => Promise.resolve(), (error) => faults.push(error))
  const line = (seq: number, reason: string): void => {
    const attributes = { ...sample.attributes, 'sallyport.checkpoint.reason': reason, 'sallyport.checkpoint.last_seq': seq - 1 }
    const sealed = sealLine(encodeEvent({ ...sample, name: 'sallyport.audit.checkpoint', attributes }), seq, zeroHash, 'u', sample.time, 'i').line.trimEnd()
    const { record } = parseLine(sealed)
    if (record !== undefined) file.add({ record, line: sealed })
  }
  for (let seq = 10; seq < 20; seq++) line(seq, 'pruned')
  const waiting = file.hasPruned(15)
  for (let seq = 20; seq < 1120; seq++) line(seq, 'interval')
  t.equal(await waiting, true)
  await file.settled()
  t.strictSame(faults, [])
  const kept = await copies(dir)
  t.ok(kept.length <= 1011, String(kept.length))
  t.match(kept.map((record) => record.seq).slice(0, 10), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  t.equal(kept.at(-1)?.seq, 1119)
  const never = file.hasPruned(5000)
  file.release()
  t.equal(await never, false)
})

t.test('a copy that a crash kept from being made is made at the next start, and half a copy goes', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, signing())
  await journal.append(decisionOf('r-1'))
  await journal.close()
  const path = checkpointPath(join(dir, 'journal'))
  const text = readFileSync(path, 'latin1')
  writeFileSync(path, text.slice(0, 100))
  await (await openTestJournal(t, dir, signing())).close()
  const after = readFileSync(path, 'latin1')
  t.ok(after.startsWith(text))
  await allHold(t, dir)
})

t.test('a journal that was cut short, or whose copies say otherwise, does not start', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, signing())
  for (let at = 0; at < 3; at++) await journal.append(decisionOf(`r-${at}`))
  await journal.close()
  const segment = join(dir, 'journal', 'segment-000000000001.jsonl')
  const lines = readFileSync(segment, 'latin1').split('\n').slice(0, -1)
  for (const count of [1, 3]) {
    writeFileSync(segment, `${lines.slice(0, count).join('\n')}\n`)
    await t.rejects(openTestJournal(t, dir, signing()), { name: 'JournalCorruptError', message: new RegExp(`records ${count + 1} to 4 are missing at the end: checkpoints\\.jsonl has a copy.*sallyport audit repair`) })
  }
  writeFileSync(segment, `${lines.join('\n')}\n`)
  const path = checkpointPath(join(dir, 'journal'))
  const copy = readFileSync(path, 'latin1')
  writeFileSync(path, copy.replace('stopped', 'started'))
  await t.rejects(openTestJournal(t, dir, signing()), { message: /checkpoints\.jsonl` line 1: the hash does not match/ })
})

t.test('with a key that is new, a journal that is older than it says where it begins', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const old = await openTestJournal(t, dir, { clock, segmentBytes: 2500, maxAgeMs: hourMs })
  for (let at = 0; at < 4; at++) await old.append(decisionOf(`r-${at}`))
  clock.advance(hourMs + 1)
  await old.append(decisionOf('later'))
  await until(async () => (await readRecords(t, dir))[0]?.seq !== 1)
  await old.close()
  await (await openTestJournal(t, dir, { clock, checkpoints: { signer: { ...signer, isNew: true }, intervalMs: hourMs } })).close()
  const [oldest] = await readRecords(t, dir)
  t.match((await allHold(t, dir))[0], { reason: 'pruned', lastSeq: (oldest?.seq ?? 0) - 1, lastHash: oldest?.prev })
})

t.test('signing waits for nothing: a full disk that retention can make room on is made room on', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const state = { isFull: false }
  const { writeSync, ftruncateSync } = await import('node:fs')
  const journal = await openTestJournal(t, dir, {
    ...signing(), clock, segmentBytes: 2500, maxAgeMs: hourMs, onFault: () => undefined,
    io: {
      write: (fd, data, offset, length) => {
        if (state.isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
        return writeSync(fd, data, offset, length)
      },
      truncate: ftruncateSync,
    },
  })
  for (let at = 0; at < 6; at++) await journal.append(decisionOf(`r-${at}`))
  state.isFull = true
  clock.advance(hourMs + 1)
  await t.rejects(journal.append(decisionOf('refused')))
  await until(() => journal.stats().segments === 1)
  state.isFull = false
  await until(() => journal.state() === 'ok')
  await journal.close()
  await allHold(t, dir)
  const [oldest] = await readRecords(t, dir)
  t.match(signedIn(await copies(dir)).findLast(({ reason }) => reason === 'pruned'), { lastSeq: (oldest?.seq ?? 0) - 1 })
})

t.test('copies that somebody took away are told at the next start, and not where there never were any', async (t) => {
  const dir = folder(t)
  const faults: unknown[] = []
  const open = async (more: Partial<JournalOptions> = {}): Promise<readonly string[]> => {
    const journal = await openTestJournal(t, dir, { ...signing(), onFault: (error) => void faults.push(error), ...more })
    await journal.append(decisionOf('r-1'))
    await journal.close()
    return (await readRecords(t, dir)).flatMap(({ attributes }) => (attributes['sallyport.gap.cause'] === 'segment_lost' ? [String(attributes['sallyport.reason'])] : []))
  }
  t.same(await open({ checkpoints: undefined }), [], 'a journal without signatures has none')
  t.same(await open(), [])
  t.same(await open(), [])
  rmSync(checkpointPath(join(dir, 'journal')))
  t.match(await open(), [/^checkpoints\.jsonl was taken away: what it proved of the journal before record \d+/])
  t.equal(faults.length, 1)
  t.equal((await open()).length, 1, 'once')
})
