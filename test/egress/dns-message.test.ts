import t from 'tap'
import { decodeReply, encodeQuery } from '../../src/egress/dns-message.ts'
import type { Question } from '../../src/egress/dns-message.ts'
import { answer, encodeIp, encodeName, message, readQuery, record } from '../support/dns-server.ts'
import type { Query } from '../support/dns-server.ts'
import * as fc from '../support/property.ts'

const question: Question = { name: 'www.example.test', type: 'A', id: 0x1234 }

function asked(over: Partial<Question> = {}): Query {
  return readQuery(Buffer.from(encodeQuery({ ...question, ...over }) ?? []), false, 0)
}

function texts(reply: ReturnType<typeof decodeReply>): readonly string[] {
  return reply.kind === 'answer' ? reply.addresses.map((ip) => ip.text) : []
}

t.test('a query holds the name, the type, the id, and asks for recursion', async (t) => {
  const query = asked()
  t.equal(query.name, 'www.example.test')
  t.equal(query.type, 'A')
  t.equal(query.id, 0x1234)
  t.equal(query.bytes.readUInt16BE(2), 0x0100)
  t.equal(asked({ type: 'AAAA' }).type, 'AAAA')
  t.equal(asked({ name: 'intranet' }).name, 'intranet', 'a single label is asked as it is')
})

