// What the index of a long journal costs and gives: `node test/scripts/index-million.ts [RECORDS]`, 1000000 without one.
// Writes a journal of decisions and ends (about 1.2 KB a record), indexes it, and answers the same questions with the index
// and without it. Times are CPU of this process, for a machine that has other work, and wall behind it.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decisionEvent, type Answer } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import type { EventSubject } from '../../src/audit/event-subject.ts'
import { IndexBuilder } from '../../src/audit/index-builder.ts'
import { openJournal } from '../../src/audit/journal.ts'
import { indexPath, RecordIndex } from '../../src/audit/record-index.ts'
import type { RecordQuestion } from '../../src/audit/record-filter.ts'
import { countRecords, searchJournal } from '../../src/audit/record-search.ts'
import { listSegments } from '../../src/audit/segments.ts'

const [wanted = '1000000'] = process.argv.slice(2)
const exchanges = Math.floor(Number(wanted) / 2)
const mib = 1_048_576
const root = mkdtempSync(join(tmpdir(), 'sallyport-index-'))
const dir = join(root, 'journal')
const startMs = Date.UTC(2026, 0, 2)
const redaction = { url: 'path', key: new Uint8Array(32).fill(7) } as const
const revision = '0123456789ab'
const yes: Answer = { verdict: 'allow', code: 'allowed', reason: 'the host is allowed', rule: { id: 'allowed_domains', pattern: '**.example', file: 'policies/10-base.toml', line: 4 }, revision, monitored: undefined }
const no: Answer = { ...yes, verdict: 'deny', code: 'denied_by_rule', reason: 'the host is on the denied list', rule: { id: 'denied_domains', pattern: 'paste-*.example', file: 'policies/10-base.toml', line: 9 } }

try {
  await fill()
  await measure()
} finally {
  rmSync(root, { recursive: true, force: true })
}

function subjectAt(at: number): EventSubject {
  const mixed = (at * 7_919 + 13) % 1_000_003
  // few hosts have most of the traffic
  const host = mixed % 10 < 7 ? `host-${mixed % 40}.example` : `host-${mixed % 20_011}.example`
  const session = `s${String(mixed % 500).padStart(12, '0')}`
  return {
    requestId: `01JD${String(at).padStart(22, '0')}`, principal: { session, agent: `agent-${mixed % 20}`, team: `team-${mixed % 6}`, owner: `owner-${mixed % 60}@example.com` },
    advisory: false, clientAddress: '10.0.0.7', host, port: 443, method: 'GET', scheme: 'https', protocol: 'http', path: `/section/${mixed % 61}/pages/${mixed % 997}`, query: 'lang=en',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', mode: 'enforce',
  }
}

async function fill(): Promise<void> {
  const clock = { at: startMs, now: () => clock.at, monotonic: () => performance.now() }
  const journal = await openJournal({
    dir, instanceId: 'instance-1', clock, segmentBytes: 64 * mib, maxBytes: 64 * 1024 * mib, maxAgeMs: 365 * 86_400_000, syncIntervalMs: 0,
    onFault: (error) => console.error(error),
  })
  for (let first = 0; first < exchanges; first += 1000) {
    const written: Promise<void>[] = []
    for (let at = first; at < Math.min(exchanges, first + 1000); at++) {
      const subject = subjectAt(at)
      const isDenied = at % 25 === 0
      written.push(journal.append(decisionEvent(subject, isDenied ? no : yes, 'policy', redaction)))
      written.push(journal.append(endedEvent(subject, { outcome: isDenied ? 'refused' : 'completed', status: isDenied ? 403 : 200, bytesFromClient: 512, bytesFromOrigin: 20_480, peerAddress: '192.0.2.7' }, 42)))
    }
    await Promise.all(written)
    // about a week in all
    clock.at += Math.max(1, Math.round((7 * 86_400_000 * 1000) / exchanges))
  }
  await journal.close()
}

async function measure(): Promise<void> {
  const segments = await listSegments(dir)
  const bytes = segments.reduce((sum, { path }) => sum + statSync(path).size, 0)
  const before = process.memoryUsage.rss()
  const index = new RecordIndex(dir, { isReadOnly: false })
  const builder = new IndexBuilder(dir, index, console.error)
  let longestMs = 0
  let steps = 0
  const { records } = await timed('index, all of it', async () => {
    for (;;) {
      const from = performance.now()
      const isMore = await builder.step()
      longestMs = Math.max(longestMs, performance.now() - from)
      if (!isMore) return { records: (await countRecords(dir, {}, index)).count }
      steps++
    }
  })
  index.close()
  const size = statSync(indexPath(dir)).size
  console.log(`${records} records in ${segments.length} segments of ${Math.round(bytes / mib)} MiB; index ${(size / mib).toFixed(1)} MiB, ${(size / records).toFixed(0)} bytes a record, ${((100 * size) / bytes).toFixed(1)} % of the journal`)
  console.log(`${steps} steps, the longest ${longestMs.toFixed(0)} ms; memory ${Math.round(before / mib)} MiB before, ${Math.round(process.memoryUsage.rss() / mib)} MiB after`)
  const day = startMs + 3 * 86_400_000
  const questions: readonly (readonly [string, RecordQuestion, number])[] = [
    ['one exchange, by request id', { request: subjectAt(Math.floor(exchanges / 3)).requestId }, 100],
    ['a rare host, newest 100', { host: 'host-19998.example' }, 100],
    ['a busy host, newest 100', { host: 'host-3.example' }, 100],
    ['hosts by a pattern, newest 100', { host: 'host-199*.example' }, 100],
    ['one session, newest 100', { session: 's000000000042' }, 100],
    ['denied within six hours, newest 100', { verdict: 'deny', sinceMs: day, untilMs: day + 6 * 3_600_000 }, 100],
    ['one owner, newest 100', { owner: 'owner-7@example.com' }, 100],
    ['what is not there: an agent', { agent: 'nobody' }, 100],
    ['what is not there: a verdict of a team', { team: 'team-3', verdict: 'ask' }, 100],
  ]
  const reader = new RecordIndex(dir, { isReadOnly: true })
  for (const [name, question, limit] of questions) {
    // once unmeasured: the first one pays for what the others find in memory
    await searchJournal(dir, { question, from: 'newest', limit }, reader)
    const quick = await timed(`${name}, with the index`, async () => searchJournal(dir, { question, from: 'newest', limit }, reader))
    const slow = await timed(`${name}, without`, async () => searchJournal(dir, { question, from: 'newest', limit }))
    const isSame = JSON.stringify(quick.records) === JSON.stringify(slow.records)
    console.log(`    ${quick.records.length} records, ${isSame ? 'the same' : 'NOT THE SAME'}`)
    if (!isSame) process.exitCode = 1
  }
  const counted = await timed('denied, counted, with the index', async () => countRecords(dir, { verdict: 'deny' }, reader))
  const read = await timed('denied, counted, without', async () => countRecords(dir, { verdict: 'deny' }))
  console.log(`    ${counted.count} and ${read.count}`)
  reader.close()
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const from = performance.now()
  const cpu = process.cpuUsage()
  const result = await work()
  const { user, system } = process.cpuUsage(cpu)
  console.log(`${what}: ${((user + system) / 1000).toFixed(1)} ms CPU, ${(performance.now() - from).toFixed(1)} ms`)
  return result
}
