import t from 'tap'
import { ClientHelloReader, sniEquals } from '../../src/ingress/client-hello.ts'
import type { HelloResult } from '../../src/ingress/client-hello.ts'
import { parseHost } from '../../src/target/host.ts'
import { alpn, extension, hello, helloMessage, record, recordHello, records, serverNames } from './hello-bytes.ts'
import * as fc from '../support/property.ts'

const maxBytes = 16 * 1024
const name = 'api.example.test'
const plain = hello(serverNames({ name }), alpn('h2', 'http/1.1'))
const expected = { kind: 'hello', serverName: name, alpn: ['h2', 'http/1.1'], hasEch: false }

function judge(...chunks: readonly Uint8Array[]): HelloResult {
  const reader = new ClientHelloReader(maxBytes)
  let result: HelloResult = { kind: 'need-more' }
  for (const chunk of chunks) result = reader.push(chunk)
  return result
}

function bytewise(bytes: Uint8Array): readonly Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte))
}

function codeOf(result: HelloResult): string {
  return result.kind === 'refused' ? result.code : result.kind
}

t.test('a hello of the runtime is read, with and without its options', async (t) => {
  const full = await recordHello({ servername: name, ALPNProtocols: ['h2', 'http/1.1'] })
  t.same(judge(full), expected)
  t.same(judge(...bytewise(full)), expected)
  const bare = await recordHello({})
  t.same(judge(bare), { kind: 'hello', serverName: undefined, alpn: [], hasEch: false })
  const old = await recordHello({ servername: name, maxVersion: 'TLSv1.2' })
  t.same(judge(old), { ...expected, alpn: [] })
  const message = full.subarray(5)
  t.same(judge(records(message, ...Array.from(message, () => 1))), expected, 'in records of one byte')
})

t.test('a hello reads the same however it is cut into segments', async (t) => {
  t.same(judge(plain), expected)
  for (let at = 1; at < plain.length; at++) {
    const reader = new ClientHelloReader(maxBytes)
    t.same(reader.push(plain.subarray(0, at)), { kind: 'need-more' }, `first ${at} bytes`)
    t.same(reader.push(plain.subarray(at)), expected, `rest after ${at}`)
  }
  t.same(judge(...bytewise(plain)), expected)
  t.same(judge(new Uint8Array(0), plain), expected, 'an empty chunk is nothing')
})

t.test('a hello reads the same however it is cut into records', async (t) => {
  const message = plain.subarray(5)
  for (let at = 1; at < message.length; at++) t.same(judge(records(message, at)), expected, `a record of ${at} bytes first`)
  const inName = message.indexOf(name) + 4
  for (const sizes of [[1, 1], [3, 2], [4, 10], [inName, 3], [50, 1]]) {
    const bytes = records(message, ...sizes)
    t.same(judge(bytes), expected, `records of ${sizes.join(', ')}`)
    t.same(judge(...bytewise(bytes)), expected, `records of ${sizes.join(', ')}, byte by byte`)
  }
  const tiny = records(message, ...Array.from(message, () => 1))
  t.same(judge(tiny), expected)
  t.same(judge(...bytewise(tiny)), expected)
})

t.test('all bytes are kept for the relay, also those that follow the hello', async (t) => {
  const reader = new ClientHelloReader(maxBytes)
  const early = record(Buffer.from('early data'), 0x17)
  t.equal(reader.bytes.length, 0)
  const first = Buffer.from(plain.subarray(0, 20))
  reader.push(first)
  t.same(Buffer.from(reader.bytes), plain.subarray(0, 20))
  t.same(reader.push(Buffer.concat([plain.subarray(20), early])), expected)
  t.same(reader.push(Buffer.from('more')), expected, 'the answer stays')
  t.same(Buffer.from(reader.bytes), Buffer.concat([plain, early, Buffer.from('more')]))
  t.same(first, plain.subarray(0, 20), 'nothing is written into a chunk')
})

t.test('what does not start with a handshake record is no TLS at the first byte', async (t) => {
  for (let byte = 0; byte < 256; byte++) {
    if (byte !== 0x16) t.equal(codeOf(judge(Uint8Array.of(byte))), 'not_tls', `byte ${byte}`)
  }
  t.equal(codeOf(judge(Uint8Array.of(0x16))), 'need-more')
  for (const text of ['SSH-2.0-x\r\n', 'GET / HTTP/1.1\r\n', 'PRI * HTTP/2.0\r\n\r\n', 'EHLO x\r\n', 'CONNECT a:443 HTTP/1.1\r\n']) {
    t.equal(codeOf(judge(Buffer.from(text))), 'not_tls', text)
  }
  const reader = new ClientHelloReader(maxBytes)
  reader.push(Buffer.from('S'))
  t.equal(codeOf(reader.push(plain)), 'not_tls', 'a hello after that changes nothing')
})

