// How connections end: a half-close is passed on, a reset tears down the other side, and the end event
// counts what went through.
import { once } from 'node:events'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { request, startPlain } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { WireClient } from '../support/wire-client.ts'
import type { Socket } from 'node:net'

const rawRule = (port: number): string => `[network]\n[[network.rules]]\nid = "any"\nhosts = ["any.test:${port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`

t.test('a client that ends its side of a tunnel still gets the whole answer', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    let asked = ''
    socket.on('data', (chunk) => (asked += String(chunk)))
    socket.on('end', () => socket.end(`${asked.length} bytes, `.padEnd(2_000_000, 'x')))
  })
  const proxy = await startProxy(t, { policy: rawRule(origin.port), hosts: { 'any.test': '127.0.0.1' } })
  const { socket } = await openTunnel(proxy.port, `any.test:${origin.port}`)
  let got = 0
  socket.on('data', (chunk: Buffer) => (got += chunk.length))
  socket.resume()
  socket.end(Buffer.alloc(1_000_000, 'q'))
  await once(socket, 'close')
  t.equal(got, 2_000_000)
  const ended = await proxy.recorded((record) => record.name === 'sallyport.exchange.ended')
  t.match(ended.attributes, { 'sallyport.outcome': 'completed', 'sallyport.bytes_from_client': 1_000_000, 'sallyport.bytes_from_origin': 2_000_000 })
})

t.test('an origin that ends its side of a tunnel still gets what the client sends', async (t) => {
  let got = 0
  const finished = Promise.withResolvers<void>()
  const origin = await rawOrigin(t, (socket) => {
    socket.end('that is all\n')
    socket.on('data', (chunk) => (got += chunk.length))
    socket.on('end', finished.resolve)
  })
  const proxy = await startProxy(t, { policy: rawRule(origin.port), hosts: { 'any.test': '127.0.0.1' } })
  const { socket } = await openTunnel(proxy.port, `any.test:${origin.port}`)
  socket.resume()
  await once(socket, 'end')
  socket.end(Buffer.alloc(1_000_000))
  await finished.promise
  t.equal(got, 1_000_000)
})

t.test('a reset on one side of a tunnel resets the other, with an end event that counts', async (t) => {
  const accepted: Socket[] = []
  const origin = await rawOrigin(t, (socket) => {
    accepted.push(socket)
    socket.on('data', () => socket.write('0123456789'))
  })
  const proxy = await startProxy(t, { policy: rawRule(origin.port), hosts: { 'any.test': '127.0.0.1' } })
  for (const side of ['client', 'origin']) {
    const { socket } = await openTunnel(proxy.port, `any.test:${origin.port}`)
    socket.on('error', () => socket.destroy())
    socket.write('01234')
    socket.resume()
    await once(socket, 'data')
    const far = accepted.at(-1)
    const [closes, resets] = side === 'client' ? [far, socket] : [socket, far]
    const closed = new Promise((resolve) => closes?.once('close', resolve))
    resets?.resetAndDestroy()
    await closed
    const ends = (): number => proxy.records().filter((record) => record.name === 'sallyport.exchange.ended').length
    await proxy.recorded(() => ends() === (side === 'client' ? 1 : 2))
    t.match(proxy.records().findLast((record) => record.name === 'sallyport.exchange.ended')?.attributes, { 'sallyport.bytes_from_client': 5, 'sallyport.bytes_from_origin': 10 }, side)
  }
})

t.test('a client that leaves within a body breaks the origin request, and one that waits hears of a broken answer', async (t) => {
  const seen: Socket[] = []
  const arrived: (() => void)[] = []
  const origin = await rawOrigin(t, (socket) => {
    seen.push(socket)
    socket.on('end', () => socket.end())
    socket.once('data', (chunk) => {
      if (String(chunk).includes('/down')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf')
      for (const resolve of arrived.splice(0)) resolve()
    })
  })
  const proxy = await startPlain(t, origin.port)
  const up = await WireClient.open(proxy.port)
  const started = new Promise<void>((resolve) => arrived.push(resolve))
  up.send(request(origin.port, '/up', 'Content-Length: 1000\r\n', 'POST', 'half'))
  await started
  const broken = new Promise((resolve) => seen[0]?.once('close', resolve))
  up.socket.resetAndDestroy()
  await broken
  const down = await WireClient.open(proxy.port)
  down.send(request(origin.port, '/down'))
  await down.until((received) => received.endsWith('half'))
  seen[1]?.resetAndDestroy()
  t.ok((await down.closed()).endsWith('half'), 'the connection is cut, not completed')
  const endOf = (at: number) => proxy.recorded((record) => record.name === 'sallyport.exchange.ended' && record.attributes['sallyport.request.id'] === proxy.decisions()[at]?.attributes['sallyport.request.id'])
  const ended = await endOf(1)
  t.match(ended.attributes, { 'sallyport.outcome': 'failed', 'sallyport.code': 'origin_incomplete', 'sallyport.bytes_from_origin': 4 })
  const left = await endOf(0)
  t.match(left.attributes, { 'sallyport.outcome': 'failed', 'sallyport.bytes_from_client': 4 })
})
