// Delivery to a collector that misbehaves: zero loss, stable uids, no stall.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { gapEvent } from '../../src/audit/service-events.ts'
import { listSegments, segmentName } from '../../src/audit/segments.ts'
import { bench, has, idOf, idsOf, poisonOf } from './export-bench.ts'
import { decisionOf, folder, openTestJournal, until } from './fixture.ts'
import { ok, type Answer } from './receiver.ts'

const passing: Record<string, Answer> = {
  'status 429 with Retry-After': { status: 429, headers: { 'retry-after': '0' } },
  'status 503': { status: 503 },
  'status 502': { status: 502 },
  'status 504': { status: 504 },
  'status 500': { status: 500 },
  'status 401': { status: 401 },
  'status 403': { status: 403 },
  'status 404': { status: 404 },
  'status 302': { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
  'a hang': 'hang',
  'an answer that never ends': 'slow',
  'a reset': 'reset',
}

for (const [what, trouble] of Object.entries(passing)) {
  t.test(`${what} is waited out, and nothing is lost or set aside`, async (t) => {
    const { dir, journal, receiver, append, deliver, log } = await bench(t)
    receiver.answer = ({ number }) => (number < 3 ? trouble : ok)
    await append('r-1', 'r-2', 'r-3')
    const isLate = trouble === 'hang' || trouble === 'slow'
    // an answer that is late on a busy machine must not look like a hang
    const exporter = deliver(isLate ? { timeoutMs: 200 } : {})
    await until(() => journal.stats().undelivered === 0)
    t.strictSame(isLate ? [...new Set(idsOf(receiver))] : idsOf(receiver), ['r-1', 'r-2', 'r-3'])
    t.strictSame(poisonOf(dir), [])
    t.ok(exporter.progress().retries >= 3)
    t.match(log[0], /nothing is lost, trying again/)
  })
}

for (const status of [400, 413, 500]) {
  t.test(`a record that only ever gets ${status} is set aside and reported, and the others arrive`, async (t) => {
    const { dir, journal, receiver, append, deliver, reports } = await bench(t)
    receiver.answer = (post) => (has(post, 'r-3') ? { status, body: 'bad\u001b[31m record' } : ok)
    const ids = Array.from({ length: 9 }, (_, at) => `r-${at}`)
    await append(...ids)
    const exporter = deliver()
    await until(() => journal.stats().undelivered === 0)
    t.strictSame([...new Set(idsOf(receiver))], ids.filter((id) => id !== 'r-3'))
    t.strictSame(poisonOf(dir), ['r-3'])
    t.match(reports.filter(({ kind }) => kind === 'rejected'), [{ count: 1, firstSeq: 4, lastSeq: 4, ownReportsOnly: false }])
    t.equal(exporter.progress().rejected, 1)
  })
}

t.test('a lone poison record does not stall a collector that is known to work', async (t) => {
  const { dir, journal, receiver, append, deliver } = await bench(t)
  receiver.answer = (post) => (has(post, 'poison') ? { status: 400 } : ok)
  deliver()
  await append('r-1')
  await until(() => journal.stats().undelivered === 0)
  await append('poison')
  await until(() => journal.stats().undelivered === 0)
  await append('r-2')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(idsOf(receiver))], ['r-1', 'r-2'])
  t.strictSame(poisonOf(dir), ['poison'])
})

t.test('a collector that refuses everything is at fault itself: nothing is set aside', async (t) => {
  const { dir, journal, receiver, append, deliver } = await bench(t)
  const state = { isBroken: true }
  receiver.answer = () => (state.isBroken ? { status: 400 } : ok)
  await append(...Array.from({ length: 20 }, (_, at) => `r-${at}`))
  deliver()
  await until(() => receiver.posts.length > 60)
  t.strictSame(poisonOf(dir), [])
  state.isBroken = false
  await until(() => journal.stats().undelivered === 0)
  t.equal(new Set(idsOf(receiver)).size, 20)
  t.strictSame(poisonOf(dir), [])
})

