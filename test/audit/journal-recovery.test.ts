// What an earlier process left: a torn end is moved aside and said, anything else is refused.
import { appendFileSync, copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { segmentName } from '../../src/audit/segments.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { decisionOf, folder, openTestJournal, readRecords } from './fixture.ts'

async function journalOf(t: Test, count: number): Promise<{ dir: string; segment: string; lines: string[] }> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  for (let at = 0; at < count; at++) await journal.append(decisionOf(`r-${at}`))
  await journal.close()
  const segment = join(dir, 'journal', segmentName(1))
  return { dir, segment, lines: readFileSync(segment, 'latin1').split('\n').slice(0, -1) }
}

t.test('a torn end is moved to a file beside it, an event says so, and the chain goes on', async (t) => {
  for (const torn of ['{"v":1,"seq":4', '\0\0\0\0', 'not json\n', '{"v":1,"seq":4,"prev"\n']) {
    const { dir, segment } = await journalOf(t, 3)
    appendFileSync(segment, torn)
    const journal = await openTestJournal(t, dir)
    await journal.append(decisionOf('after'))
    const records = await readRecords(t, dir)
    t.strictSame(records.map(({ seq }) => seq), [1, 2, 3, 4, 5])
    t.match(records[3], { name: 'sallyport.audit.gap', attributes: { 'sallyport.gap.cause': 'torn_tail' } })
    const moved = readdirSync(join(dir, 'journal')).find((name) => name.endsWith('.torn')) ?? ''
    t.equal(readFileSync(join(dir, 'journal', moved), 'latin1'), torn)
    t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
  }
})

t.test('a cut at any byte loses at most the record it falls in', async (t) => {
  const { dir, segment, lines } = await journalOf(t, 3)
  const whole = readFileSync(segment)
  for (let cut = 1; cut < whole.length; cut += 173) {
    writeFileSync(segment, whole.subarray(0, cut))
    const journal = await openTestJournal(t, dir)
    const kept = whole.subarray(0, cut).toString('latin1').split('\n').length - 1
    await journal.close()
    t.equal((await verifyJournal(join(dir, 'journal'))).ok, true, `cut at ${cut}`)
    const first = readFileSync(join(dir, 'journal', segmentName(1)), 'latin1').split('\n')
    t.strictSame(first.slice(0, kept), lines.slice(0, kept))
  }
})

t.test('a segment that holds nothing whole is dropped, and the one before goes on', async (t) => {
  for (const content of ['', '{"v":1,"se']) {
    const { dir } = await journalOf(t, 3)
    writeFileSync(join(dir, 'journal', segmentName(4)), content)
    const journal = await openTestJournal(t, dir)
    await journal.append(decisionOf('after'))
    t.equal((await verifyJournal(join(dir, 'journal'))).ok, true)
  }
})

t.test('a damaged record that is not the torn end stops the start, naming file and line', async (t) => {
  const { dir, segment, lines } = await journalOf(t, 3)
  const cases: [string, string[], RegExp][] = [
    ['changed', [lines[0] ?? '', (lines[1] ?? '').replace('codex', 'other'), lines[2] ?? ''], /line 2: the hash does not match/],
    ['not JSON', [lines[0] ?? '', 'x', lines[2] ?? ''], /line 2: the line is not JSON/],
    ['last one changed', [lines[0] ?? '', lines[1] ?? '', (lines[2] ?? '').replace('codex', 'other')], /line 3: the hash does not match/],
    ['removed', [lines[0] ?? '', lines[2] ?? ''], /line 2: record 3 stands where record 2 must/],
    ['repeated', [lines[0] ?? '', lines[0] ?? ''], /line 2: record 1 stands where record 2 must/],
    ['other version', ['{"v":2,"seq":1}'], /line 1: record version 2 is not known/],
  ]
  for (const [what, content, message] of cases) {
    writeFileSync(segment, `${content.join('\n')}\n`)
    await t.rejects(openTestJournal(t, dir), { name: 'JournalCorruptError', message }, what)
    t.equal(readFileSync(segment, 'latin1'), `${content.join('\n')}\n`, 'and nothing is touched')
  }
})

t.test('a first record that is not the one its segment is named for stops the start', async (t) => {
  const { dir, segment } = await journalOf(t, 3)
  copyFileSync(segment, join(dir, 'journal', segmentName(9)))
  await t.rejects(openTestJournal(t, dir), { message: /record 1 stands where record 9 must/ })
})

t.test('a start that failed leaves the journal free', async (t) => {
  const { dir, segment } = await journalOf(t, 2)
  const whole = readFileSync(segment)
  writeFileSync(segment, 'x\nx\n')
  await t.rejects(openTestJournal(t, dir))
  writeFileSync(segment, whole)
  t.equal((await openTestJournal(t, dir)).lastSeq, 2)
})

t.test('an empty journal starts with record 1', async (t) => {
  const { dir, segment } = await journalOf(t, 1)
  truncateSync(segment, 0)
  t.equal((await openTestJournal(t, dir)).lastSeq, 0)
})
