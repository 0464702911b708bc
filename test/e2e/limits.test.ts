// What one client may cost: fields, URLs, connections and time are bounded, and who is slow is cut without
// harm to the others.
import { once } from 'node:events'
import net from 'node:net'
import t from 'tap'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { readAnswers, say, WireClient } from '../support/wire-client.ts'

t.test('fields and URLs beyond the limits are refused, and those at them pass', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const fields = (count: number): string => Array.from({ length: count }, (_, at) => `X-${at}: y\r\n`).join('')
  const status = async (bytes: string): Promise<number | undefined> => readAnswers(await say(proxy.port, bytes))[0]?.status
  t.equal(await status(request(origin.port, '/', `Connection: close\r\n${fields(198)}`)), 200, '200 fields')
  t.equal(await status(request(origin.port, '/', `Connection: close\r\n${fields(199)}`)), 431, '201 fields')
  t.equal(await status(request(origin.port, '/', fields(3000))), 431, '3,001 fields')
  t.equal(await status(request(origin.port, '/', `X-A: ${'a'.repeat(17 * 1024)}\r\n`)), 431, 'a field of 17 KiB')
  t.equal(await status(request(origin.port, `/${'a'.repeat(9 * 1024)}`)), 414, 'a URL of 9 KiB')
  t.ok([414, 431].includes((await status(request(origin.port, `/${'a'.repeat(40 * 1024)}`))) ?? 0), 'a URL of 40 KiB')
  t.equal(await status(request(origin.port, `/${'a'.repeat(8000)}`, 'Connection: close\r\n')), 200, 'a URL of 8,000 bytes')
  t.equal(await status(`CONNECT ${'a'.repeat(9 * 1024)}:443 HTTP/1.1\r\nHost: x\r\n\r\n`), 414)
  t.equal(await status(`CONNECT allowed.test:${origin.port} HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\n${fields(200)}\r\n`), 431)
  t.equal(origin.requests.length, 2)
})

t.test('clients that are slow with a head, a body or a hello are cut, and the others do not notice', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, {
    policy: plainPolicy(origin.port), hosts: plainHosts,
    change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 500, keepAliveTimeoutMs: 500 } }),
  })
  const slow = ['', 'GET', `GET http://allowed.test:${origin.port}/ HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\nX-A: `, request(origin.port, '/slow', 'Content-Length: 1000\r\n', 'POST', 'ten bytes.'), request(origin.port, '/slow', 'Transfer-Encoding: chunked\r\n', 'POST', '5\r\nhel')]
  const clients = await Promise.all(Array.from({ length: 200 }, async (_, at) => {
    const client = await WireClient.open(proxy.port)
    client.send(slow[at % slow.length] ?? '')
    return client
  }))
  const tunnels = await Promise.all(Array.from({ length: 40 }, async (_, at) => {
    const { socket } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
    socket.on('error', () => socket.destroy()).on('end', () => socket.end())
    socket.resume()
    if (at % 2 === 0) socket.write(hello(serverNames({ name: 'allowed.test' })).subarray(0, 20))
    return socket
  }))
  for (let at = 0; at < 20; at++) t.match(await say(proxy.port, request(origin.port, '/healthy', 'Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  await Promise.all(clients.map((client) => client.closed()))
  await Promise.all(tunnels.filter((socket) => !socket.closed).map((socket) => once(socket, 'close')))
  t.equal(origin.requests.filter(({ target }) => target === '/slow').length, 0, 'no half body became a request')
  t.ok(clients.some(({ received }) => received.startsWith('HTTP/1.1 408 ')), 'those whose head was begun hear why')
  t.equal(proxy.decisions().filter((record) => record.attributes['sallyport.code'] === 'hello_timeout').length, 40)
})

t.test('a client that keeps sending, however slowly, is not cut within a body', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startProxy(t, { policy: plainPolicy(origin.port), hosts: plainHosts, change: (settings) => ({ ...settings, limits: { ...settings.limits, requestTimeoutMs: 2500, headersTimeoutMs: 1000 } }) })
  const client = await WireClient.open(proxy.port)
  client.send(request(origin.port, '/', 'Connection: close\r\nContent-Length: 12\r\n', 'POST'))
  for (let sent = 0; sent < 12; sent++) {
    await new Promise((resolve) => setTimeout(resolve, 300))
    client.send('x')
  }
  t.match(await client.closed(), /^HTTP\/1\.1 200 /)
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
