// The exporter's worker: names, resource, restart at the cursor, drain, and no proxy on its way.
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readCursor } from '../../src/audit/export-cursor.ts'
import { bench, has, idsOf, only } from './export-bench.ts'
import { readRecords, until } from './fixture.ts'
import { ok } from './receiver.ts'

for (const protocol of ['binary', 'json'] as const) {
  t.test(`${protocol}: every record arrives once, in order, with its names, its place in the chain and its resource`, async (t) => {
    const { dir, journal, receiver, append, start } = await bench(t)
    await append('r-1', 'r-2')
    const exporter = start({ to: { protocol } })
    await until(() => journal.stats().undelivered === 0)
    await append('r-3')
    await until(() => journal.stats().undelivered === 0)
    const records = await readRecords(t, dir)
    t.strictSame(idsOf(receiver), ['r-1', 'r-2', 'r-3'])
    for (const [at, { eventName, severityNumber, body, timeMs, attributes, resource }] of receiver.accepted.entries()) {
      const record = records[at]
      t.equal(eventName, 'sallyport.decision')
      t.equal(severityNumber, 9)
      t.equal(body, record?.body)
      t.equal(timeMs, Date.parse(record?.time ?? ''))
      t.match(resource, { 'service.name': 'sallyport', 'service.version': '1.2.3', 'service.instance.id': 'instance-1', 'deployment.environment.name': 'test' })
      t.strictSame(attributes, {
        'event.name': 'sallyport.decision',
        'log.record.uid': record?.uid,
        'service.instance.id': 'instance-1',
        'sallyport.seq': at + 1,
        'sallyport.prev_hash': record?.prev,
        'sallyport.hash': record?.hash,
        ...record?.attributes,
      })
    }
    const [post] = receiver.posts
    t.equal(post?.url, '/v1/logs')
    t.match(post?.headers, { 'x-api-key': 'k', 'content-encoding': 'gzip', 'content-type': protocol === 'json' ? 'application/json' : 'application/x-protobuf' })
    t.match(only(exporter), { deliveredSeq: 3, exported: 3, rejected: 0, trouble: undefined })
  })
}

t.test('a collector that is not there yet gets everything when it is', async (t) => {
  const { journal, receiver, append, start } = await bench(t)
  await append('r-1', 'r-2')
  const down = start({ to: { endpoint: 'http://127.0.0.1:1/v1/logs' } })
  await until(() => only(down).retries > 3)
  t.match(only(down).trouble, /ECONNREFUSED/)
  await down.close(0)
  start()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-1', 'r-2'])
})

t.test('a restarted exporter goes on at its cursor', async (t) => {
  const { dir, journal, receiver, append, start } = await bench(t)
  await append('r-1', 'r-2')
  const first = start()
  await until(() => journal.stats().undelivered === 0)
  await first.close(1000)
  t.equal((await readCursor(join(dir, 'journal'), 'otel'))?.seq, 2)
  await append('r-3')
  start()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-1', 'r-2', 'r-3'])
})

t.test('close delivers what is waiting, and does not outlast its deadline', async (t) => {
  const { receiver, append, start, journal } = await bench(t)
  const exporter = start({ waits: { flushMs: 60_000 } })
  await until(() => receiver.posts.length === 0 && exporter.restarts === 0)
  await append('r-1')
  await journal.flush()
  await exporter.close(60_000)
  t.strictSame(idsOf(receiver), ['r-1'])
  receiver.answer = () => 'hang'
  await append('r-2')
  const stuck = start({ waits: { timeoutMs: 60_000, flushMs: 10 } })
  await until(() => receiver.posts.length > 1)
  await stuck.close(50)
  t.strictSame(idsOf(receiver), ['r-1'])
})

t.test('proxy variables of the environment are not for the exporter', async (t) => {
  const { journal, receiver, append, start } = await bench(t)
  const before = { ...process.env }
  t.teardown(() => void (process.env = before))
  Object.assign(process.env, { HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', NODE_USE_ENV_PROXY: '1' })
  await append('r-1')
  start()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-1'])
})

t.test('records that were set aside become one event, with the journal and the log told', async (t) => {
  const { journal, receiver, append, start, events, log } = await bench(t)
  receiver.answer = (post) => (has(post, 'r-2') ? { status: 400, body: 'bad\u001b[31m record' } : ok)
  await append('r-1', 'r-2', 'r-3')
  const exporter = start()
  await until(() => journal.stats().undelivered === 0 && events.length > 0)
  t.match(events, [{ name: 'sallyport.audit.gap', body: /status 400: bad \[31m record/, attributes: { 'sallyport.gap.cause': 'export_rejected', 'sallyport.gap.count': 1, 'sallyport.gap.first_seq': 2 } }])
  t.ok(log.some((line) => line.includes('export.poison.jsonl')))
  t.equal(only(exporter).rejected, 1)
})

t.test('a delivery that throws is started again alone, and goes on', async (t) => {
  const { dir, journal, receiver, append, start, log } = await bench(t)
  // a cursor that is a folder cannot be read: the delivery fails until it is gone
  mkdirSync(join(dir, 'journal', 'export.cursor'))
  await append('r-1')
  const exporter = start()
  await until(() => log.some((line) => line.includes('started again; nothing is lost')))
  rmdirSync(join(dir, 'journal', 'export.cursor'))
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-1'])
  t.equal(exporter.restarts, 0)
})