for (const protocol of ['binary', 'json'] as const) {
  t.test(`${protocol}: a partial success is counted and a copy is kept`, async (t) => {
    const { dir, journal, receiver, append, deliver, reports } = await bench(t)
    // ExportLogsServiceResponse { partial_success { rejected_log_records: 2, error_message: "no" } }
    const body = protocol === 'json' ? '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}' : Buffer.from([0x0a, 0x06, 0x08, 0x02, 0x12, 0x02, 0x6e, 0x6f])
    const contentType = protocol === 'json' ? 'application/json' : 'application/x-protobuf'
    receiver.answer = ({ number }) => (number === 0 ? { status: 200, headers: { 'content-type': contentType }, body } : ok)
    await append('r-1', 'r-2', 'r-3')
    const exporter = deliver({ protocol })
    await until(() => journal.stats().undelivered === 0)
    t.strictSame(poisonOf(dir), ['r-1', 'r-2', 'r-3'])
    t.equal(exporter.progress().rejected, 2)
    t.match(reports.find(({ kind }) => kind === 'rejected'), { count: 2, detail: /partial success, 2 of 3 rejected: no/ })
  })
}

t.test('an answer that is lost means the same records again, with the same uids', async (t) => {
  const { journal, receiver, append, deliver } = await bench(t)
  receiver.answer = ({ number }) => (number === 0 ? 'reset' : ok)
  await append('r-1', 'r-2')
  deliver()
  await until(() => journal.stats().undelivered === 0)
  const [first, second] = receiver.posts.map(({ records }) => records.map(({ attributes }) => attributes['log.record.uid']))
  t.strictSame(first, second)
})

t.test('a cursor that names no record of this journal means everything again, and a word about it', async (t) => {
  const { dir, journal, receiver, append, deliver, log } = await bench(t)
  await append('r-1', 'r-2')
  const cursors = [
    JSON.stringify({ v: 1, seq: 900, hash: '0'.repeat(64), segment: segmentName(1), offset: 0 }),
    JSON.stringify({ v: 1, seq: 1, hash: '0'.repeat(64), segment: segmentName(1), offset: 0 }),
    'not a cursor',
  ]
  for (const cursor of cursors) {
    writeFileSync(join(dir, 'journal', 'export.cursor'), cursor)
    receiver.accepted.length = 0
    const exporter = deliver()
    await until(() => exporter.progress().deliveredSeq === 2)
    t.strictSame(idsOf(receiver), ['r-1', 'r-2'])
    await exporter.stop()
  }
  t.ok(log.some((line) => line.includes('exporting again from the oldest record')))
  t.equal(journal.stats().undelivered, 0)
})

t.test('rotation and pruning while exporting lose nothing', async (t) => {
  const { dir, receiver, deliver } = await bench(t)
  const small = await openTestJournal(t, join(dir, 'small'), { destinations: ['otel'], maxBytes: 40_000, onFault: () => undefined })
  receiver.answer = ({ number }) => (number % 3 === 1 ? { status: 503 } : ok)
  deliver({ dir: join(dir, 'small', 'journal'), journal: small })
  for (let at = 0; at < 200; at++) {
    while ((await Promise.allSettled([small.append(decisionOf(`r-${at}`))]))[0].status === 'rejected') await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await until(() => small.stats().undelivered === 0)
  const decisions = receiver.accepted.filter(({ eventName }) => eventName === 'sallyport.decision').map(idOf)
  t.strictSame(decisions, Array.from({ length: 200 }, (_, at) => `r-${at}`))
  t.ok(small.stats().records < 200, 'old segments were removed')
  const seqs = receiver.accepted.map(({ attributes }) => Number(attributes['sallyport.seq']))
  t.strictSame(seqs, seqs.map((_, at) => at + 1), 'gap-free at the collector')
})

t.test('a segment that is removed before it was exported is reported, and does not stall', async (t) => {
  const { receiver, deliver, reports } = await bench(t)
  const dir = folder(t)
  const small = await openTestJournal(t, dir, { destinations: ['otel'], segmentBytes: 3000 })
  receiver.answer = ({ number }) => (number < 2 ? ok : { status: 503 })
  await small.append(decisionOf('r-0'))
  const exporter = deliver({ dir: join(dir, 'journal'), journal: small })
  await until(() => exporter.progress().deliveredSeq === 1)
  receiver.answer = () => ({ status: 503 })
  for (let at = 1; at < 12; at++) await small.append(decisionOf(`r-${at}`))
  await exporter.stop()
  const [, second] = await listSegments(join(dir, 'journal'))
  unlinkSync(second?.path ?? '')
  receiver.answer = () => ok
  deliver({ dir: join(dir, 'journal'), journal: small })
  await until(() => small.stats().undelivered === 0)
  t.match(reports.find(({ kind }) => kind === 'missing'), { firstSeq: second?.firstSeq })
})

t.test('a line that is no valid record is set aside, reported, and does not stall', async (t) => {
  const { dir, journal, receiver, append, deliver, reports } = await bench(t)
  await append('r-1', 'r-2', 'r-3')
  const path = join(dir, 'journal', segmentName(1))
  const lines = readFileSync(path, 'latin1').split('\n')
  lines[1] = (lines[1] ?? '').replace('codex', 'other')
  writeFileSync(path, lines.join('\n'))
  deliver()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(idsOf(receiver))], ['r-1', 'r-3'])
  t.match(readFileSync(join(dir, 'journal', 'export.poison.jsonl'), 'utf8'), /the hash does not match/)
  t.match(reports.find(({ kind }) => kind === 'rejected'), { count: 1 })
})

