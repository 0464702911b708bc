// A disk that is full or broken: nothing is allowed, nothing torn stays, and service resumes by itself.
import { writeSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { SegmentIo } from '../../src/audit/segment-writer.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { decisionOf, folder, openTestJournal, readRecords, testClock, until } from './fixture.ts'
import * as fc from '../support/property.ts'

interface Disk extends SegmentIo {
  /** bytes that still fit; Infinity: a sound disk */
  room: number
  error: string
  canTruncate: boolean
}

function disk(): Disk {
  const state: Disk = {
    room: Number.POSITIVE_INFINITY,
    error: 'ENOSPC',
    canTruncate: true,
    write: (fd, buffer, offset, length) => {
      if (state.room <= 0) throw Object.assign(new Error(`${state.error}: write`), { code: state.error })
      const count = writeSync(fd, buffer, offset, Math.min(length, state.room))
      state.room -= count
      return count
    },
    truncate: (fd, length) => {
      if (!state.canTruncate) throw new Error('EIO: ftruncate')
      ftruncateSync(fd, length)
    },
  }
  return state
}

for (const error of ['ENOSPC', 'EIO']) {
  t.test(`${error}: appends are refused, the torn line goes, service resumes, and one gap event counts`, async (t) => {
    const dir = folder(t)
    const io = disk()
    const faults: unknown[] = []
    const journal = await openTestJournal(t, dir, { io, onFault: (fault) => void faults.push(fault) })
    await journal.append(decisionOf('r-1'))
    io.error = error
    io.room = 100
    await t.rejects(journal.append(decisionOf('r-2')), { code: 'audit_unavailable' })
    t.equal(journal.state(), 'unavailable')
    await t.rejects(journal.append(decisionOf('r-3')), { code: 'audit_unavailable' })
    t.equal(faults.length, 1, 'said once')
    t.equal(journal.lastSeq, 1)

    io.room = Number.POSITIVE_INFINITY
    await until(() => journal.state() === 'ok')
    await journal.append(decisionOf('r-4'))
    const records = await readRecords(t, dir)
    t.strictSame(records.map(({ name }) => name), ['sallyport.decision', 'sallyport.audit.gap', 'sallyport.decision'])
    t.match(records[1]?.attributes, { 'sallyport.gap.cause': 'journal_unavailable', 'sallyport.gap.count': 2, 'sallyport.reason': new RegExp(error) })
    t.equal(journal.stats().refused, 2)
    t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
  })
}

t.test('while a torn line cannot be cut off, nothing is written behind it', async (t) => {
  const dir = folder(t)
  const io = disk()
  const journal = await openTestJournal(t, dir, { io, onFault: () => undefined })
  io.room = 50
  io.canTruncate = false
  await t.rejects(journal.append(decisionOf('r-1')), { code: 'audit_unavailable' })
  io.room = Number.POSITIVE_INFINITY
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(journal.state(), 'unavailable')
  io.canTruncate = true
  await until(() => journal.state() === 'ok')
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
})

t.test('a torn line of our own is cut off, and is not taken for a change from outside', async (t) => {
  const dir = folder(t)
  const io = disk()
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { io, clock, onFault: () => undefined })
  await journal.append(decisionOf('r-1'))
  io.room = 50
  await t.rejects(journal.append(decisionOf('r-2')), { code: 'audit_unavailable' })
  // long enough for the look at whether the segment is still in its place
  clock.advance(1001)
  io.room = Number.POSITIVE_INFINITY
  await until(() => journal.state() === 'ok')
  await journal.append(decisionOf('r-3'))
  const records = await readRecords(t, dir)
  t.strictSame(records.map(({ attributes }) => attributes['sallyport.gap.cause']), [undefined, 'journal_unavailable', undefined])
  t.equal((await verifyJournal(join(dir, 'journal'))).fault, undefined)
})

t.test('partial writes that go on are no fault', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, {
    io: { write: (fd, buffer, offset, length) => writeSync(fd, buffer, offset, Math.min(length, 7)), truncate: ftruncateSync },
  })
  await Promise.all([journal.append(decisionOf('r-1')), journal.append(decisionOf('r-2'))])
  t.equal((await readRecords(t, dir)).length, 2)
})

t.test('an outage that is still there at close leaves a whole journal', async (t) => {
  const dir = folder(t)
  const io = disk()
  const journal = await openTestJournal(t, dir, { io, onFault: () => undefined })
  await journal.append(decisionOf('r-1'))
  io.room = 10
  await t.rejects(journal.append(decisionOf('r-2')))
  await journal.close()
  const again = await openTestJournal(t, dir)
  await again.append(decisionOf('r-3'))
  t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
})

t.test('whatever room is left: what was acknowledged is there, what was refused is not counted as there', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 8000 }), fc.integer({ min: 1, max: 6 }), async (room, count) => {
      const dir = folder(t)
      const io = disk()
      const journal = await openTestJournal(t, dir, { io, onFault: () => undefined })
      io.room = room
      const results = await Promise.allSettled(Array.from({ length: count }, (_, at) => journal.append(decisionOf(`r-${at}`))))
      const acknowledged = results.flatMap(({ status }, at) => (status === 'fulfilled' ? [`r-${at}`] : []))
      io.room = Number.POSITIVE_INFINITY
      await journal.close()
      const written = (await readRecords(t, dir)).flatMap(({ name, attributes }) => (name === 'sallyport.decision' ? [String(attributes['sallyport.request.id'])] : []))
      const { ok } = await verifyJournal(join(dir, 'journal'))
      return ok && written.join() === acknowledged.join()
    }),
    { numRuns: 30 },
  )
})
