// WebSockets over plain HTTP: an action of its own, by absolute-form and inside CONNECT to port 80; nothing
// is relayed behind the handshake unless the origin agreed to it.
import { once } from 'node:events'
import t from 'tap'
import { plainLeg } from '../support/legs.ts'
import { startProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { checkUpgrades, handshake } from '../support/upgrade-checks.ts'

checkUpgrades(t, plainLeg)

t.test('a handshake inside CONNECT to port 80 is an exchange of its own', async (t) => {
  const proxy = await startProxy(t, {
    policy: '[network]\nunknown = "deny"\n[[network.rules]]\nid = "ws"\nhosts = ["ws.test", "get.test"]\nmethods = ["GET"]\nverdict = "allow"\n[[network.rules]]\nid = "up"\nhosts = ["ws.test"]\nupgrades = ["websocket"]\nverdict = "allow"\n',
    hosts: { 'ws.test': '127.0.0.1', 'get.test': '127.0.0.1' },
  })
  for (const [host, code] of [['ws.test', 'ip_denied'], ['get.test', '']] as const) {
    const { socket, head } = await openTunnel(proxy.port, `${host}:80`)
    t.match(head, /^HTTP\/1\.1 200/)
    let received = ''
    socket.on('data', (chunk) => (received += String(chunk)))
    socket.resume()
    socket.write(`GET /chat HTTP/1.1\r\nHost: ${host}\r\n${handshake}\r\n`)
    socket.once('end', () => socket.end())
    await once(socket, 'close')
    const decision = proxy.decisions().at(-1)
    if (code === '') t.match(decision?.attributes['sallyport.code'], /^(?:upgrade_not_allowed|request_not_allowed)$/, 'an allowed GET allows no upgrade')
    else t.equal(decision?.attributes['sallyport.code'], code, 'allowed, and refused for its address')
    t.match(received, /^HTTP\/1\.1 403 /)
  }
})
