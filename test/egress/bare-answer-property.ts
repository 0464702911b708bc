// Answers of every kind, each given twice to the same proxy: to a GET, whose answer is read without undici where it
// is plain, and to an OPTIONS, whose answer undici reads. What comes of the two must be the same.
import { setImmediate as turn } from 'node:timers/promises'
import type { Scope } from '../support/scope.ts'
import * as fc from '../support/property.ts'
import { exchange, proxyTo, rawOrigin } from './wire.ts'

export interface Script {
  /** segments, latin1 */
  readonly parts: readonly string[]
  /** what the origin does behind them */
  readonly end: 'stays' | 'ends'
}

export interface Comparison {
  /** `isReused`: the connection served the exchange behind it too */
  readonly read: (script: Script) => Promise<{ readonly status: number | undefined; readonly isReused: boolean; readonly fault: string | undefined }>
}

interface Outcome {
  readonly shown: Readonly<Record<string, unknown>>
  /** that was passed on */
  readonly status: number | undefined
  readonly isReused: boolean
}

const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine'

export async function comparison(t: Scope): Promise<Comparison> {
  let script: Script = { parts: [], end: 'ends' }
  let runs = 0
  const origin = await rawOrigin((socket, head) => {
    if (head.includes(' /second ')) {
      socket.write(fine)
      return
    }
    void (async () => {
      for (const part of script.parts) {
        socket.write(part, 'latin1')
        for (let turns = 0; turns < 4; turns++) await turn()
      }
      if (script.end === 'ends') socket.end()
    })()
  })
  const proxy = await proxyTo(origin.port, { originTimeoutMs: 150, maxResponseHeaderBytes: 4096 }, ({ method }) => (
    { pool: { session: `${method}${runs}`, host: 'origin.test', port: 80, addresses: ['127.0.0.1'], revision: 'r1' } }))
  t.teardown(() => {
    proxy.close()
    origin.close()
  })

  const outcome = async (method: string): Promise<Outcome> => {
    const before = proxy.results.length
    const request = (path: string): string => `${method} http://origin.test${path} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n`
    const connections = origin.connections()
    const text = await exchange(proxy.port, request('/first'))
    const { outcome: how, status, headSent, bytesFromOrigin, error } = await proxy.result(before)
    const second = await exchange(proxy.port, request('/second'))
    await proxy.result(before + 1)
    // what of a broken answer came out before it broke is as it happens
    const isBroken = how !== 'completed' && headSent
    const code = isBroken && (error?.code === 'origin_incomplete' || error?.code === 'origin_protocol_error') ? 'either' : error?.code
    return {
      shown: { how, status, headSent, code, said: isBroken ? undefined : readable(text), bytes: isBroken ? undefined : bytesFromOrigin, second: second.endsWith('fine') },
      status: headSent ? status : undefined,
      isReused: origin.connections() - connections === 1,
    }
  }
  return {
    read: async (wanted) => {
      script = wanted
      runs += 1
      const bare = await outcome('GET')
      const through = await outcome('OPTIONS')
      const [found, expected] = [JSON.stringify(bare.shown), JSON.stringify(through.shown)]
      // undici goes on with a connection on which empty lines came behind the answer; here nothing may
      const isSame = found === expected && (through.isReused || !bare.isReused)
      return { status: bare.status, isReused: bare.isReused, fault: isSame ? undefined : `${JSON.stringify(wanted)}: bare ${found} ${bare.isReused}, by undici ${expected} ${through.isReused}` }
    },
  }
}

/** Head and content, whatever chunks that came in. */
function readable(text: string): readonly string[] {
  const end = text.indexOf('\r\n\r\n')
  const head = text.slice(0, end).replace(/^Date: .*$/m, 'Date')
  const body = text.slice(end + 4)
  if (!/^transfer-encoding: chunked$/im.test(head)) return [head, body]
  let content = ''
  let at = 0
  for (;;) {
    const line = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.slice(at, line), 16)
    // undici leaves the blanks behind a trailer
    if (!(size > 0)) return [head, content, body.slice(at).replaceAll(/[ \t]+\r\n/g, '\r\n')]
    content += body.slice(line + 2, line + 2 + size)
    at = line + 4 + size
  }
}

