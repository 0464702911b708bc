// `audit.durability = "power"`: nobody hears of a record before it is on the disk, and a power cut takes nothing
// that somebody heard of.
import { cpSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Journal, JournalOptions } from '../../src/audit/journal.ts'
import { segmentName } from '../../src/audit/segments.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import * as fc from '../support/property.ts'
import { decisionOf, folder, openTestJournal, readRecords, until } from './fixture.ts'
import { dropPages, powerDisk, type PowerDisk } from './power-disk.ts'

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3))

function open(t: Test, dir: string, io: PowerDisk, options: Partial<JournalOptions> = {}): Promise<Journal> {
  return openTestJournal(t, dir, { durability: 'power', io, ...options })
}

/** Request ids of the decisions in a journal, and whether it verifies. */
async function readBack(t: Test, dir: string): Promise<{ readonly ids: readonly string[]; readonly fault: unknown }> {
  const ids = (await readRecords(t, dir)).flatMap(({ name, attributes }) => (name === 'sallyport.decision' ? [String(attributes['sallyport.request.id'])] : []))
  return { ids, fault: (await verifyJournal(join(dir, 'journal'))).fault }
}

t.test('no append resolves before its sync; one sync serves all that wait, and what comes meanwhile is written and waits for the next', async (t) => {
  const dir = folder(t)
  const io = powerDisk()
  const journal = await open(t, dir, io)
  const resolved: string[] = []
  const append = (id: string): Promise<unknown> => journal.append(decisionOf(id)).then(() => resolved.push(id))
  io.isHeld = true
  const first = [append('a-1'), append('a-2')]
  await until(() => io.syncs === 1)
  const second = [append('b-1'), append('b-2'), append('b-3')]
  await until(async () => (await readRecords(t, dir)).length === 5)
  const third = append('c-1')
  await until(async () => (await readRecords(t, dir)).length === 6)
  t.strictSame(resolved, [])
  t.equal(io.syncs, 1, 'one at a time')
  io.release()
  io.isHeld = true
  await Promise.all(first)
  await until(() => io.syncs === 2)
  t.strictSame(resolved, ['a-1', 'a-2'])
  io.release()
  await Promise.all([...second, third])
  t.equal(io.syncs, 2, 'both writes that came meanwhile share one')
})

t.test('with `process` nobody waits for a sync', async (t) => {
  const io = powerDisk()
  const journal = await openTestJournal(t, folder(t), { io, durability: 'process' })
  io.isHeld = true
  await journal.append(decisionOf('r-1'))
  io.release()
})

t.test('a power cut at any moment takes nothing that was resolved, and the journal goes on', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 6 }), fc.boolean(), async (bursts, isHeldAtLast) => {
      const dir = folder(t)
      const io = powerDisk()
      // a segment is begun every few records
      const journal = await open(t, dir, io, { segmentBytes: 3000 })
      const resolved: string[] = []
      for (const [round, size] of bursts.entries()) {
        if (isHeldAtLast && round === bursts.length - 1) io.isHeld = true
        for (let at = 0; at <= size; at++) void journal.append(decisionOf(`r-${round}-${at}`)).then(() => resolved.push(`r-${round}-${at}`))
        await turn()
      }
      const heard = [...resolved]
      const found = join(dir, 'found')
      mkdirSync(found)
      // the cut is to the files as they are now: the links keep the inodes that the disk knows
      const copy = join(found, 'journal')
      io.cut(join(dir, 'journal'))
      cpSync(join(dir, 'journal'), copy, { recursive: true, filter: (path) => !path.endsWith('lock') })
      io.release()
      await journal.close()
      const again = await openTestJournal(t, found)
      await again.append(decisionOf('after'))
      await again.close()
      const { ids, fault } = await readBack(t, found)
      return fault === undefined && heard.every((id) => ids.includes(id)) && ids.at(-1) === 'after'
    }),
    { numRuns: 15 },
  )
})

t.test('a sync that fails is an outage; what the kernel dropped is written again before service resumes, and one gap event counts', async (t) => {
  const dir = folder(t)
  const io = powerDisk()
  const faults: unknown[] = []
  const journal = await open(t, dir, io, { onFault: (error) => void faults.push(error) })
  await journal.append(decisionOf('r-1'))
  const path = join(dir, 'journal', segmentName(1))
  const { size } = statSync(path)
  io.failure = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
  io.isHeld = true
  const waiting = [journal.append(decisionOf('r-2')), journal.append(decisionOf('r-3'))].map((append) => t.rejects(append, { code: 'audit_unavailable' }))
  await until(() => io.syncs === 2)
  const meanwhile = t.rejects(journal.append(decisionOf('r-4')), { code: 'audit_unavailable' }, 'what was written while the sync ran is not trusted either')
  await until(async () => (await readRecords(t, dir)).length === 4)
  io.release()
  await Promise.all([...waiting, meanwhile])
  t.equal(journal.state(), 'unavailable')
  t.match(faults, [{ code: 'EIO' }])
  dropPages(path, size)
  await t.rejects(journal.append(decisionOf('r-5')), { code: 'audit_unavailable' })
  await until(() => journal.state() === 'ok')
  await journal.append(decisionOf('r-6'))
  const { ids, fault } = await readBack(t, dir)
  t.equal(fault, undefined)
  t.strictSame(ids, ['r-1', 'r-2', 'r-3', 'r-4', 'r-6'], 'numbers that may have been read are not given twice')
  const gap = (await readRecords(t, dir)).find(({ name }) => name === 'sallyport.audit.gap')
  t.match(gap?.attributes, { 'sallyport.gap.cause': 'journal_unavailable', 'sallyport.gap.count': 4, 'sallyport.reason': /EIO/ })
  // and what is said to be there is on the disk
  io.cut(join(dir, 'journal'))
  t.strictSame((await readBack(t, dir)).ids, ids)
})

t.test('while syncs go on failing nothing is allowed, and closing says so', async (t) => {
  const dir = folder(t)
  const io = powerDisk()
  const broken = new Error('EIO: i/o error, fdatasync')
  io.sync = () => Promise.reject(broken)
  const faults: unknown[] = []
  const journal = await open(t, dir, io, { onFault: (error) => void faults.push(error) })
  await t.rejects(journal.append(decisionOf('r-1')), { code: 'audit_unavailable' })
  await until(() => journal.lastSeq === 1)
  await t.rejects(journal.append(decisionOf('r-2')), { code: 'audit_unavailable' })
  await t.rejects(journal.close(), broken)
  t.strictSame(faults, [broken], 'said once')
  io.sync = () => Promise.resolve()
})
