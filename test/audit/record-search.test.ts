// Searching the journal with and without an index, and the index itself: made, kept up, damaged, thrown away.
import { copyFileSync, cpSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { approvalDecidedEvent, approvalRequestedEvent, grantUsedEvent } from '../../src/audit/approval-events.ts'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { IndexKeeper } from '../../src/audit/index-keeper.ts'
import { SearchUnavailable, startSearcher } from '../../src/audit/journal-searcher.ts'
import { journalRecords } from '../../src/audit/journal-query.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { forgetOwner, indexPath, readIndex, RecordIndex, removeIndex } from '../../src/audit/record-index.ts'
import { RecordFilter, type RecordQuestion } from '../../src/audit/record-filter.ts'
import { countRecords, isInScope, searchJournal, type Search } from '../../src/audit/record-search.ts'
import { listSegments } from '../../src/audit/segments.ts'
import { sessionStartedEvent } from '../../src/audit/session-events.ts'
import * as fc from '../support/property.ts'
import { allowed, approval, call, decided, decisionOf, denied, folder, grant, openTestJournal, redaction, session, subject, testClock, until } from './fixture.ts'

const startMs = Date.UTC(2026, 0, 2, 3, 4, 5)
const hosts = ['api.example.com', 'pastebin.com', 'PASTEBIN.com', 'files.example.net', 'b\u00fccher.example', '\ud800.test', '"quoted"', '10.0.0.1', '2001:db8::1', 'under_score.test']
const agents = ['codex', 'Claude', 'team/one', 'a"b']
const owners = ['alice', 'Alice', 'bob@example.com', undefined]
const teams = ['web', 'data', undefined]
const count = 300

function pick<T>(from: readonly T[], at: number): T {
  const value = from[at % from.length]
  if (at < 0 || from.length === 0) throw new RangeError('nothing to pick')
  return value as T
}

/** Every kind of record, in no order that an index could lean on. */
function eventAt(at: number): AuditEvent {
  const mixed = (at * 7919 + 13) % 1009
  const principal = { session: `s-${mixed % 11}`, agent: pick(agents, mixed % 5), team: pick(teams, mixed % 7), owner: pick(owners, mixed % 3) }
  const about = { ...subject, requestId: `r-${Math.floor(at / 2)}`, host: pick(hosts, mixed % 13), port: mixed % 4 === 0 ? 8443 : 443, principal }
  switch (at % 10) {
    case 1: return endedEvent(about, { outcome: 'completed', bytesFromClient: 1, bytesFromOrigin: 2 }, 3)
    case 3: return approvalRequestedEvent({ ...approval, id: `a-${mixed % 5}`, owner: pick(owners, mixed) }, 'abc')
    case 5: return mixed % 2 === 0 ? approvalDecidedEvent({ ...approval, id: `a-${mixed % 5}` }, decided) : grantUsedEvent({ ...grant, approvalId: `a-${mixed % 5}` }, `r-${mixed}`, principal.session)
    case 7: return controlCalledEvent({ ...call, subjectId: `a-${mixed % 5}` })
    case 9: return sessionStartedEvent({ ...session, id: principal.session, owner: principal.owner }, 'admin')
    default: return decisionEvent(about, { ...(mixed % 3 === 0 ? denied : allowed), ...(mixed % 5 === 0 ? { rule: undefined } : {}), ...(mixed % 4 === 0 ? { verdict: 'ask' as const, approvalId: `a-${mixed % 5}` } : {}) }, 'policy', redaction)
  }
}

async function journaled(t: Test, events = count): Promise<string> {
  const root = folder(t)
  const clock = testClock(startMs)
  const journal = await openTestJournal(t, root, { clock, segmentBytes: 32 * 1024 })
  for (let at = 0; at < events; at++) {
    await journal.append(eventAt(at))
    clock.advance(at % 50 === 49 ? -20_000 : 1000)
  }
  await journal.close()
  return join(root, 'journal')
}

const keeperOf = (dir: string, log: string[] = []): IndexKeeper => new IndexKeeper({ dir, pollMs: 1, restFactor: 0, busyBytesPerS: Number.POSITIVE_INFINITY, maxLagBytes: 0, busyRestFactor: 0, onLog: (_, message) => void log.push(message) })

/** Makes steps until there is nothing to do. */
async function settle(keeper: IndexKeeper): Promise<void> {
  while ((await keeper.step()) !== 1) { /* on */ }
}

async function indexed(t: Test, dir: string): Promise<RecordIndex> {
  await settle(keeperOf(dir))
  const index = new RecordIndex(dir, { isReadOnly: true })
  t.teardown(() => index.close())
  return index
}

const glob = fc.constantFrom('*', 'api.*', '*example*', 'pastebin.com', 'PasteBin.com:443', '2001:DB8::1', '2001:*', '2001:db8::1:443', 'under_*', 'under?score.test', '10.0.0.1', '*:8443', '!*:443', 'codex', 'claude', 'team/*', '{codex,claude}', 's-1', 's-*', 's-1?', 'alice', 'ALICE', 'b*', 'web', '!web', 'denied_*', 'allowed*', 'approval.*', 'decision', '!decision', 'exchange.ended', '\u00fc*', '*b\u00fccher*', '"quoted"', 'a"b', '\ud800.test', 'nobody')
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 1 })
const time = maybe(fc.integer({ min: -10, max: count + 10 }).map((s) => startMs + s * 600))
const rare = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value })
const question: fc.Arbitrary<RecordQuestion> = fc.record({
  host: rare(glob), agent: rare(glob), session: rare(glob), owner: rare(glob), team: rare(glob), rule: rare(glob), code: rare(glob), event: rare(glob),
  verdict: rare(fc.constantFrom('allow', 'deny', 'ask')), approval: rare(fc.constantFrom('a-1', 'a-3', 'x')), request: rare(fc.constantFrom('r-1', 'r-60', 'r-x')),
  sinceMs: time, untilMs: time,
})
const search: fc.Arbitrary<Search> = fc.record({
  question, from: fc.constantFrom('newest' as const, 'oldest' as const), limit: fc.constantFrom(1, 3, 50, 10_000),
  afterSeq: maybe(fc.nat({ max: count + 20 })), beforeSeq: maybe(fc.integer({ min: 1, max: count + 20 })),
  scope: rare(fc.constantFrom({ teams: ['web'], sessions: ['s-1', 's-2'] }, { teams: [], sessions: [] }, { teams: ['data', 'x'], sessions: [] })),
})

