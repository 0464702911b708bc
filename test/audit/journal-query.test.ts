// A stretch of the journal in order, and the questions that choose records of it.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { approvalRequestedEvent } from '../../src/audit/approval-events.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { journalRecords } from '../../src/audit/journal-query.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { parseLine } from '../../src/audit/record.ts'
import { FilterFault, RecordFilter, type RecordQuestion } from '../../src/audit/record-filter.ts'
import { listSegments, segmentName } from '../../src/audit/segments.ts'
import * as fc from '../support/property.ts'
import { allowed, approval, decisionOf, denied, folder, openTestJournal, redaction, subject, testClock } from './fixture.ts'

const hourMs = 3_600_000
const startMs = Date.UTC(2026, 0, 2, 3, 4, 5)

/** A segment for every two hours of a day, one record an hour and those that begin segments. */
async function aDay(t: Test): Promise<{ readonly dir: string; readonly records: readonly JournalRecord[] }> {
  const root = folder(t)
  const dir = join(root, 'journal')
  const clock = testClock(startMs)
  const journal = await openTestJournal(t, root, { clock, maxAgeMs: 4 * 1.5 * hourMs, destinations: ['otel'] })
  for (let hour = 0; hour < 24; hour++) {
    await journal.append(decisionOf(`r-${hour}`))
    clock.advance(hourMs)
  }
  await journal.close()
  return { dir, records: await Array.fromAsync(journalRecords(dir)) }
}

const seqsOf = (records: readonly JournalRecord[]): number[] => records.map(({ seq }) => seq)

t.test('the records of a window come oldest first, from whatever segment they are in', async (t) => {
  const { dir, records } = await aDay(t)
  t.ok((await listSegments(dir)).length > 5)
  t.strictSame(seqsOf(records), records.map((_, index) => index + 1))
  for (const fromSeq of [1, 2, 7, records.length, records.length + 1]) {
    t.strictSame(seqsOf(await Array.fromAsync(journalRecords(dir, { fromSeq }))), seqsOf(records.filter(({ seq }) => seq >= fromSeq)), `from ${fromSeq}`)
  }
  for (const [since, until] of [[0, 24], [3, 9.5], [12, 12], [-5, 0], [23, 100], [5.2, 5.3]] as const) {
    const window = { sinceMs: startMs + since * hourMs, untilMs: startMs + until * hourMs, fromSeq: 4 }
    const inside = records.filter(({ seq, time }) => seq >= 4 && Date.parse(time) >= window.sinceMs && Date.parse(time) < window.untilMs)
    t.strictSame(seqsOf(await Array.fromAsync(journalRecords(dir, window))), seqsOf(inside), `${since} to ${until}`)
  }
})

t.test('segments outside of the window are not read, and one whose start cannot be read always is', async (t) => {
  const { dir, records } = await aDay(t)
  const segments = await listSegments(dir)
  const middle = segments[3]?.path ?? ''
  writeFileSync(middle, `x${readFileSync(middle, 'latin1')}`)
  const count = async (window: Parameters<typeof journalRecords>[1]): Promise<number> => {
    let invalid = 0
    for await (const _ of journalRecords(dir, window, { onInvalid: () => void invalid++ })) { /* counted */ }
    return invalid
  }
  t.equal(await count({}), 1)
  t.equal(await count({ sinceMs: Date.parse(records.at(-1)?.time ?? '') }), 0)
  t.equal(await count({ untilMs: startMs + hourMs }), 0)
  t.equal(await count({ fromSeq: records.length }), 0)
  const before = segments[2]?.firstSeq ?? 0
  const found = await Array.fromAsync(journalRecords(dir, { sinceMs: Date.parse(records[before - 1]?.time ?? '') }))
  t.equal(found[0]?.seq, before)
})

t.test('a torn end is no record, and a journal that is not there has none', async (t) => {
  const { dir, records } = await aDay(t)
  appendFileSync((await listSegments(dir)).at(-1)?.path ?? '', '{"v":1,"seq":')
  t.equal((await Array.fromAsync(journalRecords(dir))).length, records.length)
  t.strictSame(await Array.fromAsync(journalRecords(join(dir, 'nowhere'))), [])
})

async function mixed(t: Test): Promise<{ readonly lines: readonly string[]; readonly records: readonly JournalRecord[] }> {
  const root = folder(t)
  const clock = testClock(startMs)
  const journal = await openTestJournal(t, root, { clock })
  const { principal } = subject
  const web = { ...principal, team: 'web', agent: 'Codex/2', session: 's-2' }
  await journal.append(decisionEvent({ ...subject, requestId: 'r-1' }, allowed, 'policy', redaction))
  clock.advance(1000)
  await journal.append(decisionEvent({ ...subject, requestId: 'r-2', host: 'pastebin.com', principal: web }, denied, 'policy', redaction))
  clock.advance(1000)
  await journal.append(decisionEvent({ ...subject, requestId: 'r-3', host: 'evil.test\u001b[2J\u202e', port: 8443 }, { ...denied, rule: undefined }, 'policy', redaction))
  await journal.append(approvalRequestedEvent(approval, 'abc'))
  await journal.close()
  const lines = readFileSync(join(root, 'journal', segmentName(1)), 'latin1').trimEnd().split('\n')
  return { lines, records: lines.flatMap((line) => parseLine(line).record ?? []) }
}

