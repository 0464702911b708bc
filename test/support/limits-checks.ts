// What one client may cost, on one leg: fields, URLs and time are bounded, and who is slow is cut without harm to the others.
import type { Test } from 'tap'
import type { Leg } from './legs.ts'
import { readAnswers } from './wire-client.ts'

export function checkLimits(t: Test, leg: Leg): void {
  t.test(`${leg.name}: fields and URLs beyond the limits are refused, and those at them pass`, async (t) => {
    const { origin, host, say, request } = await leg.start(t)
    const fields = (count: number): string => Array.from({ length: count }, (_, at) => `X-${at}: y\r\n`).join('')
    const status = async (bytes: string): Promise<number | undefined> => readAnswers(await say(bytes))[0]?.status
    t.equal(await status(request('/', `Connection: close\r\n${fields(198)}`)), 200, '200 fields')
    t.equal(await status(request('/', `Connection: close\r\n${fields(199)}`)), 431, '201 fields')
    t.equal(await status(request('/', fields(3000))), 431, '3,001 fields')
    t.equal(await status(request('/', `X-A: ${'a'.repeat(17 * 1024)}\r\n`)), 431, 'a field of 17 KiB')
    t.equal(await status(request(`/${'a'.repeat(9 * 1024)}`)), 414, 'a URL of 9 KiB')
    t.ok([414, 431].includes((await status(request(`/${'a'.repeat(40 * 1024)}`))) ?? 0), 'a URL of 40 KiB')
    t.equal(await status(request(`/${'a'.repeat(8000)}`, 'Connection: close\r\n')), 200, 'a URL of 8,000 bytes')
    t.equal(await status(`CONNECT ${'a'.repeat(9 * 1024)}:443 HTTP/1.1\r\nHost: x\r\n\r\n`), 414)
    t.equal(await status(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${fields(200)}\r\n`), 431)
    t.equal(origin.requests.length, 2)
  })

  t.test(`${leg.name}: clients that are slow with a head or a body are cut, and the others do not notice`, async (t) => {
    const { origin, host, root, open, say, request } = await leg.start(t, {
      change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500, requestTimeoutMs: 500, helloTimeoutMs: 500, keepAliveTimeoutMs: 500 } }),
    })
    const slow = ['', 'GET', `GET ${root}/ HTTP/1.1\r\nHost: ${host}\r\nX-A: `, request('/slow', 'Content-Length: 1000\r\n', 'POST', 'ten bytes.'), request('/slow', 'Transfer-Encoding: chunked\r\n', 'POST', '5\r\nhel')]
    const clients = await Promise.all(Array.from({ length: 200 }, async (_, at) => {
      const client = await open()
      client.send(slow[at % slow.length] ?? '')
      return client
    }))
    for (let at = 0; at < 20; at++) t.match(await say(request('/healthy', 'Connection: close\r\n')), /^HTTP\/1\.1 200 /)
    await Promise.all(clients.map((client) => client.closed()))
    t.equal(origin.requests.filter(({ target }) => target === '/slow').length, 0, 'no half body became a request')
    t.ok(clients.some(({ received }) => received.startsWith('HTTP/1.1 408 ')), 'those whose head was begun hear why')
  })

  t.test(`${leg.name}: a client that keeps sending, however slowly, is not cut within a body`, async (t) => {
    const { open, request } = await leg.start(t, { change: (settings) => ({ ...settings, limits: { ...settings.limits, requestTimeoutMs: 2500, headersTimeoutMs: 1000 } }) })
    const client = await open()
    client.send(request('/', 'Connection: close\r\nContent-Length: 12\r\n', 'POST'))
    for (let sent = 0; sent < 12; sent++) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      client.send('x')
    }
    t.match(await client.closed(), /^HTTP\/1\.1 200 /)
  })
}