function answerOf(records: readonly JournalRecord[], { question: asked, from, limit, afterSeq = 0, beforeSeq = Number.MAX_SAFE_INTEGER, scope }: Search): readonly number[] {
  const filter = new RecordFilter(asked)
  const fitting = records.filter((record) => record.seq > afterSeq && record.seq < beforeSeq && filter.matches(record) && isInScope(record, scope)).map(({ seq }) => seq)
  return from === 'newest' ? fitting.slice(-limit) : fitting.slice(0, limit)
}

t.test('the answer is the same with a whole index, with part of one, and without', async (t) => {
  const dir = await journaled(t)
  const records = await Array.fromAsync(journalRecords(dir))
  const segments = await listSegments(dir)
  t.ok(segments.length >= 4)
  const partial = join(folder(t), 'journal')
  cpSync(dir, partial, { recursive: true })
  const keeper = keeperOf(partial)
  for (let step = 0; step < 3; step++) await keeper.step()
  const holed = new RecordIndex(partial, { isReadOnly: false })
  t.teardown(() => holed.close())
  const [, second] = holed.segments().values()
  if (second !== undefined) holed.drop(second)
  t.equal(holed.segments().size, 2)
  const whole = await indexed(t, dir)
  t.equal(whole.segments().size, segments.length)
  await fc.assert(fc.asyncProperty(search, async (asked) => {
    const expected = answerOf(records, asked)
    for (const [where, index] of [[dir, undefined], [dir, whole], [partial, holed]] as const) {
      const { records: told, lookedTo } = await searchJournal(where, asked, index)
      const seqs = told.map(({ seq }) => seq)
      if (JSON.stringify(seqs) !== JSON.stringify(expected)) throw new Error(`${JSON.stringify(seqs)} instead of ${JSON.stringify(expected)}`)
      if (told.length < asked.limit && lookedTo !== undefined) throw new Error('it stopped before the end')
      if (told.some((record) => records[record.seq - 1]?.hash !== record.hash)) throw new Error('a record is not the one that is journaled')
      const counted = await countRecords(where, asked.question, index)
      const all = answerOf(records, { question: asked.question, from: 'oldest', limit: Number.POSITIVE_INFINITY }).length
      if (counted.count !== all) throw new Error(`${counted.count} counted instead of ${all}`)
    }
  }), { numRuns: 60 })
})