t.test('a question chooses by what a record says, without regard to case', async (t) => {
  const { records } = await mixed(t)
  const chosen = (question: RecordQuestion): number[] => {
    const filter = new RecordFilter(question)
    return seqsOf(records.filter((record) => filter.matches(record)))
  }
  t.strictSame(chosen({}), [1, 2, 3, 4])
  t.ok(new RecordFilter({}).isEmpty)
  t.strictSame(chosen({ host: '*.EXAMPLE.*' }), [1, 4])
  t.strictSame(chosen({ host: '{pastebin.com,evil.*}' }), [2, 3])
  t.strictSame(chosen({ host: '!pastebin.com' }), [1, 3, 4])
  t.strictSame(chosen({ host: '*:8443' }), [3])
  t.strictSame(chosen({ host: '!*:443' }), [3])
  t.strictSame(chosen({ agent: 'codex*' }), [1, 2, 3, 4])
  t.strictSame(chosen({ agent: 'codex/*' }), [2])
  t.strictSame(chosen({ session: 's-2' }), [2])
  t.strictSame(chosen({ owner: 'alice@*' }), [4])
  t.strictSame(chosen({ team: 'web' }), [2, 4])
  t.strictSame(chosen({ verdict: 'deny' }), [2, 3])
  t.strictSame(chosen({ rule: 'denied_*' }), [2])
  t.strictSame(chosen({ code: 'allowed' }), [1])
  t.strictSame(chosen({ event: 'decision' }), [1, 2, 3])
  t.strictSame(chosen({ event: 'sallyport.approval.*' }), [4])
  t.strictSame(chosen({ event: '!approval.*' }), [1, 2, 3])
  t.strictSame(chosen({ approval: approval.id }), [4])
  t.strictSame(chosen({ request: 'r-2' }), [2])
  t.strictSame(chosen({ sinceMs: startMs + 1000 }), [2, 3, 4])
  t.strictSame(chosen({ sinceMs: startMs + 999.5, untilMs: startMs + 2000 }), [2])
  t.strictSame(chosen({ verdict: 'deny', team: 'web', untilMs: startMs }), [])
})

const glob = fc.oneof(
  fc.constantFrom('a.com', '*.com', 'codex', 'CODEX', 's-1', 's-*', 'api.example.com', '*:443', 'pastebin.com:443', '!codex', 'web', '[a-z]*', 'decision', 'sallyport.decision', 'alice', 'allowed', 'denied_domains', '\u001b', 'evil.test\u001b[2J\u202e', 'a"b', 'a\\b'),
  fc.string({ minLength: 1, maxLength: 6 }),
)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 })
const question: fc.Arbitrary<RecordQuestion> = fc.record({
  host: maybe(glob), agent: maybe(glob), session: maybe(glob), owner: maybe(glob), team: maybe(glob), rule: maybe(glob), code: maybe(glob), event: maybe(glob),
  verdict: maybe(fc.constantFrom('allow', 'deny', 'ask')), approval: maybe(fc.constantFrom(approval.id, 'x', 'a"b')), request: maybe(fc.constantFrom('r-1', 'r-3', '\u202e')),
  sinceMs: maybe(fc.integer({ min: -1, max: 3001 }).map((ms) => startMs + ms)), untilMs: maybe(fc.integer({ min: -1, max: 3001 }).map((ms) => startMs + ms)),
})

t.test('the look at a line never leaves out a record that fits', async (t) => {
  const { lines } = await mixed(t)
  fc.assert(fc.property(question, (asked) => {
    let filter: RecordFilter
    try {
      filter = new RecordFilter(asked)
    } catch (error) {
      return error instanceof FilterFault
    }
    return lines.every((line) => {
      const { record } = parseLine(line)
      return record !== undefined && (!filter.matches(record) || filter.mayMatch(line))
    })
  }), { numRuns: 300 })
})

t.test('what cannot be asked is said, with the field that it is about', async (t) => {
  for (const [asked, field, message] of [
    [{ host: '' }, 'host', /empty/],
    [{ agent: 'a*b*c*d*e*' }, 'agent', /more than 4/],
    [{ rule: '(a+)+' }, 'rule', /parenthesis/],
    [{ team: 'x'.repeat(257) }, 'team', /longer/],
    [{ verdict: 'maybe' }, 'verdict', /allow, deny or ask/],
    [{ approval: '' }, 'approval', /empty/],
  ] as const) t.throws(() => new RecordFilter(asked), { name: 'FilterFault', field, message })
})
