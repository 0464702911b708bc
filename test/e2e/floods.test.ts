// What costs the proxy more than its sender: connections and requests that nobody will serve.
import net from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { startProxy } from '../support/proxy.ts'
const sleep = (ms: number) => new Promise((r) => setTimeout(r, ms))

t.test('a connection that was turned away is gone soon, whatever it sends', async (t) => {
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
  await sleep(8000)
  clearInterval(timer)
  const open = extra.filter((socket) => !socket.closed).length
  t.equal(open, 0, `${open} of 10 are still held open after 8 s, in no count`)
  for (const socket of [first, ...extra]) socket.destroy()
})