t.test('what is no DNS name cannot be asked for', async (t) => {
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`
  t.ok(encodeQuery({ ...question, name: longest }))
  for (const name of ['', '.', 'a..b', 'a.', '.a', 'a\0b.test', 'a b.test', 'é.test', 'a\\b', 'x'.repeat(64), `${longest}d`]) {
    t.equal(encodeQuery({ ...question, name }), undefined, JSON.stringify(name))
  }
})

t.test('addresses of both families are read', async (t) => {
  t.same(texts(decodeReply(answer(asked(), { addresses: ['192.0.2.1', '192.0.2.2', '192.0.2.1'] }), question)), ['192.0.2.1', '192.0.2.2'])
  const six: Question = { ...question, type: 'AAAA' }
  t.same(texts(decodeReply(answer(asked(six), { addresses: ['2001:db8::1', '::ffff:127.0.0.1'] }), six)), ['2001:db8::1', '::ffff:127.0.0.1'])
})

t.test('an answer is matched whatever its letter case', async (t) => {
  const query = readQuery(Buffer.from(encodeQuery({ ...question, name: 'WwW.eXample.TEST' }) ?? []), false, 0)
  t.same(texts(decodeReply(answer(query, { addresses: ['192.0.2.1'] }), question)), ['192.0.2.1'])
})

t.test('aliases are followed inside the answer, in whatever order they stand', async (t) => {
  const query = asked()
  const records = [
    record('c.test', 1, 50, encodeIp('192.0.2.7')),
    record('b.test', 5, 40, encodeName('C.test')),
    record('www.example.test', 5, 60, encodeName('b.test')),
    record('elsewhere.test', 1, 1, encodeIp('10.0.0.1')),
  ]
  t.same(decodeReply(message(query, { answers: records }), question), {
    kind: 'answer', addresses: [{ family: 4, bits: 0xc0000207n, text: '192.0.2.7' }], chain: ['b.test', 'c.test'], ttlSeconds: 40,
  })
})

t.test('a record that belongs to no name of the chain gives no address', async (t) => {
  const reply = decodeReply(message(asked(), { answers: [record('evil.test', 1, 60, encodeIp('10.0.0.1'))] }), question)
  t.same(reply, { kind: 'answer', addresses: [], chain: [], ttlSeconds: 0 })
})

t.test('alias loops, forks and endless chains are failures', async (t) => {
  const loops = [
    [['www.example.test', 'www.example.test']],
    [['www.example.test', 'b.test'], ['b.test', 'www.example.test']],
    [['www.example.test', 'b.test'], ['b.test', 'c.test'], ['c.test', 'b.test']],
    [['www.example.test', 'b.test'], ['www.example.test', 'c.test']],
    Array.from({ length: 20 }, (_, i) => [i === 0 ? 'www.example.test' : `n${i}.test`, `n${i + 1}.test`]),
  ]
  for (const pairs of loops) {
    const answers = pairs.map(([owner = '', target = '']) => record(owner, 5, 60, encodeName(target)))
    t.match(decodeReply(message(asked(), { answers }), question), { kind: 'failed', detail: /aliases/ })
  }
})

t.test('a dot or a NUL inside a label of an alias does not look like another name', async (t) => {
  const odd = Buffer.concat([Buffer.from([6]), Buffer.from('a.b\0C\\'), encodeName('test')])
  const answers = [record('www.example.test', 5, 60, odd)]
  t.match(decodeReply(message(asked(), { answers }), question), { kind: 'answer', chain: ['a\\046b\\000c\\092.test'] })
})

t.test('response codes: NXDOMAIN is not found, NOERROR is an answer, all others are failures', async (t) => {
  t.match(decodeReply(answer(asked(), { code: 3, negativeTtlSeconds: 30 }), question), { kind: 'not_found', ttlSeconds: 30 })
  t.match(decodeReply(answer(asked(), { code: 3 }), question), { kind: 'not_found', ttlSeconds: 0 })
  t.match(decodeReply(answer(asked(), { negativeTtlSeconds: 7200 }), question), { kind: 'answer', addresses: [], ttlSeconds: 3600 })
  t.match(decodeReply(answer(asked(), { code: 2 }), question), { kind: 'failed', detail: 'SERVFAIL' })
  t.match(decodeReply(answer(asked(), { code: 5 }), question), { kind: 'failed', detail: 'REFUSED' })
  t.match(decodeReply(answer(asked(), { code: 9 }), question), { kind: 'failed', detail: 'response code 9' })
  t.match(decodeReply(answer(asked(), { addresses: ['192.0.2.1'] }, 0x0200), question), { kind: 'truncated' })
})

t.test('a TTL with its top bit set counts as zero', async (t) => {
  const answers = [record('www.example.test', 1, 0x80000000, encodeIp('192.0.2.1'))]
  t.match(decodeReply(message(asked(), { answers }), question), { kind: 'answer', ttlSeconds: 0 })
})

t.test('what answers another question is stray', async (t) => {
  const good = answer(asked(), { addresses: ['192.0.2.1'] })
  const wrongId = Buffer.from(good)
  wrongId.writeUInt16BE(0x4321, 0)
  const isQuery = Buffer.from(good)
  isQuery.writeUInt16BE(0x0100, 2)
  const twoQuestions = Buffer.from(good)
  twoQuestions.writeUInt16BE(2, 4)
  const noQuestion = Buffer.from(good)
  noQuestion.writeUInt16BE(0, 4)
  const others = [asked({ name: 'www.example.tesu' }), asked({ type: 'AAAA' })].map((query) => answer(query, { addresses: ['192.0.2.1'] }))
  for (const bytes of [wrongId, isQuery, twoQuestions, noQuestion, ...others, Buffer.alloc(0), good.subarray(0, 11), good.subarray(0, 20)]) {
    t.same(decodeReply(bytes, question), { kind: 'stray' })
  }
})

t.test('an error without the question is believed, an answer without it is not', async (t) => {
  const bytes = Buffer.from(answer(asked(), { code: 2 }).subarray(0, 12))
  bytes.writeUInt16BE(0, 4)
  t.match(decodeReply(bytes, question), { kind: 'failed', detail: 'SERVFAIL' })
  bytes.writeUInt16BE(0x8183, 2)
  t.same(decodeReply(bytes, question), { kind: 'stray' })
})

t.test('malformed answers are failures: cut short, wrong lengths, pointers that lead nowhere', async (t) => {
  const query = asked()
  const whole = answer(query, { addresses: ['192.0.2.1'] })
  for (let length = query.bytes.length; length < whole.length; length++) {
    t.match(decodeReply(whole.subarray(0, length), question), { kind: 'failed' }, `cut at ${length}`)
  }
  const rest = Buffer.concat([Buffer.from([0, 1, 0, 1, 0, 0, 0, 60, 0, 4]), encodeIp('192.0.2.1')])
  const at = query.bytes.length
  const owners = [
    [0xc0, at], // itself
    [0xc0, at + 2], // forwards
    [0xff, 0xff], // beyond the end
    [0xc0], // half a pointer
    [0x40, 0x01], // a label type that does not exist
    [0x3f, 0x61], // a label longer than the message
  ]
  for (const owner of owners) {
    t.match(decodeReply(message(query, { answers: [Buffer.concat([Buffer.from(owner), rest])] }), question), { kind: 'failed' }, String(owner))
  }
  const short = [record('www.example.test', 1, 60, Buffer.from([127, 0, 0]))]
  t.match(decodeReply(message(query, { answers: short }), question), { kind: 'failed' })
  const six: Question = { ...question, type: 'AAAA' }
  t.match(decodeReply(message(asked(six), { answers: [record('www.example.test', 28, 60, Buffer.alloc(4))] }), six), { kind: 'failed' })
})

t.test('compression is followed backwards, a chain of pointers ends', async (t) => {
  const query = asked()
  const pointer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9])
  t.same(texts(decodeReply(message(query, { answers: [pointer] }), question)), ['192.0.2.9'])
  const hops = Array.from({ length: 200 }, (_, i) => Buffer.from([0xc0 | ((query.bytes.length + 10 + i * 2) >> 8), (query.bytes.length + 10 + i * 2) & 0xff]))
  const bomb = record('x', 16, 60, Buffer.concat([Buffer.from([0, 0]), ...hops]))
  const far = query.bytes.length + bomb.length - 2
  const last = Buffer.concat([Buffer.from([0xc0 | (far >> 8), far & 0xff]), pointer.subarray(2)])
  t.match(decodeReply(message(query, { answers: [bomb, last] }), question), { kind: 'failed' })
})

function many(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `192.0.${i >> 8}.${i & 255}`)
}

t.test('an answer of 500 records is refused, one of 200 is read', async (t) => {
  t.match(decodeReply(answer(asked(), { addresses: many(500) }), question), { kind: 'failed', detail: 'an answer of 500 records' })
  t.equal(texts(decodeReply(answer(asked(), { addresses: many(200) }), question)).length, 200)
  t.match(decodeReply(message(asked(), { answerCount: 65_535 }), question), { kind: 'failed' })
})

t.test('whatever bytes come, the reader answers and does not throw', async (t) => {
  const kinds = new Set(['stray', 'truncated', 'failed', 'not_found', 'answer'])
  const prefix = asked().bytes
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => kinds.has(decodeReply(bytes, question).kind)), { numRuns: 2000 })
  // beyond a valid header and question
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), (bytes, answers, authority) => {
    const header = Buffer.from(prefix)
    header.writeUInt16BE(0x8180, 2)
    header.writeUInt16BE(answers, 6)
    header.writeUInt16BE(authority, 8)
    return kinds.has(decodeReply(Buffer.concat([header, bytes]), question).kind)
  }), { numRuns: 5000 })
  t.pass('no exception')
})

t.test('a flipped byte of a valid answer never gives an address that the answer does not hold', async (t) => {
  const whole = answer(asked(), { aliases: ['b.test'], addresses: ['192.0.2.1', '192.0.2.2'] })
  fc.assert(fc.property(fc.nat(whole.length - 9), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const bytes = Buffer.from(whole)
    // the addresses themselves are left alone: the last 4 bytes, and the 4 before the last record
    const lastRecord = encodeName('b.test').length + 14
    if (at >= whole.length - lastRecord - 4 && at < whole.length - lastRecord) return true
    bytes.writeUInt8(bytes.readUInt8(at) ^ change, at)
    return texts(decodeReply(bytes, question)).every((text) => text.startsWith('192.0.2.'))
  }), { numRuns: 3000 })
  t.pass('no invented address')
})
