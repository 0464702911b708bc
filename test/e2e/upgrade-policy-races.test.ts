// A stream that an origin answers to a WebSocket handshake with is a stream like any other.
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { rawOrigin } from '../support/origins.ts'
import { plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { WireClient } from '../support/wire-client.ts'

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
  t.match(await proxy.recorded(({ name }) => name === 'sallyport.exchange.ended'), { name: 'sallyport.exchange.ended' })
  clearInterval(timer)
  client.socket.destroy()
})