t.test('reports about refused reports are marked, so that they are not reported again', async (t) => {
  const { dir, journal, receiver, append, deliver, reports } = await bench(t)
  receiver.answer = (post) => (post.records.some(({ eventName }) => eventName === 'sallyport.audit.gap') ? { status: 400 } : ok)
  await append('r-1')
  await journal.append(gapEvent({ cause: 'export_rejected', count: 1, detail: 'x' }))
  deliver()
  await until(() => journal.stats().undelivered === 0)
  t.match(reports.filter(({ kind }) => kind === 'rejected'), [{ count: 1, ownReportsOnly: true }])
  t.equal(poisonOf(dir).length, 1)
})

t.test('a collector that takes records and then nothing more loses none to the poison file', async (t) => {
  const { dir, journal, receiver, append, deliver } = await bench(t)
  const state = { isBroken: false }
  receiver.answer = () => (state.isBroken ? { status: 400 } : ok)
  deliver()
  await append('r-1')
  await until(() => journal.stats().undelivered === 0)
  state.isBroken = true
  const { length } = receiver.posts
  await append('r-2')
  await until(() => receiver.posts.length > length + 10)
  state.isBroken = false
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(idsOf(receiver))], ['r-1', 'r-2'])
  t.strictSame(poisonOf(dir), [])
})

t.test('more poison in a row than raises doubt is set aside when the collector works', async (t) => {
  const { dir, journal, receiver, append, deliver } = await bench(t)
  receiver.answer = (post) => (post.records.some((record) => idOf(record).startsWith('bad')) ? { status: 400 } : ok)
  await append(...Array.from({ length: 20 }, (_, at) => `bad-${at}`), 'good')
  deliver()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(idsOf(receiver))], ['good'])
  t.equal(poisonOf(dir).length, 20)
})

t.test('a record that cannot be encoded is set aside, and the others arrive', async (t) => {
  const { dir, journal, receiver, append, deliver, reports } = await bench(t)
  await append('r-1', 'r-2', 'r-3', 'r-4')
  deliver({
    onEncode: (records) => {
      if (records.some(({ attributes }) => attributes['sallyport.request.id'] === 'r-1')) throw new TypeError('no such value')
    },
  })
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-2', 'r-3', 'r-4'])
  t.strictSame(poisonOf(dir), ['r-1'])
  t.match(reports.filter(({ kind }) => kind === 'rejected'), [{ count: 1, firstSeq: 1, lastSeq: 1, detail: /cannot be encoded: TypeError: no such value/ }])
})

t.test('a number that is not finite is left out, and its record arrives', async (t) => {
  const { dir, journal, receiver, deliver } = await bench(t)
  await journal.append({ name: 'sallyport.decision', severity: 'INFO', body: 'b', attributes: { 'sallyport.request.id': 'r-1', 'sallyport.duration_ms': Number.NaN } })
  deliver()
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(idsOf(receiver), ['r-1'])
  t.strictSame(poisonOf(dir), [])
})

t.test('a short batch at the end of a segment is no reason to wait when there are more', async (t) => {
  const dir = folder(t)
  const { receiver, deliver } = await bench(t)
  const journal = await openTestJournal(t, dir, { destinations: ['otel'], segmentBytes: 4096 })
  const ids = Array.from({ length: 60 }, (_, at) => `r-${at}`)
  for (const id of ids) await journal.append(decisionOf(id))
  t.ok((await listSegments(join(dir, 'journal'))).length > 3)
  deliver({ dir: join(dir, 'journal'), journal, flushMs: 3_600_000 })
  const decisions = (): string[] => receiver.accepted.filter(({ eventName }) => eventName === 'sallyport.decision').map(idOf)
  await until(() => decisions().length === ids.length)
  t.strictSame(decisions(), ids)
})
