// What changes between the decision and the first byte: a deny that is in force must stop it.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { WireClient } from '../support/wire-client.ts'
import { helloFor } from './hello.ts'

const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))
async function loaded(proxy: TestProxy, count: number): Promise<void> {
  while (proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length < count) await sleep(20)
  await sleep(100)
}

t.test('a hello behind a CONNECT whose host was denied in the meantime does not reach the origin', async (t) => {
  let bytes = 0
  const origin = await rawOrigin(t, (socket) => socket.on('data', (chunk) => (bytes += chunk.length)))
  const proxy = await startPlain(t, origin.port)
  const { socket } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
  socket.on('error', () => socket.destroy()).resume()
  writeFileSync(proxy.policyFile, plainPolicy(origin.port, '').replace('"denied.test"', '"denied.test", "allowed.test"'))
  await loaded(proxy, 2)
  socket.write(await helloFor('allowed.test'))
  await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  await sleep(100)
  t.equal(bytes, 0, 'not a byte after the deny')
})

t.test('a WebSocket handshake that waits for its origin is cut by a deny, and no frame passes', async (t) => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ=='
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  let behind = ''
  let answerNow = (): void => {}
  const origin = await rawOrigin(t, (socket) => {
    let seen = ''
    socket.on('data', (c) => { seen += c.toString('latin1'); behind = seen.slice(seen.indexOf('\r\n\r\n') + 4) })
    answerNow = () => socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  })
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/', `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`) + 'SECRET-FRAME')
  while (origin.connections() === 0) await sleep(10)
  await sleep(50)
  writeFileSync(proxy.policyFile, plainPolicy(origin.port, '').replace('"denied.test"', '"denied.test", "allowed.test"'))
  await loaded(proxy, 2)
  await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended')
  answerNow()
  await sleep(200)
  t.equal(behind, '', 'no frame after the deny')
})

t.test('a streaming plain answer is closed when its address is denied', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'))
  })
  const proxy = await startPlain(t, origin.port)
  const stream = await WireClient.open(proxy.port)
  stream.send(request(origin.port, '/'))
  await stream.until((received) => received.includes('hello'))
  writeFileSync(proxy.policyFile, plainPolicy(origin.port, '').replace('"denied.test"', '"denied.test", "127.0.0.1"'))
  await loaded(proxy, 2)
  t.match(await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended'), { attributes: { 'sallyport.code': 'policy_changed' } })
  stream.socket.destroy()
})

t.test('a raw tunnel to that address is closed by the same change', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.on('data', () => socket.write('x')))
  const rules = (denied: string) => `[network]\ndenied_domains = ["${denied}"]\n[[network.rules]]\nid = "raw"\nhosts = ["a.test:${origin.port}"]\nlocal = ["127.0.0.1/32"]\nraw = "any"\nverdict = "allow"\n`
  const proxy = await startProxy(t, { policy: rules('denied.test'), hosts: { 'a.test': '127.0.0.1' } })
  const a = await openTunnel(proxy.port, `a.test:${origin.port}`)
  a.socket.on('error', () => a.socket.destroy()).resume()
  a.socket.write('x')
  await once(a.socket, 'data')
  writeFileSync(proxy.policyFile, rules('127.0.0.1'))
  await loaded(proxy, 2)
  t.match(await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended'), { attributes: { 'sallyport.code': 'policy_changed' } })
  a.socket.destroy()
})
