import { mkdirSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeCursor } from '../../src/audit/export-cursor.ts'
import { parseLine } from '../../src/audit/record.ts'
import { segmentName } from '../../src/audit/segments.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { decisionOf, folder, openTestJournal, readRecords, testClock, until } from './fixture.ts'

const millisecond = () => new Promise((resolve) => setTimeout(resolve, 3))

t.test('an append resolves when the record is in the file', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await journal.append(decisionOf('r-1'))
  const [record] = await readRecords(t, dir)
  t.equal(record?.seq, 1)
  t.equal(record?.prev, '0'.repeat(64))
  t.equal(record?.attributes['sallyport.request.id'], 'r-1')
  t.equal(record?.instance, 'instance-1')
  t.equal(journal.lastSeq, 1)
  t.equal(journal.lastHash, record?.hash)
})

t.test('only the owner can read the journal', async (t) => {
  const dir = folder(t)
  mkdirSync(join(dir, 'journal'), { mode: 0o755 })
  const journal = await openTestJournal(t, dir)
  await journal.append(decisionOf('r-1'))
  t.equal(statSync(join(dir, 'journal')).mode & 0o777, 0o700)
  for (const name of readdirSync(join(dir, 'journal'))) t.equal(statSync(join(dir, 'journal', name)).mode & 0o777, 0o600, name)
})

t.test('records of one turn share one write, in the order of their appends', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await Promise.all(Array.from({ length: 100 }, (_, at) => journal.append(decisionOf(`r-${at}`))))
  t.equal(journal.stats().writes, 1)
  t.strictSame((await readRecords(t, dir)).map(({ attributes }) => attributes['sallyport.request.id']), Array.from({ length: 100 }, (_, at) => `r-${at}`))
})

t.test('numbers and chain go on over a restart, and each opening has uids of its own', async (t) => {
  const dir = folder(t)
  for (const id of ['r-1', 'r-2', 'r-3']) {
    const journal = await openTestJournal(t, dir)
    await journal.append(decisionOf(id))
    await journal.close()
  }
  const records = await readRecords(t, dir)
  t.strictSame(records.map(({ seq }) => seq), [1, 2, 3])
  t.equal(new Set(records.map(({ uid }) => uid)).size, 3)
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
})

t.test('25,000 records are gap-free over rotations, and the chain verifies', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { segmentBytes: 4 * 1024 * 1024, maxBytes: 1024 ** 3 })
  for (let round = 0; round < 25; round++) {
    await Promise.all(Array.from({ length: 1000 }, (_, at) => journal.append(decisionOf(`r-${round}-${at}`))))
  }
  await journal.close()
  const result = await verifyJournal(join(dir, 'journal'))
  t.equal(result.fault, undefined)
  t.ok(result.segments > 1)
  // a checkpoint for each rotation stands among the decisions
  t.equal(result.records, 25_000 + result.segments - 1)
  t.equal(result.lastSeq, result.records)
})

t.test('an append after close is refused, and closing twice is harmless', async (t) => {
  const journal = await openTestJournal(t, folder(t))
  await journal.close()
  await journal.close()
  await t.rejects(journal.append(decisionOf('r')), { code: 'audit_unavailable' })
  t.equal(journal.state(), 'unavailable')
})

t.test('close writes what is still waiting', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const appended = journal.append(decisionOf('r-1'))
  await journal.close()
  await appended
  t.equal((await readRecords(t, dir)).length, 1)
})

t.test('two processes never share a journal, and a closed one is free again', async (t) => {
  const dir = folder(t)
  const first = await openTestJournal(t, dir)
  await t.rejects(openTestJournal(t, dir), { message: /in use by another process \(pid \d+ since/ })
  await first.close()
  const second = await openTestJournal(t, dir)
  await second.append(decisionOf('r'))
  t.equal(second.lastSeq, 1)
})

t.test('an event that cannot be encoded is refused alone', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const bad = { ...decisionOf('bad'), attributes: { get broken(): string { throw new Error('broken attribute') } } }
  const results = await Promise.allSettled([journal.append(decisionOf('r-1')), journal.append(bad), journal.append(decisionOf('r-2'))])
  t.strictSame(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled'])
  t.strictSame((await readRecords(t, dir)).map(({ seq }) => seq), [1, 2])
})

t.test('a segment is closed at its size, with a checkpoint at the start of the next', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { segmentBytes: 4000 })
  for (let at = 0; at < 12; at++) await journal.append(decisionOf(`r-${at}`))
  const records = await readRecords(t, dir)
  const checkpoint = records.find(({ name }) => name === 'sallyport.audit.checkpoint')
  t.ok(checkpoint)
  t.equal(checkpoint?.attributes['sallyport.checkpoint.last_hash'], checkpoint?.prev)
  t.ok(journal.stats().segments > 1)
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
})

t.test('a segment is closed when it is old', async (t) => {
  const clock = testClock()
  const journal = await openTestJournal(t, folder(t), { clock })
  await journal.append(decisionOf('r-1'))
  clock.advance(86_400_001)
  await journal.append(decisionOf('r-2'))
  t.equal(journal.stats().segments, 2)
})

t.test('old segments leave by age, with an event that says so when no exporter had them', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { clock, segmentBytes: 2000, maxAgeMs: 3_600_000 })
  for (let at = 0; at < 4; at++) await journal.append(decisionOf(`r-${at}`))
  clock.advance(3_600_001)
  await journal.append(decisionOf('later'))
  await until(async () => (await readRecords(t, dir)).some(({ attributes }) => attributes['sallyport.gap.cause'] === 'pruned'))
  const result = await verifyJournal(join(dir, 'journal'))
  t.equal(result.ok, true)
  t.equal(result.isPruned, true)
  t.ok(journal.stats().oldestAgeMs < 3_600_000)
})

