import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { InspectionBudget } from '../../src/ingress/inspection-budget.ts'
import { decodeContent, spoolBody, type SpoolLimits, type Spooled } from '../../src/ingress/spooled-body.ts'
import * as fc from '../support/property.ts'

const free: SpoolLimits = { maxBytes: 1024 * 1024, take: () => true }

/** A server that spools each request, and then answers with what its reader gets. */
async function spooling(t: Test, limits: SpoolLimits): Promise<{ readonly port: number; readonly spooled: Spooled[] }> {
  const spooled: Spooled[] = []
  const server = http.createServer((request, response) => {
    void spoolBody(request, limits).then((how) => {
      spooled.push(how)
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => response.end(Buffer.concat(chunks)))
      request.resume()
      // it was read to its end before
      if (request.readableEnded) response.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, spooled }
}

async function echo(port: number, chunks: readonly Uint8Array[]): Promise<Buffer> {
  const request = http.request({ port, host: '127.0.0.1', method: 'POST', agent: false })
  for (const chunk of chunks) request.write(chunk)
  request.end()
  const [response]: http.IncomingMessage[] = await once(request, 'response')
  const got: Buffer[] = []
  for await (const chunk of response ?? []) got.push(Buffer.from(chunk))
  return Buffer.concat(got)
}

t.test('what was read is put back, byte for byte, in whatever pieces it came', async (t) => {
  const { port, spooled } = await spooling(t, free)
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), { maxLength: 5 }), async (chunks) => {
    const whole = Buffer.concat(chunks)
    t.ok((await echo(port, chunks)).equals(whole))
    const last = spooled.at(-1)
    t.ok(last?.kind === 'whole' && last.bytes.equals(whole))
  }), { numRuns: 40 })
})

t.test('more than the limit, or than there is room for, is put back as far as it came', async (t) => {
  const body = randomBytes(700_000)
  const small = await spooling(t, { maxBytes: 100_000, take: () => true })
  t.ok((await echo(small.port, [body])).equals(body))
  t.same(small.spooled, [{ kind: 'too_large' }])
  const budget = new InspectionBudget(300_000)
  const full = await spooling(t, { maxBytes: 1_000_000, take: (bytes) => budget.take(bytes) })
  t.ok((await echo(full.port, [body])).equals(body))
  t.same(full.spooled, [{ kind: 'no_room' }])
  t.ok(budget.taken <= 300_000)
})

t.test('a client that leaves within its body is told from one whose body is whole', async (t) => {
  const { port, spooled } = await spooling(t, free)
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123')
  await new Promise((resolve) => socket.write('4', resolve))
  socket.destroy()
  while (spooled.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.same(spooled, [{ kind: 'left' }])
})

t.test('a budget gives back what was taken, and never more', async (t) => {
  const budget = new InspectionBudget(10)
  t.ok(budget.take(6))
  t.notOk(budget.take(5))
  t.equal(budget.taken, 6)
  budget.give(6)
  t.ok(budget.take(10))
  budget.give(20)
  t.equal(budget.taken, 0)
})

const compressors = { gzip: zlib.gzipSync, 'x-gzip': zlib.gzipSync, deflate: zlib.deflateSync, br: zlib.brotliCompressSync, zstd: zlib.zstdCompressSync }

t.test('each coding is taken off, if it ends where the content ends', async (t) => {
  const plain = Buffer.from(JSON.stringify({ a: 'b'.repeat(1_000) }))
  for (const [coding, compress] of Object.entries(compressors)) {
    const coded = compress(plain)
    t.same(await decodeContent(coded, coding.toUpperCase(), 10_000), { bytes: plain }, coding)
    t.same(await decodeContent(coded, coding, 999), { wrong: 'too_large' }, `${coding}, too large`)
    t.same(await decodeContent(coded.subarray(0, -1), coding, 10_000), { wrong: 'broken' }, `${coding}, cut off`)
    t.same(await decodeContent(Buffer.concat([coded, Buffer.from('{}')]), coding, 10_000), { wrong: 'broken' }, `${coding}, with bytes behind it`)
    t.same(await decodeContent(plain, coding, 10_000), { wrong: 'broken' }, `${coding}, of what is none`)
  }
  for (const coding of [undefined, '', 'identity', ' Identity ']) t.same(await decodeContent(plain, coding, 10), { bytes: plain })
  for (const coding of ['compress', 'gzip, gzip', 'identity, gzip', 'gzip,', 'aes128gcm']) t.same(await decodeContent(plain, coding, 10), { wrong: 'coding' }, coding)
})

t.test('what grows by more than 100 times is too large, small texts aside', async (t) => {
  const zeros = (bytes: number): Buffer => zlib.gzipSync(Buffer.alloc(bytes))
  t.same(await decodeContent(zeros(900_000), 'gzip', 1e9), { bytes: Buffer.alloc(900_000) })
  t.same(await decodeContent(zeros(20_000_000), 'gzip', 1e9), { wrong: 'too_large' })
})
