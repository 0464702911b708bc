// Syslog over TLS and TCP: frames that a strict receiver reads, and no record lost when a connection breaks without a word.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { SyslogDestination } from '../../src/audit/destination.ts'
import type { Severity } from '../../src/audit/event.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { syslogFrame } from '../../src/audit/syslog-frame.ts'
import { createSyslogSink, type SyslogSinkOptions } from '../../src/audit/syslog-sink.ts'
import { testCertificates } from '../support/certificates.ts'
import * as fc from '../support/property.ts'
import { readFrames, readMessage, syslogReceiver } from '../support/syslog-receiver.ts'
import { bench, idOf } from './export-bench.ts'
import { folder, readRecords, until } from './fixture.ts'

const line = (record: JournalRecord): string => JSON.stringify(record)

function sinkTo(port: number, more: Partial<SyslogSinkOptions> = {}, destination: Partial<SyslogDestination> = {}): ReturnType<typeof createSyslogSink> {
  return createSyslogSink({
    destination: { name: 'siem', type: 'syslog', filter: {}, host: '127.0.0.1', port, transport: 'tcp', tls: {}, format: 'jsonl', facility: 'audit', appName: 'sallyport', ...destination },
    hostname: 'proxy-1.example', line, timeoutMs: 10_000, maxAgeMs: 0, quietMs: 0, ...more,
  })
}

const recordArb = fc.record({
  v: fc.constant<1>(1), seq: fc.nat(), prev: fc.constant('0'), uid: fc.string({ unit: 'binary-ascii' }), time: fc.constant('2026-01-02T03:04:05.006Z'), instance: fc.string(),
  name: fc.string(), severity: fc.constantFrom<Severity>('INFO', 'INFO2', 'WARN', 'ERROR'), body: fc.string(), attributes: fc.constant({}), hash: fc.constant('0'),
})

t.test('whatever a record holds, its frames are read back one by one, however they are cut on the way', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(recordArb, fc.stringMatching(/^[ -~]{0,40}$/)), { maxLength: 5 }), fc.string(), fc.nat(), (pairs, hostname, cut) => {
    const header = { facility: 'local4', appName: 'sallyport', hostname } as const
    const sent = Buffer.from(pairs.map(([record, text]) => syslogFrame(record, text, header)).join(''), 'latin1')
    const place = sent.length === 0 ? 0 : cut % sent.length
    const head = readFrames(sent.subarray(0, place))
    const tail = readFrames(Buffer.concat([head.rest, sent.subarray(place)]))
    const messages = [...head.messages, ...tail.messages].map(readMessage)
    const read = messages.map(({ data, text, facility }) => [data['seq'], data['uid'], text, facility])
    return tail.rest.length === 0 && JSON.stringify(read) === JSON.stringify(pairs.map(([{ seq, uid }, text]) => [String(seq), uid, text, 20]))
  }), { numRuns: 200 })
})

t.test('severities are those of the record, and a name with nothing visible is nil', async (t) => {
  const record: JournalRecord = { v: 1, seq: 1, prev: '0', uid: 'u', time: '2026-01-02T03:04:05.006Z', instance: '', name: 'sallyport.decision', severity: 'WARN', body: '', attributes: {}, hash: '0' }
  const read = readMessage(readFrames(Buffer.from(syslogFrame(record, '{}', { facility: 'audit', appName: 'x', hostname: '\u0000' }))).messages[0] ?? Buffer.alloc(0))
  t.match(read, { facility: 13, severity: 4, hostname: '-', procId: '-', msgId: 'sallyport.decision', text: '{}' })
  const severity = (word: Severity): number => readMessage(Buffer.from(syslogFrame({ ...record, severity: word }, '', { facility: 'kern', appName: 'x', hostname: 'h' }).replace(/^\d+ /, ''))).severity
  t.strictSame([severity('INFO'), severity('INFO2'), severity('ERROR')], [6, 5, 3])
})