t.test('the oldest segments leave when the journal is too large', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { maxBytes: 32_000 })
  for (let at = 0; at < 60; at++) {
    await journal.append(decisionOf(`r-${at}`))
    await millisecond()
  }
  await until(() => journal.stats().bytes < 34_000)
  t.equal(journal.state(), 'ok')
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
  t.ok(journal.stats().records < 60)
})

t.test('what an exporter has not delivered is never removed: near full, then refused, then on again', async (t) => {
  const dir = folder(t)
  const faults: unknown[] = []
  const journal = await openTestJournal(t, dir, { maxBytes: 32_000, destinations: ['otel'], onFault: (error) => void faults.push(error) })
  const seen = new Set<string>()
  for (let at = 1; at < 100; at++) {
    seen.add(journal.state())
    const [{ status }] = await Promise.allSettled([journal.append(decisionOf(`r-${at}`))])
    if (status === 'rejected') break
  }
  t.ok(seen.has('near_full'), 'it warned at 80 %')
  t.equal(journal.state(), 'unavailable')
  t.match(faults, [{ message: /have not been delivered/ }])
  const { lastSeq } = journal
  t.equal((await readRecords(t, dir)).length, lastSeq, 'nothing is lost')
  t.equal(journal.stats().undelivered, lastSeq)

  journal.delivered(lastSeq)
  t.equal(journal.stats().undelivered, 0)
  await until(() => journal.state() === 'ok')
  await journal.append(decisionOf('after'))
  const gap = (await readRecords(t, dir)).findLast(({ name }) => name === 'sallyport.audit.gap')
  t.match(gap?.attributes, { 'sallyport.gap.cause': 'journal_unavailable', 'sallyport.gap.count': 1 })
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
})

t.test('what was delivered before a restart counts as delivered after it, when the cursor names a record that is there', async (t) => {
  const dir = folder(t)
  const first = await openTestJournal(t, dir)
  await first.append(decisionOf('r-1'))
  await first.append(decisionOf('r-2'))
  const cursor = { seq: 2, hash: first.lastHash, segment: segmentName(1), offset: readFileSync(join(dir, 'journal', segmentName(1))).indexOf(10) + 1 }
  await first.close()
  await writeCursor(join(dir, 'journal'), 'otel', cursor)
  const second = await openTestJournal(t, dir, { destinations: ['otel'] })
  t.equal(second.stats().undelivered, 0)
  await second.close()
  await writeCursor(join(dir, 'journal'), 'otel', { ...cursor, hash: '0'.repeat(64) })
  t.equal((await openTestJournal(t, dir, { destinations: ['otel'] })).stats().undelivered, 2)
})

t.test('a session beyond its quota is refused, the others are not, and one record says how often', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { clock, recordsPerSessionPerMinute: 3 })
  for (let at = 0; at < 3; at++) {
    t.equal(journal.overQuota('s-1'), false)
    await journal.append(decisionOf(`r-${at}`))
  }
  for (let at = 0; at < 5; at++) t.equal(journal.overQuota('s-1'), true)
  t.equal(journal.overQuota('s-2'), false)
  clock.advance(60_000)
  t.equal(journal.overQuota('s-1'), false, 'a new minute')
  await journal.append(decisionOf('r-9'))
  const gaps = (await readRecords(t, dir)).filter(({ name }) => name === 'sallyport.audit.gap')
  t.match(gaps, [{ attributes: { 'sallyport.gap.cause': 'session_quota', 'sallyport.gap.count': 5, 'session.id': 's-1' } }])
  t.equal(gaps.length, 1)
})

t.test('close reports refusals of the running minute', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { recordsPerSessionPerMinute: 1 })
  await journal.append(decisionOf('r-1'))
  t.equal(journal.overQuota('s-1'), true)
  await journal.close()
  t.match((await readRecords(t, dir)).at(-1), { name: 'sallyport.audit.gap', attributes: { 'sallyport.gap.count': 1 } })
})

t.test('without a quota no session is ever over it', async (t) => {
  const journal = await openTestJournal(t, folder(t))
  for (let at = 0; at < 50; at++) await journal.append(decisionOf(`r-${at}`))
  t.equal(journal.overQuota('s-1'), false)
})

for (const [what, harm] of Object.entries({ removed: (path: string) => unlinkSync(path), 'changed from outside': (path: string) => writeFileSync(path, 'x', { flag: 'a' }) })) {
  t.test(`a segment that is ${what} while it is written is noticed, said, and not written to any more`, async (t) => {
    const dir = folder(t)
    const clock = testClock()
    const journal = await openTestJournal(t, dir, { clock })
    await journal.append(decisionOf('r-1'))
    harm(join(dir, 'journal', segmentName(1)))
    clock.advance(1001)
    await journal.append(decisionOf('r-2'))
    const found = readFileSync(join(dir, 'journal', segmentName(2)), 'latin1').trim().split('\n').map((line) => parseLine(line).record)
    t.match(found, [{ name: 'sallyport.audit.gap', attributes: { 'sallyport.gap.cause': 'segment_lost', 'sallyport.gap.first_seq': 1, 'sallyport.gap.last_seq': 1 } }, { seq: 3 }])
    const { ok, isPruned } = await verifyJournal(join(dir, 'journal'))
    t.ok(isPruned || !ok, 'the verifier sees it too')
  })
}