t.test('records are handshake records of version 3 with 1 to 16384 bytes', async (t) => {
  const message = plain.subarray(5)
  const [first, second] = [message.subarray(0, 30), message.subarray(30)]
  for (const version of [0x0300, 0x0301, 0x0303, 0x0304]) t.same(judge(record(message, 0x16, version)), expected)
  t.equal(codeOf(judge(Uint8Array.of(0x16, 2))), 'hello_malformed', 'version 2')
  t.equal(codeOf(judge(Uint8Array.of(0x16, 3, 1, 0, 0))), 'hello_malformed', 'no bytes')
  t.equal(codeOf(judge(Uint8Array.of(0x16, 3, 1, 0x40, 1))), 'hello_malformed', '16385 bytes')
  t.equal(codeOf(new ClientHelloReader(20_000).push(Uint8Array.of(0x16, 3, 1, 0x40, 0))), 'need-more', '16384 bytes')
  t.equal(codeOf(judge(record(first), record(Buffer.alloc(0)), record(second))), 'hello_malformed', 'an empty record between')
  for (const type of [0x14, 0x15, 0x17, 0]) {
    t.equal(codeOf(judge(record(first), record(second, type))), 'hello_malformed', `record of type ${type} between`)
  }
  t.equal(codeOf(judge(record(first), record(second, 0x16, 0x0201))), 'hello_malformed', 'version changes')
})

t.test('the handshake message is one hello and its record ends with it', async (t) => {
  for (const type of [0, 2, 11, 255]) t.equal(codeOf(judge(records(helloMessage({ type, extensions: [] })))), 'hello_malformed', `type ${type}`)
  const message = plain.subarray(5)
  t.equal(codeOf(judge(record(Buffer.concat([message, Buffer.from([0])])))), 'hello_malformed', 'a byte more')
  t.equal(codeOf(judge(record(Buffer.concat([message, message])))), 'hello_malformed', 'a second hello')
  t.equal(codeOf(judge(record(message.subarray(0, 40)), record(Buffer.concat([message.subarray(40), message])))), 'hello_malformed')
  t.equal(codeOf(judge(record(Uint8Array.of(1, 0, 0, 0)))), 'hello_malformed', 'an empty hello')
})

t.test('lengths inside the hello add up exactly', async (t) => {
  const extensions = [serverNames({ name })]
  const cases: readonly (readonly [string, Parameters<typeof helloMessage>[0]])[] = [
    ['version', { version: 0x0203, extensions }],
    ['session id of 33', { sessionId: Buffer.alloc(33), extensions }],
    ['no cipher suite', { ciphers: Buffer.alloc(0), extensions }],
    ['half a cipher suite', { ciphers: Buffer.alloc(3), extensions }],
    ['no compression method', { compression: Buffer.alloc(0), extensions }],
    ['a byte after the extensions', { extensions, trailing: Buffer.from([0]) }],
    ['one byte instead of a length', { rawExtensions: Buffer.from([0]) }],
    ['extensions longer than the hello', { rawExtensions: Buffer.from([0, 9, 0, 23, 0, 0]) }],
    ['extensions shorter than the hello', { rawExtensions: Buffer.from([0, 4, 0, 23, 0, 0, 0, 21, 0, 0]) }],
    ['half an extension header', { extensions: [Buffer.from([0, 23, 0])] }],
    ['an extension longer than the rest', { extensions: [Buffer.from([0, 23, 0, 1])] }],
    ['an extension that swallows the next', { extensions: [Buffer.from([0, 23, 0, 200]), serverNames({ name })] }],
  ]
  for (const [what, parts] of cases) t.equal(codeOf(judge(records(helloMessage(parts)))), 'hello_malformed', what)
  t.same(judge(records(helloMessage({}))), { kind: 'hello', serverName: undefined, alpn: [], hasEch: false }, 'no extensions at all')
  t.same(judge(records(helloMessage({ extensions: [] }))), { kind: 'hello', serverName: undefined, alpn: [], hasEch: false })
  t.same(judge(records(helloMessage({ sessionId: Buffer.alloc(0), extensions }))), { ...expected, alpn: [] })
})