const often = <T>(usual: readonly T[], odd: readonly T[], weight = 12): fc.Arbitrary<T> => fc.oneof({ weight, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) })
const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
const lineEnd = often(['\r\n'], ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\r\n\t', '\r\n\r\n', ' \r\n', '\0\r\n', ''], 30)
const statusLine = often(
  ['HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', 'HTTP/1.1 200 ', 'HTTP/1.1 503 x'],
  ['HTTP/1.0 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 200', 'HTTP/2.0 200 OK', 'http/1.1 200 OK', 'HTTP/1.1  200 OK', 'HTTP/1.1 99 x', 'HTTP/1.1 000 x', 'HTTP/1.1 600 x', 'HTTP/1.1 999 x', 'HTTP/1.1 2000 x', 'HTTP/1.1 20 x',
    'HTTP/1.1 101 Switching', 'HTTP/1.1 103 Early Hints', 'HTTP/1.1 200 caf\xe9', 'HTTP/1.1 200 a\0b', 'HTTP/1.1\t200 OK', 'ICY 200 OK', ' HTTP/1.1 200 OK', '\r\nHTTP/1.1 200 OK', 'SSH-2.0-x', 'HTTP/1.1 2\xb2\xb2 OK', 'HTTP/1.1 205 Reset', 'HTTP/1.1 206 Part'],
  6,
)
const fieldLine = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom('X-A', 'Set-Cookie', 'ETag', 'Server', 'x-b', 'Via'), fc.constantFrom(': ', ':', ':\t '), fc.constantFrom('a', 'a b', 'caf\xe9', 'a\tb', '"x"', 'a:b'), lineEnd).map((parts) => parts.join('')) },
  { weight: 2, arbitrary: fc.constantFrom('Connection: close\r\n', 'connection: keep-alive\r\n', 'Keep-Alive: timeout=60\r\n', 'Keep-Alive: timeout=1\r\n', 'keep-alive: max=5, timeout=60\r\n', 'Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('Connection: Close, x-a\r\n', 'Connection:\r\n', 'Connection: upgrade\r\nUpgrade: h2c\r\n', 'Upgrade: h2c\r\n', 'Proxy-Connection: close\r\n', 'Trailer: X\r\n', 'X-Empty:\r\n', 'X-Trailing: a \t\r\n', 'X-Space : a\r\n', ': a\r\n', 'X-Fold: a\r\n b\r\n', 'no colon\r\n', 'X\xe9: a\r\n', 'X: a\0\r\n', 'X: a\x7f\r\n', 'X: a\rb\r\n',
    'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: gzip\r\n', 'Content-Length: +5\r\n', 'Content-Length: 5, 5\r\n', 'Content-Length: 05\r\n', 'Content-Length : 5\r\n', `X-Long: ${'y'.repeat(5000)}\r\n`, 'HTTP2-Settings: x\r\n', 'TE: trailers\r\n') },
)
const content = fc.oneof({ weight: 6, arbitrary: fc.string({ unit: byte, maxLength: 40 }) }, { weight: 1, arbitrary: fc.constantFrom('z'.repeat(20_000), 'y'.repeat(70_000)) })
const size = fc.tuple(fc.constantFrom('', '', '', '0', '00000'), fc.boolean()).map(([zeros, upper]) => (length: number): string => zeros + (upper ? length.toString(16).toUpperCase() : length.toString(16)))
const extension = often([''], [';a', ';a=b', ';a="b c"', ' ', '\t', ';', '; a', ';\0', ';\xe9', 'x', ';a=b;c'], 20)
const chunkEnd = often(['\r\n'], ['\n', '\r', '', '\r\r\n', ' \r\n', '\0\0'], 40)
const chunk = fc.tuple(content, size, extension, chunkEnd, chunkEnd).map(([text, say, more, first, last]) => `${say(text.length)}${more}${first}${text}${text === '' ? '' : last}`)
const trailer = often(['', '', '', 'X-Sum: 1\r\n', 'X-Sum: caf\xe9 \r\nX-End:\r\n'], ['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'no colon\r\n', ' folded\r\n', 'X-A: \0\r\n', 'X\n', ': a\r\n'], 12)
const chunks = fc.tuple(fc.array(chunk, { maxLength: 4 }), often(['0\r\n'], ['', '00\r\n', '0;x\r\n', '0\n', '-1\r\n', 'g\r\n', '\r\n', 'ffffffffffffffffff\r\n', '10000000000000000\r\n'], 20), trailer, often(['\r\n'], ['', '\n', '\r', 'x\r\n'], 20))
  .map(([each, last, more, end]) => `${each.filter((text) => !text.startsWith('0\r\n') && !/^0+\r\n$/.test(text)).join('')}${last}${more}${end}`)
const framed = fc.oneof(
  { weight: 5, arbitrary: content.map((text) => [`Content-Length: ${text.length}\r\n`, text] as const) },
  { weight: 5, arbitrary: chunks.map((text) => ['Transfer-Encoding: chunked\r\n', text] as const) },
  { weight: 1, arbitrary: fc.tuple(content, fc.nat(50)).map(([text, more]) => [`content-length: ${text.length + more}\r\n`, text] as const) },
  { weight: 1, arbitrary: content.map((text) => ['', text] as const) },
)
const behind = often([''], ['x', '\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', '\0'], 8)
const answer = fc.tuple(statusLine, lineEnd, fc.array(fieldLine, { maxLength: 4 }), framed, fc.nat(4), lineEnd, behind)
  .map(([first, end, fields, [framing, text], place, last, more]) => `${first}${end}${[...fields.slice(0, place), framing, ...fields.slice(place)].join('')}${last}${text}${more}`)
const damage = fc.tuple(fc.nat(300), fc.constantFrom('insert', 'remove', 'change'), fc.oneof(byte, fc.constantFrom('\r', '\n', '\0', '\t', ' ', ':', '\x7f', '\x80', '0', ';')))

export const script: fc.Arbitrary<Script> = fc.record({
  text: fc.tuple(answer, fc.option(damage, { freq: 2 })).map(([text, how]) => {
    if (how === null) return text
    const [place, what, put] = how
    const at = place % (text.length + 1)
    return text.slice(0, at) + (what === 'remove' ? '' : put) + text.slice(what === 'insert' ? at : at + 1)
  }),
  cuts: fc.array(fc.nat(400), { maxLength: 3 }),
  end: fc.constantFrom('stays', 'ends', 'ends', 'ends'),
}).map(({ text, cuts, end: close }) => {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length]
  return { parts: places.slice(1).map((end, at) => text.slice(places[at] ?? 0, end)).filter((part) => part !== ''), end: close }
})
