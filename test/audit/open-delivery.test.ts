// A change of destination is journaled and told to the old place before anything goes to the new one; and the heart beats.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeDestinations } from '../../src/audit/destination-record.ts'
import type { Destination } from '../../src/audit/destination.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { Journal } from '../../src/audit/journal.ts'
import { openDelivery, type DeliveryRoom } from '../../src/audit/open-delivery.ts'
import { systemClock } from '../../src/clock.ts'
import { expandFields } from '../../src/config/load-destinations.ts'
import { otlpTo } from '../support/collector.ts'
import { idsOf, waits } from './export-bench.ts'
import { decisionOf, folder, openTestJournal, readRecords, until } from './fixture.ts'
import { ok, startReceiver } from './receiver.ts'

interface Opened {
  journal: Journal
  delivery: DeliveryRoom
  events: AuditEvent[]
  log: string[]
  stop: () => Promise<void>
}

async function start(t: Test, dir: string, destinations: readonly Destination[], more: { heartbeatMs?: number; token?: string } = {}): Promise<Opened> {
  const journal = await openTestJournal(t, dir, { destinations: destinations.map(({ name }) => name) })
  const events: AuditEvent[] = []
  const log: string[] = []
  const delivery = await openDelivery({
    dir: join(dir, 'journal'), destinations, journal, clock: systemClock, waits, environment: 'test', version: '1',
    heartbeatMs: more.heartbeatMs ?? 0,
    decisions: () => ({ allow: 3, deny: 2, ask: 1 }),
    revive: (destination) => (destination.type === 'otlp-http' ? { ...destination, headers: expandFields(destination.headersWritten, { TOKEN: more.token ?? '' }, () => undefined) } : destination),
    onEvent: (event) => {
      events.push(event)
      void journal.append(event)
    },
    onLog: (_level, message) => void log.push(message),
  })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= delivery.close(2000).then(() => journal.close()))
  t.teardown(stop)
  return { journal, delivery, events, log, stop }
}

const changes = async (t: Test, dir: string): Promise<unknown[]> => (await readRecords(t, dir)).filter(({ name }) => name === 'sallyport.destination.changed').map(({ attributes }) => attributes)

t.test('the first start changes nothing, and the one after it neither', async (t) => {
  const dir = folder(t)
  const receiver = await startReceiver(t)
  for (const id of ['r-1', 'r-2']) {
    const { journal, stop } = await start(t, dir, [otlpTo('otel', receiver.endpoint)])
    await journal.append(decisionOf(id))
    await until(() => journal.stats().undelivered === 0)
    await stop()
  }
  t.strictSame(idsOf(receiver), ['r-1', 'r-2'])
  t.strictSame(await changes(t, dir), [])
})

t.test('a destination that moved: the old place is told last where it goes, then the new one gets all from there on', async (t) => {
  const dir = folder(t)
  const [before, after] = [await startReceiver(t), await startReceiver(t)]
  const written = { headers: { 'x-api-key': 'secret-of-old' }, headersWritten: { 'x-api-key': '${TOKEN}' } }
  const first = await start(t, dir, [otlpTo('otel', before.endpoint, written)])
  await first.journal.append(decisionOf('r-1'))
  await until(() => first.journal.stats().undelivered === 0)
  await first.stop()
  t.notMatch(readFileSync(join(dir, 'journal', 'export.destinations.json'), 'utf8'), /secret-of-old/)
  // the new one must have nothing before the old one was told
  const told = Promise.withResolvers<number>()
  before.answer = () => (told.resolve(after.posts.length), ok)
  const second = await start(t, dir, [otlpTo('otel', after.endpoint)], { token: 'secret-of-old' })
  await second.journal.append(decisionOf('r-2'))
  await until(() => second.journal.stats().undelivered === 0)
  t.equal(await told.promise, 0)
  const last = before.accepted.at(-1)
  t.match(last, { eventName: 'sallyport.destination.changed', body: /destination otel is another place now/ })
  t.match(last?.attributes, { 'sallyport.destination': 'otel', 'sallyport.destination.change': 'moved', 'sallyport.destination.was': `otel otlp-http ${before.endpoint}`, 'sallyport.destination.is': `otel otlp-http ${after.endpoint}`, 'sallyport.seq': 2 })
  t.match(before.posts.at(-1)?.headers, { 'x-api-key': 'secret-of-old' })
  t.strictSame(after.accepted.map(({ attributes }) => attributes['sallyport.seq']), [2, 3])
  await second.stop()
  const third = await start(t, dir, [otlpTo('otel', after.endpoint)])
  await third.stop()
  t.equal((await changes(t, dir)).length, 1, 'it is told once')
})

t.test('an old place that is gone holds nothing up, and that it was not told is on record', async (t) => {
  const dir = folder(t)
  const after = await startReceiver(t)
  const first = await start(t, dir, [otlpTo('otel', 'http://127.0.0.1:1/v1/logs')])
  await first.journal.append(decisionOf('r-1'))
  await first.stop()
  const second = await start(t, dir, [otlpTo('otel', after.endpoint)])
  await until(() => second.events.length > 0 && second.journal.stats().undelivered === 0)
  t.match(second.events, [{ attributes: { 'sallyport.destination': 'otel', 'sallyport.destination.change': 'untold', 'sallyport.reason': /ECONNREFUSED/ } }])
  t.ok(idsOf(after).includes('r-1'))
  await second.stop()
  const third = await start(t, dir, [otlpTo('otel', after.endpoint)])
  await third.journal.append(decisionOf('r-2'))
  await until(() => third.journal.stats().undelivered === 0)
  t.strictSame(third.events, [], 'it is not tried for ever')
})

