// The head of a CONNECT read by hand against node's strict parser: whatever is taken, the parser must read
// the same way; what it may read in another way must be left to it.
import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import t from 'tap'
import { readConnectHead } from '../../src/ingress/connect-head.ts'
import * as fc from '../support/property.ts'
import { brokenHeads, byte, damaged, fieldLines, lineEnd, often, version } from './head-arbitraries.ts'

const maxBytes = 4096

interface Reading {
  readonly url: string | undefined
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  /** latin1 */
  readonly rest: string
}

type Parsed = Reading | 'a request' | 'nothing' | { readonly error: string | undefined }

// as the front makes it, without a listener of its own
const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, maxHeaderSize: maxBytes, highWaterMark: 65_536 })
server.maxHeadersCount = 0
const waiting = new WeakMap<Duplex, (parsed: Parsed) => void>()
server.on('connect', (request, duplex, head) => waiting.get(duplex)?.({ ...readingOf(request), rest: head.toString('latin1') }))
server.on('request', ({ socket }) => waiting.get(socket)?.('a request'))
server.on('clientError', (error: NodeJS.ErrnoException, duplex) => waiting.get(duplex)?.({ error: error.code }))

function readingOf({ url, httpVersion, rawHeaders }: Omit<Reading, 'rest'> | IncomingMessage): Omit<Reading, 'rest'> {
  return { url, httpVersion, rawHeaders }
}

/** What node's parser makes of a connection that begins with `bytes` in one segment. */
async function parse(bytes: Buffer): Promise<Parsed> {
  const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const parsed = new Promise<Parsed>((resolve) => {
    waiting.set(duplex, resolve)
    setImmediate(() => resolve('nothing'))
  })
  duplex.push(bytes)
  server.emit('connection', duplex)
  const result = await parsed
  duplex.on('error', () => duplex.destroy()).destroy()
  return result
}