t.test('what is found by the index alone is read and checked: a changed record is not told, and sends the search to the journal', async (t) => {
  const dir = await journaled(t)
  const index = await indexed(t, dir)
  const asked: Search = { question: { host: 'pastebin.com', event: 'decision' }, from: 'newest', limit: 1000 }
  const before = (await searchJournal(dir, asked, index)).records
  const victim = before[1]
  const [segment] = (await listSegments(dir)).filter(({ firstSeq }) => firstSeq <= (victim?.seq ?? 0)).slice(-1)
  const path = segment?.path ?? ''
  const lines = readFileSync(path, 'latin1').split('\n')
  writeFileSync(path, lines.map((line) => (line.includes(`"seq":${victim?.seq},`) ? line.replace('denied', 'Denied').replace('"INFO', '"WARN').replace('"body":"a', '"body":"A') : line)).join('\n'))
  let disagreements = 0
  const { records, invalid, byIndex } = await searchJournal(dir, asked, index, () => void disagreements++)
  t.strictSame(records.map(({ seq }) => seq), before.map(({ seq }) => seq).filter((seq) => seq !== victim?.seq))
  t.strictSame([disagreements, invalid, byIndex], [1, 1, 0])
})

t.test('few records are looked at where the index knows the place, and a search that takes too long says how far it got', async (t) => {
  const dir = await journaled(t)
  const index = await indexed(t, dir)
  const bySession = await searchJournal(dir, { question: { session: 's-3', verdict: 'allow' }, from: 'newest', limit: 1000 }, index)
  t.strictSame([bySession.byIndex, bySession.byReading], [bySession.records.length, 0])
  t.ok(bySession.records.length > 0)
  t.strictSame((await searchJournal(dir, { question: { request: 'r-60' }, from: 'newest', limit: 9 }, index)).byReading, 0)
  const late = await searchJournal(dir, { question: {}, from: 'oldest', limit: 1000, budgetMs: 0 })
  t.ok(late.lookedTo !== undefined && late.lookedTo < count, String(late.lookedTo))
  const pages: number[] = []
  let afterSeq: number | undefined = 0
  while (afterSeq !== undefined) {
    const page: Awaited<ReturnType<typeof searchJournal>> = await searchJournal(dir, { question: { verdict: 'deny' }, from: 'oldest', limit: 7, afterSeq, budgetMs: 0 }, index)
    pages.push(...page.records.map(({ seq }) => seq))
    afterSeq = page.lookedTo
  }
  t.strictSame(pages, answerOf(await Array.fromAsync(journalRecords(dir)), { question: { verdict: 'deny' }, from: 'oldest', limit: 1e6 }))
})

