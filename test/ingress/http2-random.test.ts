// Frames that nobody would send on purpose: pieces of requests, frames of every type with random flags, stream
// numbers and payloads, cut anywhere. Whatever comes of them, nothing is thrown and nothing stays.
import { once } from 'node:events'
import t from 'tap'
import type { PlainArrival } from '../../src/ingress/plain.ts'
import { effort } from '../support/effort.ts'
import { continuation, data, fieldBlock, flags, frame, headers, ping, preface, requestFields, rstStream, settings, windowUpdate, type Field } from '../support/http2-frames.ts'
import { ask, bodyOf, http2Name, startHttp2, type Http2World } from '../support/http2-world.ts'
import * as fc from '../support/property.ts'

const streams = effort(300, 1_000)
const atOnce = 20

/** What is sent, by the number of the next stream. */
type Piece = (next: number) => Buffer

const numbers = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(1, 1, 1, 3, 3, 5, 0, 2) }, { weight: 1, arbitrary: fc.nat({ max: 0x7fffffff }) })
const bytes = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each))
const someFields = fc.array(fc.constantFrom<Field>(
  [':method', 'POST'], [':path', '/other'], [':scheme', 'http'], [':authority', 'evil.test'], [':protocol', 'websocket'], ['host', http2Name], ['host', 'evil.test'], ['X', '1'], ['x', ' a'], ['x', 'a\r\nb'], ['x', '\0'], ['a b', 'c'],
  ['content-length', '5'], ['content-length', '0'], ['transfer-encoding', 'chunked'], ['connection', 'close'], ['te', 'trailers'], ['expect', '100-continue'], ['cookie', 'a=1'], ['cookie', 'b=2'], ['__proto__', 'x'], ['x', 'y'.repeat(9_000)],
), { maxLength: 4 })
const request = fc.tuple(fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: someFields }), fc.constantFrom('/', '/echo', '/held', '/broken'), fc.boolean())
  .map(([more, path, end]): Piece => (next) => headers(next, requestFields(http2Name, path, 'GET', more), end))
const odd = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(numbers, bytes, fc.boolean()).map(([id, payload, end]) => data(id, payload, end)) },
  { weight: 1, arbitrary: fc.tuple(numbers, someFields).map(([id, fields]) => headers(id, fields)) },
  { weight: 1, arbitrary: fc.tuple(numbers, fc.boolean()).map(([id, end]) => continuation(id, fieldBlock([['x', 'y']]), end)) },
  { weight: 1, arbitrary: numbers.map((id) => frame('headers', flags.endStream, id, fieldBlock(requestFields(http2Name)))) },
  { weight: 1, arbitrary: fc.tuple(numbers, fc.nat({ max: 14 })).map(([id, code]) => rstStream(id, code)) },
  { weight: 1, arbitrary: fc.tuple(numbers, fc.nat({ max: 0x7fffffff })).map(([id, by]) => windowUpdate(id, by)) },
  { weight: 1, arbitrary: fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 0x7fffffff })).map(([id, value]) => settings({ [id]: value })) },
  { weight: 1, arbitrary: fc.constantFrom(ping(), settings(), frame('settings', flags.ack, 0), frame('ping', flags.ack, 0, Buffer.alloc(8)), frame('goaway', 0, 0, Buffer.alloc(8)), frame('goaway', 0, 0, Buffer.of(0, 0, 0, 1, 0, 0, 0, 2))) },
  { weight: 2, arbitrary: fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 255 }), numbers, bytes).map(([type, flag, id, payload]) => frame(type, flag, id, payload)) },
)
const piece = fc.oneof(
  { weight: 30, arbitrary: request },
  { weight: 20, arbitrary: odd.map((each): Piece => () => each) },
  { weight: 1, arbitrary: bytes.map((each): Piece => () => each) },
  { weight: 2, arbitrary: fc.tuple(request, fc.nat(), fc.nat({ max: 255 })).map(([whole, at, byte]): Piece => (next) => {
    const copy = Buffer.from(whole(next))
    copy[at % copy.length] = byte
    return copy
  }) },
)
const connection = fc.record({
  begins: fc.nat({ max: 9 }).map((each) => each > 0),
  pieces: fc.array(piece, { maxLength: 12 }),
  ending: fc.constantFrom('end', 'destroy', 'wait'),
})

async function door(arrival: PlainArrival): Promise<void> {
  const { request: { url }, response } = arrival
  if (url === '/held') return
  if (url === '/echo') {
    response.writeHead(200, '', [])
    response.flushHeaders()
    response.end(await bodyOf(arrival))
    return
  }
  response.writeHead(200, '', ['x-any', 'y'])
  response.write('some')
  if (url === '/broken') response.destroy()
  else response.end('more')
}

async function say(world: Http2World, { begins, pieces, ending }: { begins: boolean; pieces: readonly Piece[]; ending: string }): Promise<void> {
  const { socket, send, reader } = await (begins ? world.raw() : world.bare())
  if (!begins) send(preface.subarray(0, 10))
  for (const [at, each] of pieces.entries()) {
    if (reader.isClosed) break
    send(each(at * 2 + 1))
    await new Promise((resolve) => setImmediate(resolve))
  }
  // until all of it was read: an answer to a PING, or the end
  if (ending === 'wait') send(ping())
  if (ending === 'wait') await Promise.race([reader.next(({ type }) => type === 'ping' || type === 'goaway'), new Promise((resolve) => setTimeout(resolve, 20))])
  if (ending === 'end') socket.end()
  else socket.destroy()
  if (!socket.closed) await once(socket, 'close')
}

t.test(`${streams} connections of random frames leave the process up, and nothing open`, async (t) => {
  const world = await startHttp2(t, door, { headersTimeoutMs: 1_000 })
  const uncaught: unknown[] = []
  const note = (error: unknown): void => void uncaught.push(error)
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('uncaughtException', note).off('unhandledRejection', note))
  const all = fc.sample(connection, streams)
  for (let at = 0; at < all.length; at += atOnce) await Promise.all(all.slice(at, at + atOnce).map((each) => say(world, each)))
  while (world.leg.size > 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(uncaught, [])
  t.strictSame(world.faults, [])
  t.ok(world.arrivals.length > streams / 4, `${world.arrivals.length} requests reached the door`)
  for (const { request: { rawHeaders, url } } of world.arrivals) {
    if (rawHeaders.some((each) => /[\r\n\0]/.test(each)) || url?.startsWith('/') !== true) t.fail(`what is malformed reached the door: ${url}`)
  }
  t.equal((await ask(world.connect())).body.toString(), 'somemore')
})
