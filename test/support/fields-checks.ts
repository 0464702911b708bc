// Which header fields cross the proxy, on one leg: what belongs to one hop stays on it, what identifies the target is
// ours, credentials for the proxy go nowhere, and nothing of the client's address is added.
import type { Test } from 'tap'
import type { Leg } from './legs.ts'
import { fieldOf, ok } from './strict-origin.ts'
import { readAnswers } from './wire-client.ts'

export function checkFields(t: Test, leg: Leg): void {
  t.test(`${leg.name}: hop-by-hop fields stop at the proxy, everything else passes with its case, order and repetition`, async (t) => {
    const { origin, say, request } = await leg.start(t)
    const hop = [
      'Connection: close, X-Named, x-also', 'X-Named: secret', 'X-ALSO: secret', 'Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: trailers, gzip;q=0.5',
      'Trailer: X-T', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__', 'Proxy-Authenticate: Basic', 'Proxy-Authentication-Info: x',
    ]
    const end = ['X-First: 1', 'accept: */*', 'X-Repeat: a', 'X-Repeat: b', 'Cookie: a=b', 'Authorization: Bearer t', 'X-Forwarded-For: 10.9.9.9', 'Forwarded: for=10.9.9.9', 'X-Empty:']
    const [answer] = readAnswers(await say(request('/', `${[...hop, ...end].join('\r\n')}\r\n`)))
    t.equal(answer?.status, 200)
    t.strictSame(origin.complaints, [])
    const fields = origin.requests[0]?.fields.map(([name, value]) => `${name}:${value === '' ? '' : ` ${value}`}`) ?? []
    t.strictSame(fields.filter((line) => end.includes(line)), end)
    t.strictSame(fields.filter((line) => !end.includes(line)).map((line) => line.toLowerCase().replace(/:.*/, '')).toSorted(), ['connection', 'host', 'via'])
    t.match(fieldOf(origin.requests[0], 'via'), /^1\.1 sallyport-[0-9a-f]{12}$/)
    t.notMatch(origin.received(), /secret|127\.0\.0\.1/)
  })

  t.test(`${leg.name}: an upgrade to anything but a WebSocket is left out on the way`, async (t) => {
    const { origin, say, request } = await leg.start(t)
    for (const upgrade of ['h2c', 'TLS/1.0', 'TLS/1.2, HTTP/1.1', 'foo', 'websocket, h2c', 'IRC/6.9']) {
      const [answer] = readAnswers(await say(request('/', `Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`)))
      t.equal(answer?.status, 200, upgrade)
    }
    t.strictSame(origin.complaints, [])
    t.notOk(origin.requests.some((each) => fieldOf(each, 'upgrade') !== undefined || fieldOf(each, 'http2-settings') !== undefined))
  })

  t.test(`${leg.name}: a Connection field cannot strip what frames, routes or identifies`, async (t) => {
    const { origin, host, say, request } = await leg.start(t)
    const named = ['content-length', 'transfer-encoding', 'host', 'authorization', 'cookie', 'Host', 'CONTENT-LENGTH', 'via', 'close, host', 'keep-alive,content-length', 'a b', 'x\xe9', '"host"', 'expect']
    for (const option of named) {
      for (const field of ['Connection', 'Proxy-Connection']) {
        const received = await say(request('/', `${field}: ${option}\r\nAuthorization: Bearer t\r\nContent-Length: 5\r\n`, 'POST', 'hello'))
        t.match(received, /^HTTP\/1\.1 400 /, `${field}: ${option}`)
      }
      t.match(await say(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nConnection: ${option}\r\n\r\n`), /^HTTP\/1\.1 400 /, `CONNECT with Connection: ${option}`)
    }
    t.equal(origin.connections(), 0)
  })

  t.test(`${leg.name}: proxy credentials that were never issued are 407, and go neither upstream nor into the journal`, async (t) => {
    const { proxy, origin, host, say, request } = await leg.start(t)
    const secret = Buffer.from('session:hunter2hunter2').toString('base64')
    for (const value of [`Basic ${secret}`, 'Bearer hunter2hunter2', 'Basic !!!', '']) {
      const given = [request('/', `Proxy-Authorization: ${value}\r\n`)]
      // a CONNECT inside TLS is no method at all
      if (leg.name === 'plain') given.push(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: ${value}\r\n\r\n`)
      const answers = (await Promise.all(given.map((bytes) => say(bytes)))).flatMap((received) => readAnswers(received))
      t.strictSame(answers.map(({ status }) => status), given.map(() => 407), value)
      t.ok(answers.every(({ fields, body }) => fields.has('proxy-authenticate') && body === ''), 'without a hint')
    }
    t.equal(origin.connections(), 0)
    t.notMatch(JSON.stringify(proxy.records()), new RegExp(`hunter2|${secret}`))
  })

  t.test(`${leg.name}: a request that has been here before is refused`, async (t) => {
    const { origin, say, request } = await leg.start(t)
    t.match(await say(request('/', 'Connection: close\r\nVia: 1.0 fred, 1.1 sallyport-000000000000\r\n')), /^HTTP\/1\.1 200 /)
    const via = fieldOf(origin.requests[0], 'via')
    t.equal(via, '1.0 fred, 1.1 sallyport-000000000000', 'the hops before us stay')
    const own = origin.requests[0]?.fields.filter(([name]) => name.toLowerCase() === 'via').at(-1)?.[1] ?? ''
    t.match(await say(request('/', `Via: 1.0 fred, ${own}\r\n`)), /^HTTP\/1\.1 508 /)
    t.match(await say(request('/', `Via: ${own.toUpperCase().replace('1.1 ', '1.1 ')} (comment)\r\n`)), /^HTTP\/1\.1 508 /)
    t.equal(origin.requests.length, 1)
  })

  t.test(`${leg.name}: Max-Forwards counts down, and at 0 the proxy answers itself`, async (t) => {
    const { origin, say, request } = await leg.start(t)
    await say(request('/', 'Connection: close\r\nMax-Forwards: 3\r\n', 'OPTIONS'))
    t.equal(fieldOf(origin.requests[0], 'max-forwards'), '2')
    t.match(await say(request('/', 'Connection: close\r\nMax-Forwards: 0\r\n', 'OPTIONS')), /^HTTP\/1\.1 204 /)
    t.match(await say(request('/', 'Connection: close\r\nMax-Forwards: -1\r\n', 'OPTIONS')), /^HTTP\/1\.1 400 /)
    t.equal(origin.requests.length, 1)
  })

  t.test(`${leg.name}: of an answer, too, only what is meant for the client passes`, async (t) => {
    const { say, request } = await leg.start(t, { answer: () => ok('hi', 'Connection: X-Hop\r\nX-Hop: secret\r\nKeep-Alive: timeout=900\r\nProxy-Authenticate: Basic realm="phish"\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: yes\r\n') })
    const received = await say(request('/', 'Connection: close\r\n'))
    const [answer] = readAnswers(received)
    t.notMatch(received, /secret|phish|timeout=900|h2c|Proxy-/i)
    t.equal(answer?.fields.get('set-cookie'), 'a=1, b=2')
    t.equal(answer?.fields.get('x-own'), 'yes')
    t.equal(answer?.body, 'hi')
  })

  t.test(`${leg.name}: 100-continue is answered once the request is allowed, and a denied one sends no body`, async (t) => {
    const { origin, open, say, request, denied } = await leg.start(t)
    const allowed = await open()
    allowed.send(request('/', 'Connection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n', 'POST'))
    await allowed.until((received) => received.includes('\r\n\r\n'))
    t.match(allowed.received, /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    allowed.send('hello')
    t.equal((await allowed.answers(1))[0]?.status, 200)
    t.equal(origin.requests[0]?.body, 'hello')
    // who owes a body is left open for a while, for it to arrive
    for (const [bytes, status] of [[denied('Expect: 100-continue\r\nContent-Length: 5\r\n', 'POST'), 403], [request('/', 'Expect: tea\r\nContent-Length: 5\r\n', 'POST'), 417]] as const) {
      const client = await open()
      client.send(bytes)
      await client.answers(1)
      t.strictSame(readAnswers(client.received).map((each) => each.status), [status])
      client.socket.destroy()
    }
    t.match(await say(request('/', 'Connection: close\r\nExpect: 100-continue\r\n', 'GET').replace('HTTP/1.1', 'HTTP/1.0')), /^HTTP\/1\.1 200 /)
    t.strictSame(origin.complaints, [])
  })
}
