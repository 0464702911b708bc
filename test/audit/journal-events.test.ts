// The journal by number, over segments, while it is written.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { journalEvents } from '../../src/audit/journal-events.ts'
import type { Journal } from '../../src/audit/journal.ts'
import { decisionOf, folder, openTestJournal } from './fixture.ts'

const count = 700

async function journaled(t: Test): Promise<{ readonly dir: string; readonly journal: Journal }> {
  const root = folder(t)
  const journal = await openTestJournal(t, root, { segmentBytes: 300 * 1024 })
  await Promise.all(Array.from({ length: count }, (_, index) => journal.append(decisionOf(`r-${index + 1}`))))
  await journal.flush()
  return { dir: join(root, 'journal'), journal }
}

t.test('a page starts after any number, in whatever segment that is', async (t) => {
  const { dir, journal } = await journaled(t)
  const events = journalEvents(dir)
  const last = journal.lastSeq
  for (const after of [0, 1, 2, 99, 100, 255, 256, 333, 500, last - 3, last - 1]) {
    const found = (await events.read(after, 3)).map(({ seq }) => seq)
    t.strictSame(found, [after + 1, after + 2, after + 3].filter((seq) => seq <= last), String(after))
  }
  t.strictSame(await events.read(last, 3), [])
  t.strictSame(await events.read(last + 100, 3), [])
  t.equal((await events.read(0, 10_000)).length, last)
})

t.test('the newest come oldest first', async (t) => {
  const { dir, journal } = await journaled(t)
  t.strictSame((await journalEvents(dir).latest(2)).map(({ seq }) => seq), [journal.lastSeq - 1, journal.lastSeq])
})

t.test('a journal that is not there has no records', async (t) => {
  const events = journalEvents(join(folder(t), 'nowhere'))
  t.strictSame(await events.read(0, 10), [])
  t.strictSame(await events.latest(10), [])
})

t.test('following goes on from a number, through what is there to what is appended', async (t) => {
  const { dir, journal } = await journaled(t)
  const end = new AbortController()
  const from = journal.lastSeq - 2
  const seen: number[] = []
  for await (const { seq } of journalEvents(dir).follow(from, end.signal)) {
    seen.push(seq)
    if (seen.length === 2) await journal.append(decisionOf('r-new'))
    if (seen.length === 3) break
  }
  t.strictSame(seen, [from + 1, from + 2, from + 3])
  const all: number[] = []
  for await (const { seq } of journalEvents(dir).follow(0, end.signal)) {
    all.push(seq)
    if (seq === journal.lastSeq) break
  }
  t.strictSame(all, Array.from({ length: journal.lastSeq }, (_, index) => index + 1))
})

t.test('following from now tells only what comes', async (t) => {
  const { dir, journal } = await journaled(t)
  const end = new AbortController()
  const records = journalEvents(dir).follow(undefined, end.signal)[Symbol.asyncIterator]()
  const next = records.next()
  // the place to go on from is read first; what is appended meanwhile is either before it or told
  const appended = (async () => {
    for (;;) {
      await journal.append(decisionOf('r-late'))
      const { isOver } = await Promise.race([next.then(() => ({ isOver: true })), new Promise<{ isOver: boolean }>((resolve) => { setTimeout(resolve, 20, { isOver: false }) })])
      if (isOver) return
    }
  })()
  const { value } = await next
  await appended
  t.ok(value.seq > count, String(value.seq))
  end.abort()
  await records.return?.()
})
