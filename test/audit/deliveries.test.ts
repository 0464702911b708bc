// Several destinations side by side: each gets its own records in its own order at its own pace, and none waits for another.
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createSink } from '../../src/audit/create-sink.ts'
import { Deliveries, type DestinationReport } from '../../src/audit/deliveries.ts'
import { createFilter } from '../../src/audit/destination-filter.ts'
import type { Destination } from '../../src/audit/destination.ts'
import { readCursor } from '../../src/audit/export-cursor.ts'
import type { Journal } from '../../src/audit/journal.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { gapEvent } from '../../src/audit/service-events.ts'
import { otlpTo } from '../support/collector.ts'
import { has, idsOf, waits } from './export-bench.ts'
import { decisionOf, folder, openTestJournal, until } from './fixture.ts'
import { ok, startReceiver, type Answer } from './receiver.ts'

interface World {
  dir: string
  journal: Journal
  reports: DestinationReport[]
  /** number of the last record that a destination has */
  at: (name: string) => number
  end: () => Promise<void>
}

async function world(t: Test, destinations: readonly Destination[], timeoutMs = 10_000): Promise<World> {
  const dir = join(folder(t), 'journal')
  const journal = await openTestJournal(t, join(dir, '..'), { destinations: destinations.map(({ name }) => name), segmentBytes: 4096, onFault: () => undefined })
  const reports: DestinationReport[] = []
  const reached = new Map(destinations.map(({ name }) => [name, 0]))
  const resource = { version: '1', environment: 'test' }
  const deliveries = new Deliveries({
    dir, destinations, farewells: [], resource, waits: { ...waits, timeoutMs },
    createSink: (destination) => createSink(destination, resource, timeoutMs),
    report: (report) => {
      reports.push(report)
      if (report.kind !== 'progress') return
      reached.set(report.destination, report.deliveredSeq)
      journal.delivered(Math.min(...reached.values()))
    },
  })
  const ended = deliveries.run()
  const end = async (): Promise<void> => {
    deliveries.drain()
    await ended
  }
  t.teardown(end)
  return { dir, journal, reports, at: (name) => reached.get(name) ?? 0, end }
}

const troubles: Record<string, Answer> = { 'a hang': 'hang', 'an answer that never ends': 'slow', 'a reset': 'reset', '503': { status: 503 }, '429 for ten minutes': { status: 429, headers: { 'retry-after': '600' } } }

t.test('a destination that hangs, resets or refuses holds none of the others, and gets all when it is well', async (t) => {
  const well = await startReceiver(t)
  const sick = await Promise.all(Object.entries(troubles).map(async ([what, answer]) => ({ what, receiver: Object.assign(await startReceiver(t), { answer: () => answer }) })))
  const file = join(folder(t), 'events.jsonl')
  const names = sick.map((_, at) => `sick-${at}`)
  const { journal, at, dir, end } = await world(t, [
    otlpTo('otel', well.endpoint), { name: 'file', type: 'file', filter: {}, path: file, format: 'jsonl' },
    ...sick.map(({ receiver }, index) => otlpTo(`sick-${index}`, receiver.endpoint)),
  ], 300)
  const ids = Array.from({ length: 60 }, (_, index) => `r-${index}`)
  for (const id of ids) await journal.append(decisionOf(id))
  await until(() => at('otel') === journal.lastSeq && at('file') === journal.lastSeq)
  // on a busy machine its answer may be late, too
  t.strictSame([...new Set(idsOf(well))].filter((id) => id !== 'undefined'), ids)
  t.equal(readFileSync(file, 'utf8').match(/"sallyport.request.id":"r-\d+"/g)?.length, 60)
  t.strictSame(names.map(at), names.map(() => 0))
  t.equal(journal.stats().undelivered, journal.lastSeq, 'retention keeps what any of them still needs')
  t.equal((await readCursor(dir, 'file'))?.seq, at('file'))
  t.equal(await readCursor(dir, 'sick-0'), undefined)
  for (const { receiver } of sick.slice(0, 4)) receiver.answer = () => ok
  await until(() => names.slice(0, 4).every((name) => at(name) === journal.lastSeq))
  for (const { what, receiver } of sick.slice(0, 4)) t.strictSame([...new Set(idsOf(receiver))].filter((id) => id !== 'undefined'), ids, `${what}: nothing lost, in order`)
  // the one that was told to come back in ten minutes is let go with a drain
  for (const { receiver } of sick) receiver.answer = () => ok
  await end()
  t.strictSame([...new Set(idsOf(sick[4]?.receiver ?? well))].filter((id) => id !== 'undefined'), ids)
})