t.test('the index follows what is appended and what retention removes, while both go on', async (t) => {
  const root = folder(t)
  const dir = join(root, 'journal')
  const clock = testClock(startMs)
  const journal = await openTestJournal(t, root, { clock, segmentBytes: 16 * 1024, maxBytes: 160 * 1024 })
  const log: string[] = []
  const keeper = keeperOf(dir, log)
  for (let at = 0; at < 600; at++) {
    await journal.append(eventAt(at))
    if (at % 40 === 0) await keeper.step()
  }
  await journal.flush()
  await settle(keeper)
  const records = await Array.fromAsync(journalRecords(dir))
  t.ok((records[0]?.seq ?? 0) > 1, 'something was removed')
  const index = new RecordIndex(dir, { isReadOnly: true })
  t.equal((await countRecords(dir, {}, index)).byIndex, records.length)
  t.equal(index.segments().size, (await listSegments(dir)).length)
  const sessions = new Set(records.map(({ attributes }) => attributes['session.id']).filter((id) => id !== undefined))
  t.strictSame(new Set(Array.from(index.terms('session'), ({ text }) => text)), sessions)
  index.close()
  t.strictSame(log, ['the journal has no index yet: it is made, and searches are slower until then'])
})

t.test('a damaged index, one of another version and one that was removed are made again, and the log says so', async (t) => {
  const dir = await journaled(t, 60)
  const log: string[] = []
  const spoil: readonly (readonly [string, () => void])[] = [
    ['damaged', () => {
      removeIndex(dir)
      writeFileSync(indexPath(dir), 'no database at all, and long enough to be looked at'.repeat(100))
    }],
    ['cut', () => {
      const bytes = readFileSync(indexPath(dir))
      bytes.fill(0x5a, 4096, 4096 * 6)
      writeFileSync(indexPath(dir), bytes)
    }],
    ['version', () => {
      const database = new DatabaseSync(indexPath(dir))
      database.exec('PRAGMA user_version = 77')
      database.close()
    }],
  ]
  await indexed(t, dir).then((index) => index.close())
  for (const [what, doIt] of spoil) {
    doIt()
    log.length = 0
    const keeper = keeperOf(dir, log)
    await settle(keeper)
    t.match(log[0], /made again from the journal, and nothing is lost/, what)
    t.equal((await keeper.search({ question: { verdict: 'deny' }, from: 'newest', limit: 1000 })).byReading, 0, what)
    keeper.stop()
    await keeper.run()
  }
  const keeper = keeperOf(dir)
  await settle(keeper)
  removeIndex(dir)
  await settle(keeper)
  t.ok(existsSync(indexPath(dir)))
  t.equal((await keeper.search({ question: { verdict: 'deny' }, from: 'newest', limit: 1000 })).byReading, 0)
  t.equal(statSync(indexPath(dir)).mode & 0o777, 0o600)
})

t.test('a segment that was replaced is indexed again', async (t) => {
  const dir = await journaled(t, 200)
  const other = await journaled(t, 230)
  await indexed(t, dir).then((index) => index.close())
  const [first] = await listSegments(dir)
  const [second] = await listSegments(other)
  copyFileSync(second?.path ?? '', first?.path ?? '')
  const log: string[] = []
  const keeper = keeperOf(dir, log)
  await settle(keeper)
  t.match(log[0], /is gone, or not the one that was indexed/)
  const asked: Search = { question: { host: '*example*' }, from: 'oldest', limit: 1000 }
  const hashes = async (answer: Promise<{ readonly records: readonly JournalRecord[] }>) => (await answer).records.map(({ hash }) => hash)
  t.strictSame(await hashes(keeper.search(asked)), await hashes(searchJournal(dir, asked)))
})