t.test('one server name of type host_name, or none', async (t) => {
  const body = serverNames({ name }).subarray(4)
  const cases: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ['two extensions', [serverNames({ name }), serverNames({ name })]],
    ['two names', [serverNames({ name }, { name: 'evil.test' })]],
    ['the same name twice', [serverNames({ name }, { name })]],
    ['type 1', [serverNames({ name, type: 1 })]],
    ['type 1 before type 0', [serverNames({ name: 'x', type: 1 }, { name })]],
    ['an empty name', [serverNames({ name: '' })]],
    ['no names', [serverNames()]],
    ['an empty extension', [extension(0, new Uint8Array(0))]],
    ['a byte after the list', [extension(0, Buffer.concat([body, Buffer.from([0])]))]],
    ['a list that is cut off', [extension(0, body.subarray(0, -1))]],
    ['a name longer than its list', [extension(0, Buffer.from([0, 4, 0, 0, 9, 0x61]))]],
    ['a name of 256', [serverNames({ name: 'a'.repeat(256) })]],
    ['any other extension twice', [extension(23, new Uint8Array(0)), extension(23, new Uint8Array(0)), serverNames({ name })]],
  ]
  for (const [what, extensions] of cases) t.equal(codeOf(judge(hello(...extensions))), 'hello_malformed', what)
  for (let byte = 0; byte < 256; byte++) {
    const sent = `a${String.fromCharCode(byte)}.test`
    const visible = byte > 0x20 && byte < 0x7f
    const result = judge(hello(serverNames({ name: sent })))
    t.same(visible ? result : codeOf(result), visible ? { kind: 'hello', serverName: sent, alpn: [], hasEch: false } : 'hello_malformed', `byte ${byte}`)
  }
  t.match(judge(hello(serverNames({ name: 'API.Example.TEST.' }))), { serverName: 'API.Example.TEST.' }, 'as sent')
})

t.test('the protocol list is read exactly', async (t) => {
  t.match(judge(hello(alpn('\x0a\x0a', 'http/1.1'))), { alpn: ['\x0a\x0a', 'http/1.1'] }, 'GREASE among them')
  for (const [what, body] of [
    ['empty', []],
    ['no protocol', [0, 0]],
    ['an empty protocol', [0, 1, 0]],
    ['cut off', [0, 3, 2, 0x68]],
    ['a protocol longer than the list', [0, 2, 2, 0x68]],
    ['a byte after the list', [0, 2, 1, 0x68, 0]],
  ] as const) {
    t.equal(codeOf(judge(hello(extension(16, Uint8Array.from(body))))), 'hello_malformed', what)
  }
})

t.test('GREASE and ECH are no reason to refuse', async (t) => {
  const grease = [extension(0x0a0a, new Uint8Array(0)), extension(0xfe0d, Buffer.alloc(218, 3)), serverNames({ name }), extension(0x1a1a, Uint8Array.of(0))]
  t.same(judge(hello(...grease)), { kind: 'hello', serverName: name, alpn: [], hasEch: true })
  t.same(judge(hello(extension(0xfe0d, new Uint8Array(0)))), { kind: 'hello', serverName: undefined, alpn: [], hasEch: true })
})

t.test('a hello beyond the limit is refused as soon as that is certain', async (t) => {
  const big = hello(serverNames({ name }), extension(21, Buffer.alloc(3000)))
  t.same(new ClientHelloReader(big.length).push(big), { ...expected, alpn: [] }, 'exactly the limit')
  t.equal(codeOf(new ClientHelloReader(big.length - 1).push(big)), 'hello_too_large')
  t.equal(codeOf(new ClientHelloReader(2000).push(big.subarray(0, 5))), 'hello_too_large', 'by the record length')
  t.equal(codeOf(new ClientHelloReader(2000).push(records(big.subarray(5), 20).subarray(0, 9))), 'hello_too_large', 'by the message length')
  t.equal(codeOf(judge(record(Uint8Array.of(1, 0xff, 0xff, 0xff)))), 'hello_too_large')
  const ones = records(big.subarray(5), ...Array.from(big, () => 1))
  t.equal(codeOf(judge(ones)), 'hello_too_large', 'record headers count')
  t.equal(codeOf(judge(...bytewise(ones.subarray(0, maxBytes)))), 'hello_too_large')
  const certain = Math.floor(maxBytes / 6) * 6
  t.equal(codeOf(judge(...bytewise(ones.subarray(0, certain - 1)))), 'need-more', 'one more record fits')
  t.equal(codeOf(judge(...bytewise(ones.subarray(0, certain)))), 'hello_too_large', 'no record fits any more')
  const tail = Buffer.concat([big, Buffer.alloc(64 * 1024, 0x17)])
  t.match(new ClientHelloReader(big.length).push(tail), { kind: 'hello' }, 'what follows the hello does not count')
})