t.test('a start that ends before the old place could be told tells it the next time', async (t) => {
  const dir = folder(t)
  const [before, after] = [await startReceiver(t), await startReceiver(t)]
  const first = await start(t, dir, [otlpTo('otel', before.endpoint)])
  await first.stop()
  before.answer = () => 'hang'
  const second = await start(t, dir, [otlpTo('otel', after.endpoint)])
  await until(() => before.posts.length > 0)
  await second.delivery.close(0)
  await second.stop()
  before.answer = () => ok
  const third = await start(t, dir, [otlpTo('otel', after.endpoint)])
  await until(() => third.journal.stats().undelivered === 0)
  t.match(before.accepted.at(-1), { eventName: 'sallyport.destination.changed' })
})

t.test('a destination that is left out holds nothing back any more, and is told; one that is new gets all that is kept', async (t) => {
  const dir = folder(t)
  const [stays, goes] = [await startReceiver(t), await startReceiver(t)]
  goes.answer = () => ({ status: 503 })
  const first = await start(t, dir, [otlpTo('otel', stays.endpoint), otlpTo('siem', goes.endpoint)])
  await first.journal.append(decisionOf('r-1'))
  await until(() => first.delivery.states().every(({ undelivered, isFailing }) => undelivered === 0 || isFailing))
  t.equal(first.journal.stats().undelivered, 1)
  t.match(first.delivery.states(), [{ name: 'otel', undelivered: 0 }, { name: 'siem', undelivered: 1 }])
  await first.stop()
  goes.answer = () => ok
  const file = join(dir, 'events.jsonl')
  const second = await start(t, dir, [otlpTo('otel', stays.endpoint), { name: 'archive', type: 'file', filter: {}, path: file, format: 'jsonl' }])
  await until(() => second.journal.stats().undelivered === 0 && goes.accepted.length === 1)
  t.match(goes.accepted, [{ eventName: 'sallyport.destination.changed', attributes: { 'sallyport.destination.change': 'removed' } }])
  t.match(await changes(t, dir), [{ 'sallyport.destination': 'siem', 'sallyport.destination.change': 'removed' }, { 'sallyport.destination': 'archive', 'sallyport.destination.change': 'added', 'sallyport.destination.is': `archive file ${file}` }])
  t.equal(readFileSync(file, 'utf8').trimEnd().split('\n').length, 3)
})

t.test('a filter that changed is on record, and no farewell', async (t) => {
  const dir = folder(t)
  const receiver = await startReceiver(t)
  await (await start(t, dir, [otlpTo('otel', receiver.endpoint)])).stop()
  const { journal } = await start(t, dir, [otlpTo('otel', receiver.endpoint, { filter: { verdicts: ['deny'] } })])
  await until(() => journal.stats().undelivered === 0)
  t.match(await changes(t, dir), [{ 'sallyport.destination.change': 'filtered', 'sallyport.destination.is': `otel otlp-http ${receiver.endpoint} only deny` }])
  t.strictSame(receiver.accepted.map(({ attributes }) => attributes['sallyport.seq']), [1])
})

t.test('a record of destinations that is damaged is as none', async (t) => {
  const dir = folder(t)
  await writeDestinations(dir, []).catch(() => undefined)
  for (const text of ['', '{', '[]', '{"v":1,"destinations":[1]}']) {
    const { stop } = await start(t, dir, [])
    await stop()
    writeFileSync(join(dir, 'journal', 'export.destinations.json'), text)
  }
  t.strictSame(await changes(t, dir), [])
})

t.test('the heartbeat is a record: what was decided, what is waiting and for how long, and it says so where nothing is exported too', async (t) => {
  const receiver = await startReceiver(t)
  receiver.answer = () => ({ status: 503 })
  const { journal, events } = await start(t, folder(t), [otlpTo('otel', receiver.endpoint)], { heartbeatMs: 30 })
  await journal.append(decisionOf('r-1'))
  await until(() => events.some(({ attributes }) => Number(attributes['sallyport.undelivered.oldest_ms']) > 0))
  const beat = events.findLast(({ name }) => name === 'sallyport.audit.heartbeat')
  t.match(beat?.attributes, { 'sallyport.heartbeat.allowed': 0, 'sallyport.heartbeat.denied': 0, 'sallyport.heartbeat.asked': 0 })
  t.strictSame(beat?.attributes['sallyport.undelivered.by_destination'], [`otel ${String(beat?.attributes['sallyport.undelivered'])}`])
  const alone = await start(t, folder(t), [], { heartbeatMs: 30 })
  await until(() => alone.events.length > 1)
  t.match(alone.events[0], { name: 'sallyport.audit.heartbeat', attributes: { 'sallyport.undelivered': 0, 'sallyport.undelivered.by_destination': [] } })
  t.ok((alone.events[1]?.attributes['sallyport.heartbeat.records'] ?? 0) === 1, 'the beat before it')
  t.notOk(existsSync('export.destinations.json'))
})