t.test('no name of an owner is in the index, and one that is forgotten cannot be looked for', async (t) => {
  const dir = await journaled(t, 100)
  const index = await indexed(t, dir)
  const found = (owner: string) => searchJournal(dir, { question: { owner }, from: 'newest', limit: 1000 }, index)
  const { records, byIndex } = await found('alice')
  t.ok(records.length > 0)
  t.equal(byIndex, records.length)
  for (const end of ['', '-wal']) {
    if (existsSync(indexPath(dir) + end)) t.notMatch(readFileSync(indexPath(dir) + end, 'latin1'), /alice|bob@/i)
  }
  forgetOwner(dir, 'ALICE')
  t.equal((await found('alice')).byIndex, 0)
  t.ok((await found('bob@example.com')).byIndex > 0)
  const numbers = new DatabaseSync(indexPath(dir), { readOnly: true })
  t.equal(numbers.prepare('SELECT count(*) AS n FROM records WHERE owner = ?').get(index.ownerNumber('alice'))?.['n'], 0)
  numbers.close()
  forgetOwner(join(dir, 'nowhere'), 'alice')
  t.notOk(existsSync(join(dir, 'nowhere')))
})

/** Linux: how far each thread of this process stands back, 0 to 19. */
function niceOfThreads(): readonly number[] {
  return readdirSync('/proc/self/task').map((thread) => Number(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')[16]))
}

t.test('a search in the worker has an answer, a fault, or an end', async (t) => {
  const dir = await journaled(t, 120)
  const log: string[] = []
  const searcher = startSearcher({ dir, onLog: (_, message) => void log.push(message), onFault: (error) => t.fail('no fault', { error }), waits: { pollMs: 5, restFactor: 0, restartMs: 5 } })
  t.teardown(() => searcher.close())
  const asked: Search = { question: { verdict: 'deny' }, from: 'newest', limit: 5 }
  const expected = (await searchJournal(dir, asked)).records
  t.strictSame((await searcher.search(asked)).records, expected)
  t.ok(process.platform !== 'linux' || niceOfThreads().includes(10), 'it works behind the other threads')
  await until(async () => (await searcher.search(asked)).byReading === 0)
  t.strictSame((await searcher.search(asked)).records, expected)
  await t.rejects(searcher.search({ ...asked, question: { host: 'a*b*c*d*e*' } }), { name: 'FilterFault', field: 'host' })
  await searcher.close()
  await t.rejects(searcher.search(asked), SearchUnavailable)

  const slow = startSearcher({ dir, onLog: (_, message) => void log.push(message), onFault: (error) => t.fail('no fault', { error }), waits: { deadlineMs: 0, restartMs: 5 } })
  await t.rejects(slow.search(asked), SearchUnavailable)
  t.match(log.at(-1), /took longer than 0 ms and is ended/)
  await slow.close()
})

t.test('a journal that grows fast is let be, until too much of it is not indexed', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const grow = async (): Promise<void> => {
    for (let at = 0; at < 50; at++) await journal.append(decisionOf(`r-${at}`))
  }
  const keeperFor = (maxLagBytes: number): IndexKeeper => new IndexKeeper({ dir: join(dir, 'journal'), pollMs: 7, restFactor: 0, busyBytesPerS: 1, maxLagBytes, busyRestFactor: 3, onLog: () => undefined })
  const lastIndexed = (): number => {
    const index = readIndex(join(dir, 'journal'))
    const last = [...(index?.segments().values() ?? [])].at(-1)?.lastSeq ?? 0
    index?.close()
    return last
  }
  await grow()
  const patient = keeperFor(1024 ** 3)
  await patient.step()
  t.equal(lastIndexed(), journal.lastSeq, 'what was there before it looked is indexed')
  await grow()
  await delay(110)
  t.equal(await patient.step(), 7)
  t.equal(lastIndexed(), 50)
  const { records } = await patient.search({ question: {}, from: 'oldest', limit: 1000 })
  t.equal(records.length, 100, 'a search finds what is not indexed')
  const pressed = keeperFor(1)
  await pressed.step()
  await grow()
  await delay(110)
  await pressed.step()
  t.equal(lastIndexed(), 150)
})
