// What costs the proxy more than its sender: connections and requests that nobody will serve.
import net from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { startProxy } from '../support/proxy.ts'
const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))

t.test('a connection that was turned away is gone soon, whatever it sends', { timeout: 40_000 }, async (t) => {
  const proxy = await startProxy(t, { change: (s) => ({ ...s, limits: { ...s.limits, connections: 1 } }) })
  const first = net.connect(proxy.port, '127.0.0.1')
  await once(first, 'connect')
  await sleep(100)
  const extra = Array.from({ length: 10 }, () => {
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {}).resume()
    return socket
  })
  const timer = setInterval(() => { for (const socket of extra) if (!socket.destroyed) socket.write('x') }, 500)
  // a connection that is held open keeps this waiting until the test's time is over
  await Promise.all(extra.filter((socket) => !socket.closed).map((socket) => new Promise((resolve) => { socket.once('close', resolve) })))
  clearInterval(timer)
  t.ok(extra.every((socket) => socket.closed))
  for (const socket of [first, ...extra]) socket.destroy()
})
