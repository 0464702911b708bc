// Ways around cached-only reading that were tried: each costs no packet and brings no page. The name server and the
// origins count.
import http2 from 'node:http2'
import t from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { answerOf } from '../support/http2-world.ts'
import { insideRequest, openInside, secureTunnel } from '../support/inside.ts'
import { startWith } from '../support/issued-sessions.ts'
import { httpOrigin, tlsOrigin } from '../support/origins.ts'
import { openTunnel } from '../support/raw-client.ts'
import { readAnswers, say } from '../support/wire-client.ts'

const handshake = 'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: upgrade\r\n'

for (const mode of ['cached', 'disabled'] as const) {
  t.test(`a GET with content or an upgrade is no way to read live what a rule allows live and reading is ${mode}`, async (t) => {
    const certificates = await testCertificates()
    const secure = await tlsOrigin(t, ['site.test'], certificates, (_, response) => response.end('live'))
    const plain = await httpOrigin(t, (_, response) => response.end('live'))
    const [at, inside] = [`site.test:${plain.port}`, `site.test:${secure.port}`]
    const { proxy, sessions: [session] } = await startWith(t, [{ trustsCa: true }], {
      policy: `[web_fetch]\nmode = "${mode}"\ndomains = ["${at}", "${inside}"]\n[network]\nunknown = "deny"
[[network.rules]]\nid = "site"\nhosts = ["${at}", "${inside}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["roots.pem"]\nverdict = "allow"\n`,
      policies: { 'roots.pem': certificates.ca }, hosts: { 'site.test': '127.0.0.1' },
    })
    if (session === undefined) throw new Error('no session')
    const credentials = session.field
    for (const [method, fields, body, expected] of [
      ['GET', 'Content-Length: 1\r\nConnection: close\r\n', 'x', 'content_not_allowed'],
      ['GET', 'Transfer-Encoding: chunked\r\nConnection: close\r\n', '0\r\n\r\n', 'content_not_allowed'],
      ['GET', 'Transfer-Encoding: chunked\r\nConnection: close\r\n', '1\r\nx\r\n0\r\n\r\n', 'content_not_allowed'],
      ['GET', handshake, '', 'upgrade_not_allowed'],
    ] as const) {
      const [answer] = readAnswers(await say(proxy.port, `${method} http://${at}/ HTTP/1.1\r\nHost: ${at}\r\nProxy-Authorization: ${credentials}\r\n${fields}\r\n${body}`), [method])
      t.match(answer, { status: 403 }, fields)
      t.match(JSON.parse(answer?.body ?? ''), { code: expected }, fields)
    }
    const first = await openTunnel(proxy.port, inside, credentials)
    first.socket.destroy()
    const client = await openInside(t, proxy, inside, { credentials })
    client.send(insideRequest(inside, '/', { body: 'x' }))
    t.match(await client.next(), { status: 403, body: /content_not_allowed/ })
    const socket = await secureTunnel(t, proxy, inside, { protocols: ['h2'], credentials })
    const over = http2.connect(`https://${inside}`, { createConnection: () => socket })
    over.on('error', () => over.destroy())
    t.teardown(() => over.destroy())
    const stream = over.request({ ':path': '/' }, { endStream: false })
    stream.end()
    t.match(await answerOf(stream), { status: 403 }, 'a frame of no bytes is content too')
    t.equal(secure.connections() + plain.connections(), 0)
    // what is no reading goes where rules say
    const [posted] = readAnswers(await say(proxy.port, `POST http://${at}/ HTTP/1.1\r\nHost: ${at}\r\nProxy-Authorization: ${credentials}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx`), ['POST'])
    t.match(posted, { status: 200, body: 'live' })
  })
}