t.test('over TLS with a certificate of its own: every record once, in order, and the cursor waits for the receiver to close', async (t) => {
  const { dir, journal, append, deliver } = await bench(t)
  const authority = await testCertificates()
  const [server, client] = [await authority.issue(['localhost', '127.0.0.1']), await authority.issue(['proxy'], { usages: ['1.3.6.1.5.5.7.3.2'] })]
  const receiver = await syslogReceiver(t, { cert: server.cert, key: server.key, ca: authority.ca, requestCert: true })
  const pems = folder(t)
  for (const [name, pem] of Object.entries({ ca: authority.ca, cert: client.cert, key: client.key })) writeFileSync(join(pems, name), pem)
  const tls = { caFile: join(pems, 'ca'), certFile: join(pems, 'cert'), keyFile: join(pems, 'key') }
  const sink = sinkTo(receiver.port, { maxAgeMs: 3_600_000, maxRecords: 3 }, { transport: 'tls', tls })
  deliver({ sink })
  await append('r-1', 'r-2')
  await until(() => receiver.messages.length === 2)
  t.equal(journal.stats().undelivered, 2, 'written is not delivered')
  await append('r-3', 'r-4')
  await until(() => journal.stats().undelivered === 0)
  const records = await readRecords(t, dir)
  t.strictSame(receiver.messages.map(({ text }) => JSON.parse(text)), records)
  t.match(receiver.messages[0], { facility: 13, severity: 6, hostname: 'proxy-1.example', appName: 'sallyport', procId: 'instance-1', msgId: 'sallyport.decision', data: { seq: '1', uid: records[0]?.uid }, time: records[0]?.time })
  t.strictSame(receiver.clients, ['proxy'])
})

t.test('a receiver that the authority of the settings does not vouch for gets nothing', async (t) => {
  const { append, deliver, log } = await bench(t)
  const [mine, other] = [await testCertificates('mine'), await testCertificates('other')]
  const server = await other.issue(['localhost', '127.0.0.1'])
  const receiver = await syslogReceiver(t, { cert: server.cert, key: server.key })
  const caFile = join(folder(t), 'ca')
  writeFileSync(caFile, mine.ca)
  await append('r-1')
  deliver({ sink: sinkTo(receiver.port, {}, { transport: 'tls', tls: { caFile } }) })
  await until(() => log.some((text) => /certificate|issuer/.test(text)))
  t.strictSame(receiver.messages, [])
})

t.test('a reset means everything since the last settled record again, with the same uids, and nothing is lost', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const receiver = await syslogReceiver(t)
  receiver.treat = (socket, connection) => {
    if (connection > 3) return
    // its program never did anything with them
    receiver.messages.length = 0
    socket.resetAndDestroy()
  }
  deliver({ sink: sinkTo(receiver.port) })
  const ids = Array.from({ length: 20 }, (_, at) => `r-${at}`)
  for (const id of ids) await append(id)
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(receiver.messages.map(({ data }) => Number(data['seq'])))], ids.map((_, at) => at + 1), 'all of them, in order')
  t.strictSame([...new Set(receiver.messages.map(({ text }) => idOf(JSON.parse(text))))], ids)
  t.ok(receiver.clients.length > 3)
})

t.test('a close by the receiver before it read anything is no close that settles', async (t) => {
  const { journal, append, deliver, log } = await bench(t)
  const receiver = await syslogReceiver(t)
  receiver.accepts = (connection) => connection > 3
  await append('r-1', 'r-2')
  deliver({ sink: sinkTo(receiver.port, { quietMs: 200 }) })
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(receiver.messages.map(({ data }) => data['seq']), ['1', '2'])
  t.match(log[0], /nothing is lost, trying again/)
})

t.test('a receiver that never closes its side is in doubt, and is told the same again', async (t) => {
  const { journal, append, deliver, log } = await bench(t)
  const receiver = await syslogReceiver(t)
  receiver.closes = false
  await append('r-1')
  deliver({ sink: sinkTo(receiver.port, { timeoutMs: 100 }) })
  await until(() => receiver.messages.length >= 2)
  t.equal(journal.stats().undelivered, 1)
  t.match(log[0], /written again: the connection not closed by the receiver in 100 ms/)
  receiver.closes = true
  await until(() => journal.stats().undelivered === 0)
  t.strictSame([...new Set(receiver.messages.map(({ data }) => data['seq']))], ['1'])
})

t.test('draining settles what is open, so that a restart sends nothing twice', async (t) => {
  const { journal, append, deliver } = await bench(t)
  const receiver = await syslogReceiver(t)
  const first = deliver({ sink: sinkTo(receiver.port, { maxAgeMs: 3_600_000 }) })
  await append('r-1', 'r-2')
  await until(() => receiver.messages.length === 2)
  await first.drain()
  t.equal(journal.stats().undelivered, 0)
  deliver({ sink: sinkTo(receiver.port) })
  await append('r-3')
  await until(() => journal.stats().undelivered === 0)
  t.strictSame(receiver.messages.map(({ data }) => data['seq']), ['1', '2', '3'])
})