function read(bytes: Buffer): Reading | undefined {
  const whole = readConnectHead(bytes, maxBytes)
  return whole === undefined ? undefined : { ...readingOf({ ...whole.head, url: whole.head.url }), rest: bytes.toString('latin1', whole.length) }
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

const method = often(['CONNECT '], ['connect ', 'Connect ', 'CONNECT  ', 'CONNECT\t', ' CONNECT ', '\r\nCONNECT ', 'CONNECT', 'GET ', 'CONNECTX ', 'PRI ', 'SOURCE '])
const target = often(
  ['a.test:443', 'xn--bcher-kva.example:8443', '127.0.0.1:443', '[::1]:443', 'A.Test:443', 'a-b.test:1'],
  ['a.test', 'a.test:', ':443', 'a.test:443:443', '[::1', ']:443', '-', '.', ':', '[', 'a_b.test:443', 'http://a.test/', '/', '*', 'user@a.test:443', 'a.test:443/', 'a.test:443?x', 'a%2etest:443', 'a.test:443#x',
    'b\xfccher.test:443', 'a.test :443', 'a\ttest:443', '', 'a'.repeat(5000), `${'a.'.repeat(900)}test:443`, '[fe80::1%25eth0]:443', 'a\0.test:443', '\x7f'],
)
const fields = fieldLines(['Host', 'User-Agent', 'Proxy-Connection', 'Proxy-Authorization', 'X-Odd', 'Accept'], 'a.test:443')
const rest = fc.oneof(fc.constant(''), fc.constantFrom('\x16\x03\x01\x00\xa5', 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', 'CONNECT b.test:443 HTTP/1.1\r\n\r\n', '\r\n', '\0', ' ', '\n'), fc.string({ unit: byte, maxLength: 40 }))
const head = fc.tuple(method, target, version, lineEnd, fields, lineEnd, rest).map(([verb, to, http, end, lines, last, more]) => `${verb}${to}${http}${end}${lines.join('')}${last}${more}`)

t.test('whatever is taken, node\'s strict parser reads the same way and leaves the same bytes behind it', async (t) => {
  let taken = 0
  let refused = 0
  await fc.assert(fc.asyncProperty(damaged(head), async (text) => {
    const bytes = latin1(text)
    const reading = read(bytes)
    if (reading === undefined) {
      refused += 1
      return
    }
    taken += 1
    const parsed = await parse(bytes)
    if (JSON.stringify(parsed) !== JSON.stringify(reading)) throw new Error(`${JSON.stringify(text)}: taken as ${JSON.stringify(reading)}, parsed as ${JSON.stringify(parsed)}`)
  }), { numRuns: 6000 })
  t.ok(taken > 500 && refused > 500, `${taken} were taken and ${refused} were left`)
})

t.test('every byte in every place of a plain head is read the same way or left', async (t) => {
  const plain = 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nX: y\r\n\r\nrest'
  const odd: string[] = []
  for (let at = 0; at <= plain.length; at++) {
    for (let code = 0; code < 256; code++) {
      for (const skip of [0, 1]) {
        const bytes = latin1(plain.slice(0, at) + String.fromCharCode(code) + plain.slice(at + skip))
        const reading = read(bytes)
        if (reading === undefined) continue
        const parsed = await parse(bytes)
        if (JSON.stringify(parsed) !== JSON.stringify(reading)) odd.push(JSON.stringify([bytes.toString('latin1'), reading, parsed]))
      }
    }
  }
  t.strictSame(odd, [])
})

const line = 'CONNECT a.test:443 HTTP/1.1\r\n'
const host = 'Host: a.test:443\r\n'

t.test('what is not whole or not plain is left to the parser', async (t) => {
  const cases: Readonly<Record<string, string>> = {
    ...brokenHeads(line, host),
    'a part of the method': 'CONN',
    'another method': `GET http://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'the method in lower case': `connect a.test:443 HTTP/1.1\r\n${host}\r\n`,
    'two spaces': `CONNECT  a.test:443 HTTP/1.1\r\n${host}\r\n`,
    'a tab': `CONNECT a.test:443\tHTTP/1.1\r\n${host}\r\n`,
    'HTTP/1.0': 'CONNECT a.test:443 HTTP/1.0\r\n\r\n',
    'HTTP/2.0': `CONNECT a.test:443 HTTP/2.0\r\n${host}\r\n`,
    'no version': 'CONNECT a.test:443\r\n\r\n',
    'an absolute form': `CONNECT http://a.test:443/ HTTP/1.1\r\n${host}\r\n`,
    'user information': `CONNECT u@a.test:443 HTTP/1.1\r\n${host}\r\n`,
    'a percent sign': `CONNECT a%2etest:443 HTTP/1.1\r\n${host}\r\n`,
    'no target': `CONNECT  HTTP/1.1\r\n${host}\r\n`,
    'a TLS hello': '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03',
    'the HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'an SSH banner': 'SSH-2.0-OpenSSH_9.2\r\n',
    'a head that is longer than allowed by a byte': `${line}${host}X: ${'y'.repeat(maxBytes - line.length - host.length - 6)}\r\n\r\n`,
  }
  for (const [what, text] of Object.entries(cases)) t.equal(readConnectHead(latin1(text), maxBytes), undefined, what)
  const fits = `${line}${host}X: ${'y'.repeat(maxBytes - line.length - host.length - 7)}\r\n\r\n`
  t.equal(readConnectHead(latin1(`${fits}rest`), maxBytes)?.length, maxBytes, 'and one of just the size that is allowed is taken')
})

t.test('what says how the message is framed or what becomes of the connection is left to the parser, in any case', async (t) => {
  for (const [field, values] of Object.entries({
    'Content-Length': ['0', '5', ''],
    'Transfer-Encoding': ['chunked', 'identity', ''],
    'Upgrade': ['websocket', 'h2c', ''],
    'Connection': ['Upgrade', 'close, TE', 'keep-alive,close', 'Proxy-Authorization', ''],
    'Proxy-Connection': ['Upgrade', 'keep-alive, x', ''],
  })) {
    for (const each of values) {
      for (const spelled of [field, field.toLowerCase(), field.toUpperCase()]) {
        t.equal(readConnectHead(latin1(`${line}${host}${spelled}: ${each}\r\n\r\n`), maxBytes), undefined, `${spelled}: ${each}`)
      }
    }
  }
})

t.test('what clients send is taken as it was sent, also with their first bytes behind it', async (t) => {
  const clients: Readonly<Record<string, string>> = {
    'curl': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nUser-Agent: curl/8.5.0\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'curl with credentials': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: curl/8.5.0\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'git': 'CONNECT github.com:443 HTTP/1.1\r\nHost: github.com:443\r\nUser-Agent: git/2.39.5\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'the agent of node:https': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nConnection: close\r\n\r\n',
    'the proxy agent of node:https': 'CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\nproxy-connection: keep-alive\r\n\r\n',
    'undici': 'CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\nconnection: close\r\n\r\n',
    'an agent with Proxy-Connection': 'CONNECT a.test:443 HTTP/1.1\r\nProxy-Connection: close\r\nHost: a.test:443\r\n\r\n',
    'Python\'s http.client': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n',
    'aiohttp': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: Python/3.12 aiohttp/3.9.5\r\n\r\n',
    'Go': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nUser-Agent: Go-http-client/1.1\r\n\r\n',
    'Java': 'CONNECT a.test:443 HTTP/1.1\r\nUser-Agent: Java/21.0.2\r\nHost: a.test\r\nAccept: */*\r\nProxy-Connection: keep-alive\r\n\r\n',
    'Chromium': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\r\n',
    'Firefox': 'CONNECT a.test:443 HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nProxy-Connection: keep-alive\r\nConnection: keep-alive\r\nHost: a.test:443\r\n\r\n',
    'to an IPv6 address': 'CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n',
    'with tabs and an empty value': 'CONNECT a.test:443 HTTP/1.1\r\nHost:\ta.test:443 \t\r\nX-Empty:\r\nX-Tab: a\tb\r\nHost: again\r\nExpect: 100-continue\r\n\r\n',
  }
  for (const [who, text] of Object.entries(clients)) {
    for (const early of ['', '\x16\x03\x01\x00\xa5\x01', 'SSH-2.0-x\r\n', '\r\n\r\n']) {
      const bytes = latin1(text + early)
      const reading = read(bytes)
      t.ok(reading !== undefined, `${who} is taken`)
      t.strictSame(reading, await parse(bytes), `${who} with ${early.length} bytes behind`)
      t.equal(reading?.rest, early)
    }
  }
})
