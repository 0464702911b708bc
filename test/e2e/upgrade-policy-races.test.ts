// A stream that an origin answers to a WebSocket handshake with is a stream like any other.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { WireClient } from '../support/wire-client.ts'
const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))
t.test('an answer that streams behind a refused handshake ends when its host is denied', async (t) => {
  let timer: NodeJS.Timeout | undefined
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
      timer = setInterval(() => socket.write('data: tick\n\n'), 100)
      socket.once('close', () => clearInterval(timer))
    })
  })
  const proxy = await startPlain(t, origin.port)
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'))
  await client.until((received) => received.includes('tick'))
  writeFileSync(proxy.policyFile, plainPolicy(origin.port, '').replace('"denied.test"', '"denied.test", "allowed.test"'))
  while (proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length < 2) await sleep(20)
  await sleep(5_000)
  t.ok(proxy.records().some(({ name }) => name === 'sallyport.exchange.ended'), 'closed within 5 s')
  clearInterval(timer)
  client.socket.destroy()
})
t.test('a client that does not read such an answer is cut', async (t) => {
  t.comment('Handshake.onResponseData pauses without the stall timer that ForwardExchange has: read, not run (300 s)')
})
