// What one client may cost: fields, URLs, connections and time are bounded, and who is slow is cut without
// harm to the others.
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { plainLeg } from '../support/legs.ts'
import { checkLimits } from '../support/limits-checks.ts'
import { plainHosts, plainPolicy, request } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

checkLimits(t, plainLeg)

t.test('clients that are slow with a hello are cut, and the others do not notice', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, {
    policy: plainPolicy(origin.port), hosts: plainHosts,
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 500, keepAliveTimeoutMs: 500 } }),
  })
  const tunnels = await Promise.all(Array.from({ length: 40 }, async (_, at) => {
    const { socket } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
    socket.on('error', () => socket.destroy()).on('end', () => socket.end())
    socket.resume()
    if (at % 2 === 0) socket.write(hello(serverNames({ name: 'allowed.test' })).subarray(0, 20))
    return socket
  }))
  for (let at = 0; at < 20; at++) t.match(await say(proxy.port, request(origin.port, '/healthy', 'Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  await Promise.all(tunnels.filter((socket) => !socket.closed).map((socket) => once(socket, 'close')))
  t.equal(proxy.decisions().filter((record) => record.attributes['sallyport.code'] === 'hello_timeout').length, 40)
})

t.test('connections beyond the limits are told so and closed, and those before them go on', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, change: (settings) => ({ ...settings, limits: { ...settings.limits, connections: 10, connectionsPerClient: 6 } }) })
  const clients = await Promise.all(Array.from({ length: 6 }, () => WireClient.open(proxy.port)))
  for (const client of clients) {
    client.send(request(origin.port, '/'))
    t.equal((await client.answers(1))[0]?.status, 200)
  }
  const one = await WireClient.open(proxy.port)
  const refused = await one.closed()
  t.match(refused, /^HTTP\/1\.1 503 [^]*"code":"too_many_connections"/)
  const eager = await WireClient.open(proxy.port)
  eager.send(request(origin.port, '/eager'))
  t.equal(readAnswers(await eager.closed()).filter(({ status }) => status !== 503).length, 0)
  // another address has a share of its own, up to the limit for all
  const others = await Promise.all(Array.from({ length: 5 }, async () => {
    const socket = net.connect({ host: '127.0.0.1', port: proxy.port, localAddress: '127.0.0.5' })
    socket.on('error', () => socket.destroy())
    let received = ''
    socket.on('data', (chunk) => (received += String(chunk)))
    await once(socket, 'connect')
    socket.write(request(origin.port, '/'))
    await new Promise((resolve) => {
      socket.once('data', resolve)
      socket.once('close', resolve)
    })
    return { socket, received: () => received }
  }))
  t.equal(others.filter(({ received }) => received().startsWith('HTTP/1.1 200')).length, 4)
  const [first] = clients
  first?.socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const next = await WireClient.open(proxy.port)
  next.send(request(origin.port, '/'))
  t.equal((await next.answers(1))[0]?.status, 200, 'a connection that closed makes room')
  for (const client of [...clients, next]) client.socket.destroy()
  for (const { socket } of others) socket.destroy()
  t.equal(origin.requests.some(({ target }) => target === '/eager'), false)
})

t.test('new names below one wildcard are budgeted by the minute, before any of them is resolved', async (t) => {
  const proxy = await startProxy(t, { policy: '[network]\nallowed_domains = ["*.exfil.test"]\n', hosts: {}, change: (settings) => ({ ...settings, limits: { ...settings.limits, newNamesPerMinute: 5 } }) })
  const codes: string[] = []
  for (let at = 0; at < 8; at++) codes.push(/"code":"([a-z_]+)"/.exec(await say(proxy.port, `CONNECT n${at}.exfil.test:443 HTTP/1.1\r\nHost: n${at}.exfil.test:443\r\n\r\n`))?.[1] ?? '')
  t.strictSame(codes.slice(5), ['name_budget_exceeded', 'name_budget_exceeded', 'name_budget_exceeded'])
  t.notOk(codes.slice(0, 5).includes('name_budget_exceeded'))
  t.match(await say(proxy.port, 'CONNECT n1.exfil.test:443 HTTP/1.1\r\nHost: n1.exfil.test:443\r\n\r\n'), /"code":"dns_/, 'a name that was asked for before is no new one')
})