t.test('one byte at a time allocates linearly', async (t) => {
  const message = helloMessage({ extensions: [serverNames({ name }), extension(21, Buffer.alloc(16_000))] })
  const reader = new ClientHelloReader(maxBytes)
  const bytes = records(message)
  const buffers = new Set<ArrayBufferLike>()
  let result: HelloResult = { kind: 'need-more' }
  for (const byte of bytewise(bytes)) {
    result = reader.push(byte)
    buffers.add(reader.bytes.buffer)
  }
  t.match(result, { kind: 'hello', serverName: name })
  const allocated = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0)
  t.ok(allocated <= 4 * bytes.length, `${allocated} bytes for ${bytes.length}`)
})

t.test('a server name equals a host by the host grammar', async (t) => {
  const host = parseHost(name)
  for (const sent of [name, 'API.example.TEST', `${name}.`, 'Api.Example.Test.']) t.ok(sniEquals(sent, host), sent)
  for (const sent of ['', 'evil.test', `x.${name}`, `${name}.evil.test`, `${name}..`, `.${name}`, `${name}\0`, ` ${name}`, `${name}:443`, `[${name}]`, '127.0.0.1', '127.1', 'xn--', '*', '*.example.test', 'a'.repeat(300)]) {
    t.notOk(sniEquals(sent, host), sent)
  }
  t.notOk(sniEquals('127.0.0.1', parseHost('127.0.0.1')), 'an address is no server name')
  t.notOk(sniEquals('::1', parseHost('[::1]')))
  t.notOk(sniEquals('[::1]', parseHost('[::1]')))
  t.ok(sniEquals('XN--bcher-KVA.example', parseHost('xn--bcher-kva.example')))
})

t.test('damaged hellos are judged, the same whole and in pieces, and never throw', async (t) => {
  const real = await recordHello({ servername: name, ALPNProtocols: ['h2'] })
  const seeds = [plain, records(plain.subarray(5), 3, 60), hello(extension(0xfe0d, Buffer.alloc(20)), serverNames({ name })), real]
  const change = fc.record({ at: fc.nat(), kind: fc.constantFrom('set', 'insert', 'delete', 'cut'), byte: fc.oneof(fc.constantFrom(0, 1, 2, 3, 0x16, 0xff), fc.nat(255)) })
  const kinds = new Set<string>()
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (seed, changes, step) => {
      let bytes = Array.from(seed)
      for (const { at, kind, byte } of changes) {
        const i = at % Math.max(bytes.length, 1)
        if (kind === 'set') bytes[i] = byte
        else if (kind === 'insert') bytes.splice(i, 0, byte)
        else if (kind === 'delete') bytes.splice(i, 1)
        else bytes = bytes.slice(0, i + 1)
      }
      const damaged = Uint8Array.from(bytes)
      const whole = judge(damaged)
      const pieces: Uint8Array[] = []
      for (let i = 0; i < damaged.length; i += step) pieces.push(damaged.subarray(i, i + step))
      const parts = judge(...pieces)
      kinds.add(codeOf(whole))
      if (JSON.stringify(whole) !== JSON.stringify(parts)) throw new Error(`${JSON.stringify(whole)} whole, ${JSON.stringify(parts)} in pieces`)
      if (whole.kind === 'hello' && whole.serverName !== undefined) sniEquals(whole.serverName, parseHost(name))
    }),
    { numRuns: 10_000 },
  )
  for (const kind of ['hello', 'need-more', 'not_tls', 'hello_malformed', 'hello_too_large']) t.ok(kinds.has(kind), `${kind} was seen`)
})

t.test('random bytes never throw', async () => {
  const bytes = fc.tuple(fc.constantFrom([], [0x16], [0x16, 3, 1], [0x16, 3, 1, 0, 80, 1, 0, 0, 76]), fc.uint8Array({ maxLength: 120 }))
  fc.assert(
    fc.property(bytes, ([start, rest]) => judge(Uint8Array.from([...start, ...rest])).kind !== 'hello'),
    { numRuns: 5000 },
  )
})