t.test('what one refuses for good is in its poison file, and with the others', async (t) => {
  const [fine, picky] = [await startReceiver(t), await startReceiver(t)]
  picky.answer = (post) => (has(post, 'r-2') ? { status: 400 } : ok)
  const { journal, at, dir, reports } = await world(t, [otlpTo('otel', fine.endpoint), otlpTo('picky', picky.endpoint)])
  for (const id of ['r-1', 'r-2', 'r-3']) await journal.append(decisionOf(id))
  await until(() => at('otel') === 3 && at('picky') === 3)
  t.strictSame(idsOf(fine), ['r-1', 'r-2', 'r-3'])
  t.strictSame([...new Set(idsOf(picky))], ['r-1', 'r-3'])
  t.match(reports.filter(({ kind }) => kind === 'rejected'), [{ destination: 'picky', count: 1, firstSeq: 2 }])
  t.match(readFileSync(join(dir, 'export-picky.poison.jsonl'), 'utf8'), /r-2/)
  t.notOk(existsSync(join(dir, 'export.poison.jsonl')))
})

t.test('a delivery that throws is alone in that', async (t) => {
  const [fine, broken] = [await startReceiver(t), await startReceiver(t)]
  const dir = folder(t)
  // a cursor that is a folder cannot be replaced
  mkdirSync(join(dir, 'journal', 'export-broken.cursor', 'x'), { recursive: true })
  const journal = await openTestJournal(t, dir)
  const reports: DestinationReport[] = []
  const resource = { version: '1', environment: 'test' }
  const deliveries = new Deliveries({
    dir: join(dir, 'journal'), destinations: [otlpTo('broken', broken.endpoint), otlpTo('otel', fine.endpoint)], farewells: [], resource, waits,
    createSink: (destination) => createSink(destination, resource, 10_000), report: (report) => void reports.push(report),
  })
  const ended = deliveries.run()
  await journal.append(decisionOf('r-1'))
  await until(() => idsOf(fine).length === 1 && reports.some(({ destination, kind }) => destination === 'broken' && kind === 'log'))
  deliveries.drain()
  await ended
  t.match(reports.find(({ kind }) => kind === 'log'), { destination: 'broken', level: 'error', message: /started again; nothing is lost: .*EISDIR/ })
})

t.test('a destination with a filter gets what fits, and always what the journal says of itself', async (t) => {
  const [all, few] = [await startReceiver(t), await startReceiver(t)]
  const { journal, at } = await world(t, [otlpTo('otel', all.endpoint), otlpTo('few', few.endpoint, { filter: { verdicts: ['deny'] } })])
  const denied = { ...decisionOf('r-2'), attributes: { 'sallyport.request.id': 'r-2', 'network.policy.decision': 'deny' } }
  await journal.append(decisionOf('r-1'))
  await journal.append(denied)
  await journal.append(gapEvent({ cause: 'torn_tail', count: 1, detail: 'x' }))
  await journal.append(decisionOf('r-4'))
  await until(() => at('otel') === 4 && at('few') === 4)
  t.equal(all.accepted.length, 4)
  t.strictSame(few.accepted.map(({ attributes }) => attributes['sallyport.seq']), [2, 3])
})

t.test('verdicts and events are two ways in, and no pattern keeps the journal from speaking of itself', async (t) => {
  const record = (name: string, verdict?: string): JournalRecord => ({ v: 1, seq: 1, prev: '', uid: '', time: '', instance: '', name, severity: 'INFO', body: '', hash: '', attributes: verdict === undefined ? {} : { 'network.policy.decision': verdict } })
  const passes = createFilter({ verdicts: ['deny', 'ask'], events: ['sallyport.approval.*', 'sallyport.{grant,session}.*'] })
  for (const verdict of ['deny', 'ask']) t.ok(passes(record('sallyport.decision', verdict)))
  t.notOk(passes(record('sallyport.decision', 'allow')))
  t.notOk(passes(record('sallyport.exchange.ended')))
  for (const name of ['sallyport.approval.requested', 'sallyport.grant.used', 'sallyport.session.ended']) t.ok(passes(record(name)), name)
  for (const name of ['sallyport.audit.gap', 'sallyport.audit.heartbeat', 'sallyport.process.started', 'sallyport.destination.changed']) t.ok(createFilter({ events: ['none'] })(record(name)), name)
  t.ok(createFilter({})(record('sallyport.exchange.ended')))
})
