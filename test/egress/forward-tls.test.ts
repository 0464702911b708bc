import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type net from 'node:net'
import t, { type Test } from 'tap'
import type { Credentials } from '../../src/egress/field-changes.ts'
import type { ForwardPlan } from '../../src/egress/forward.ts'
import type { FieldChange } from '../../src/policy/decision.ts'
import { httpsTo, tlsPlace, trusted, type Https } from './tls-origin.ts'
import { connectTo, exchange, listen, proxyTo, readAll, readUntil, type ProxyFixture } from './wire.ts'

const place = await tlsPlace()
const { cert, key } = await place.certificates.issue(['origin.test'])
const get = (more = '', method = 'GET') => `${method} http://origin.test/a?b=%2f HTTP/1.1\r\nHost: origin.test\r\n${more}\r\n`

type Request = http.IncomingMessage | http2.Http2ServerRequest
type Response = http.ServerResponse & http2.Http2ServerResponse
type Version = '1.1' | '2.0'

/** An https origin of one version alone, and a proxy to it. */
async function between(t: Test, version: Version, answer: (request: Request, response: Response) => void, over: { readonly plan?: (request: http.IncomingMessage) => Partial<ForwardPlan>; readonly options?: Parameters<typeof proxyTo>[1] } = {}): Promise<{ readonly proxy: ProxyFixture; readonly https: Https; readonly sockets: net.Socket[] }> {
  const handle = (request: Request, response: http.ServerResponse | http2.Http2ServerResponse): void => answer(request, response as Response)
  const server: net.Server = version === '2.0'
    ? http2.createSecureServer({ cert, key }, handle)
    : https.createServer({ cert, key, ALPNProtocols: ['http/1.1'] }, handle)
  const sockets: net.Socket[] = []
  server.on('secureConnection', (socket: net.Socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
  })
  const origin = await listen(server)
  const toOrigin = httpsTo(place, origin.port)
  const proxy = await proxyTo(origin.port, over.options, (request) => ({ ...toOrigin, ...over.plan?.(request) }))
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  return { proxy, https: toOrigin, sockets }
}

function change(set: Record<string, string>, strip: readonly string[] = []): FieldChange {
  return { rule: 'r', strip, set: Object.entries(set).map(([name, text]) => ({ name, value: { kind: 'text', text } })) }
}

/** Without pseudo-fields, as name, value, name, value. */
function fieldsOf(request: Request): readonly string[] {
  return request.rawHeaders.flatMap((name, i) => (i % 2 === 1 || name.startsWith(':') ? [] : [name, request.rawHeaders[i + 1] ?? '']))
}

for (const version of ['1.1', '2.0'] as const) {
  t.test(`HTTP/${version}: the origin gets the target, our Host, the end-to-end fields and what rules say of them`, async (t) => {
    const seen: { readonly line: string; readonly fields: readonly string[] }[] = []
    const { proxy } = await between(t, version, (request, response) => {
      const host = request.headers[':authority'] ?? request.headers.host
      seen.push({ line: `${request.method} ${request.url} ${String(host)} ${request.httpVersion}`, fields: fieldsOf(request).filter((_, i, all) => !['host', 'connection'].includes(all[i - (i % 2)] ?? '')) })
      response.writeHead(200, { 'Alt-Svc': 'h3=":443"', 'X-Kept': '1' })
      response.end('ok')
    }, { plan: () => ({ fieldChanges: [change({ 'X-Tenant': 'ours' }, ['x-drop'])] }) })
    const answer = await exchange(proxy.port, get('Connection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip\r\nX-Drop: 1\r\nX-HTTP-Method-Override: DELETE\r\nX-Tenant: theirs\r\nX-Raw: \u00e9\r\naccept: a\r\nAccept: b\r\n'))
    t.match(answer, /^HTTP\/1\.1 200 OK\r\n(?![^]*alt-svc)[^]*x-kept: 1\r\n/i)
    t.match(answer, `\r\nVia: ${version} sally-test\r\n`)
    t.equal(seen[0]?.line, `GET /a?b=%2f origin.test ${version}`)
    const names = version === '1.1' ? ['X-Raw', '\u00e9', 'accept', 'a', 'Accept', 'b', 'X-Tenant', 'ours', 'Via', '1.1 sally-test'] : ['x-raw', '\u00e9', 'accept', 'a', 'accept', 'b', 'x-tenant', 'ours', 'via', '1.1 sally-test']
    t.same(seen[0]?.fields, names)
  })

  t.test(`HTTP/${version}: a field that rules set is not taken away by Connection`, async (t) => {
    let requests = 0
    const { proxy } = await between(t, version, (_request, response) => {
      requests += 1
      response.end('ok')
    }, { plan: () => ({ fieldChanges: [change({ 'X-Tenant': 'ours' })] }) })
    t.match(await exchange(proxy.port, get('Connection: close, x-tenant\r\n')), /field_syntax$/)
    t.match(await exchange(proxy.port, get('Connection: close, x-other\r\n')), /^HTTP\/1\.1 200 OK[^]*ok\b/)
    t.equal(requests, 1)
  })

  t.test(`HTTP/${version}: bodies keep their length or have none, trailers and Expect stay here`, async (t) => {
    const seen: string[] = []
    const { proxy } = await between(t, version, (request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      request.on('end', () => {
        seen.push(`${request.method} ${request.headers['content-length'] ?? 'none'} ${request.headers.expect ?? ''}${body}${JSON.stringify(request.trailers)}`)
        response.end('ok')
      })
    })
    await exchange(proxy.port, `${get('Connection: close\r\nContent-Length: 5\r\n', 'POST')}hello`)
    await exchange(proxy.port, `${get('Connection: close\r\nTransfer-Encoding: chunked\r\n', 'PUT')}5;a=b\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n`)
    await exchange(proxy.port, get('Connection: close\r\nContent-Length: 0\r\n', 'POST'))
    await exchange(proxy.port, get('Connection: close\r\n', 'DELETE'))
    t.match(await exchange(proxy.port, `${get('Connection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n', 'POST')}hello`), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
    t.same(seen, ['POST 5 hello{}', 'PUT none hello{}', 'POST 0 {}', 'DELETE none {}', 'POST 5 hello{}'])
  })

  t.test(`HTTP/${version}: 64 MiB pass up and down byte by byte, and whoever does not read holds the other side back`, async (t) => {
    const size = 64 * 1024 * 1024
    const block = Buffer.alloc(1024 * 1024, 97)
    let sent = 0
    let read = 0
    const letRead = Promise.withResolvers<void>()
    const { proxy } = await between(t, version, (request, response) => {
      if (request.method === 'POST') {
        void letRead.promise.then(() => request.on('data', (chunk: Buffer) => {
          read += chunk.length
        }))
        request.on('end', () => response.end(String(read)))
        return
      }
      response.writeHead(200, { 'Content-Length': size })
      const go = (): void => {
        while (sent < size) {
          sent += block.length
          if (!response.write(block)) {
            response.once('drain', go)
            return
          }
        }
        response.end()
      }
      go()
    })
    const down = http.get({ port: proxy.port, host: '127.0.0.1', path: 'http://origin.test/', agent: false })
    const answer = await new Promise<http.IncomingMessage>((resolve) => down.once('response', resolve))
    await settled(() => sent)
    t.ok(sent < size, `the origin could write ${sent} bytes to a client that reads nothing`)
    let got = 0
    for await (const chunk of answer) got += Buffer.byteLength(chunk)
    t.equal(got, size)
    t.match(await proxy.result(0), { outcome: 'completed', bytesFromOrigin: size })
    const up = http.request({ port: proxy.port, host: '127.0.0.1', path: 'http://origin.test/', method: 'POST', agent: false })
    const reply = new Promise<http.IncomingMessage>((resolve) => up.once('response', resolve))
    let offered = 0
    const offer = (async () => {
      for (; offered < size; offered += block.length) if (!up.write(block)) await once(up, 'drain')
      up.end()
    })()
    await settled(() => offered)
    t.ok(offered < size, `the client could write ${offered} bytes to an origin that reads nothing`)
    letRead.resolve()
    await offer
    let text = ''
    for await (const chunk of await reply) text += String(chunk)
    t.equal(text, String(size))
    t.match(await proxy.result(1), { outcome: 'completed', bytesFromClient: size })
  })

  t.test(`HTTP/${version}: the first event of a stream reaches the client before the second exists`, async (t) => {
    const { promise, resolve } = Promise.withResolvers<(text: string) => void>()
    const { proxy } = await between(t, version, (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      resolve((text) => response.write(text))
    })
    const client = await connectTo(proxy.port)
    client.write(get())
    t.match(await readUntil(client, '\r\n\r\n'), /text\/event-stream/)
    const send = await promise
    for (const event of ['data: 1', 'data: 2']) {
      const arrived = readUntil(client, event)
      send(`${event}\n\n`)
      await arrived
    }
    client.destroy()
  })

  t.test(`HTTP/${version}: a client that ends its side after the request still gets the whole answer`, async (t) => {
    const { proxy } = await between(t, version, (_request, response) => {
      response.writeHead(200, { 'Content-Length': 200_000 })
      setImmediate(() => response.end(Buffer.alloc(200_000, 97)))
    })
    const client = await connectTo(proxy.port)
    client.end(get())
    const text = (await readAll(client)).toString('latin1')
    t.equal(text.length - text.indexOf('\r\n\r\n') - 4, 200_000)
    t.match(await proxy.result(0), { outcome: 'completed', bytesFromOrigin: 200_000 })
  })

  t.test(`HTTP/${version}: an early answer to an upload reaches the client, and its connection is not used again`, async (t) => {
    const { proxy, https: { offers } } = await between(t, version, (_request, response) => {
      response.writeHead(413, { 'Content-Length': 2 })
      response.end('no')
    })
    const client = await connectTo(proxy.port)
    const answer = readAll(client)
    client.write(get('Content-Length: 200000\r\n', 'POST'))
    client.write(Buffer.alloc(100_000, 120))
    t.match(await proxy.result(0), { outcome: 'completed', status: 413 })
    client.write(Buffer.alloc(100_000, 120))
    client.write(get('Connection: close\r\n'))
    t.equal((await answer).toString('latin1').match(/HTTP\/1\.1 413 /g)?.length, 2)
    t.equal(offers.filter((offer) => offer === (version === '1.1' ? 'http/1.1' : 'h2')).length, 2)
  })

  t.test(`HTTP/${version}: whoever leaves within a body takes the other side with it`, async (t) => {
    const events: string[] = []
    const gone = Promise.withResolvers<void>()
    const { proxy, sockets } = await between(t, version, (request, response) => {
      request.resume()
      request.on('error', () => {})
      response.on('error', () => {})
      response.on('close', () => {
        events.push('closed')
        gone.resolve()
      })
      if (request.method === 'GET') response.write('good')
    })
    const upload = await connectTo(proxy.port)
    upload.write(`${get('Content-Length: 10\r\n', 'POST')}12345`)
    while (sockets.length === 0) await new Promise((resolve) => setImmediate(resolve))
    upload.resetAndDestroy()
    await gone.promise
    t.match(await proxy.result(0), { outcome: 'client_closed', headSent: false })
    const download = await connectTo(proxy.port)
    download.write(get())
    await readUntil(download, 'good')
    download.resetAndDestroy()
    while (events.length < 2) await new Promise((resolve) => setImmediate(resolve))
    t.match(await proxy.result(1), { outcome: 'client_closed', headSent: true, status: 200, bytesFromOrigin: 4 })
    const cut = await connectTo(proxy.port)
    cut.write(get())
    await readUntil(cut, 'good')
    sockets.at(-1)?.destroy()
    t.notMatch((await readAll(cut)).toString('latin1'), /\r\n0\r\n\r\n$/)
    t.match(await proxy.result(2), { outcome: 'failed', headSent: true, error: { code: 'origin_incomplete' } })
  })

  t.test(`HTTP/${version}: content beyond the cap of the rules never arrives whole, declared or not`, async (t) => {
    let whole = 0
    const { proxy } = await between(t, version, (request, response) => {
      request.on('error', () => {})
      request.resume()
      request.on('end', () => {
        // node ends what was reset too
        if (request.aborted) return
        whole += 1
        response.end('ok')
      })
    }, { plan: () => ({ maxContent: 8 }) })
    t.match(await exchange(proxy.port, `${get('Content-Length: 9\r\nConnection: close\r\n', 'POST')}123456789`), /content_not_allowed$/)
    t.equal(whole, 0)
    t.match(await exchange(proxy.port, `${get('Transfer-Encoding: chunked\r\nConnection: close\r\n', 'POST')}5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n`), /content_not_allowed$/)
    t.match(await proxy.result(1), { outcome: 'failed', headSent: false, error: { code: 'content_not_allowed' } })
    t.match(await exchange(proxy.port, `${get('Transfer-Encoding: chunked\r\nConnection: close\r\n', 'POST')}5\r\n12345\r\n3\r\n678\r\n0\r\n\r\n`), /^HTTP\/1\.1 200 OK[^]*ok\b/)
    t.equal(whole, 1)
  })
}

/** Resolves when a count stands still, whatever the kernels between buffer. */
async function settled(count: () => number): Promise<void> {
  for (let still = -1; still !== count();) {
    still = count()
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

t.test('a kept-alive connection is shared by neither another trust, another credential nor the plain exchanges', async (t) => {
  const credentials: Credentials = { value: (name) => Promise.resolve(`secret-${name}`), dummy: (name) => Promise.resolve(`dummy-${name}`) }
  const { proxy, https: { offers } } = await between(t, '1.1', (request, response) => response.end(String(request.headers.authorization)), {
    options: { credentials },
    plan: (request) => {
      const credential = String(request.headers['x-credential'] ?? '')
      const further = request.headers['x-further'] === undefined ? [] : ['ca.pem']
      return {
        tls: { trust: { insecure: request.headers['x-insecure'] !== undefined, caFiles: [...trusted.caFiles, ...further] } },
        fieldChanges: credential === '' ? [] : [{ rule: 'r', strip: [], set: [{ name: 'Authorization', value: { kind: 'credential', credential, prefix: 'Bearer ', placeholder: request.headers['x-placeholder'] !== undefined } }] }],
      }
    },
  })
  const send = async (more: string) => (await exchange(proxy.port, get(`Connection: close\r\n${more}`))).split('\r\n\r\n').at(-1)
  const cases: [more: string, dials: number, authorization: string][] = [
    ['', 1, 'undefined'], ['', 1, 'undefined'], ['X-Insecure: 1\r\n', 2, 'undefined'], ['X-Further: 1\r\n', 3, 'undefined'],
    ['X-Credential: a\r\n', 4, 'Bearer secret-a'], ['X-Credential: a\r\n', 4, 'Bearer secret-a'], ['X-Credential: b\r\n', 5, 'Bearer secret-b'],
    // a placeholder that did not match carries none
    ['X-Credential: a\r\nX-Placeholder: 1\r\nAuthorization: Bearer own\r\n', 5, 'Bearer own'],
    ['X-Credential: a\r\nX-Placeholder: 1\r\nAuthorization: Bearer dummy-a\r\n', 5, 'Bearer secret-a'],
    ['', 5, 'undefined'],
  ]
  for (const [more, dials, authorization] of cases) {
    t.equal(await send(more), authorization, more)
    t.equal(offers.length, dials, more)
  }
})

t.test('a credential that cannot be read, or has no verified way, fails before anything is dialled', async (t) => {
  const credentials: Credentials = { value: () => Promise.reject(new Error('the secret itself')), dummy: () => Promise.resolve('d') }
  const wants: FieldChange = { rule: 'r', strip: [], set: [{ name: 'Authorization', value: { kind: 'credential', credential: 'token', prefix: '', placeholder: false } }] }
  const { proxy, https: { offers } } = await between(t, '1.1', (_request, response) => response.end('ok'), {
    options: { credentials },
    plan: (request) => ({ fieldChanges: [wants], ...(request.headers['x-insecure'] === undefined ? {} : { tls: { trust: { insecure: true, caFiles: [] } } }) }),
  })
  for (const more of ['', 'X-Insecure: 1\r\n']) t.match(await exchange(proxy.port, get(`Connection: close\r\n${more}`)), /^HTTP\/1\.1 502 [^]*credential_unavailable$/)
  t.same(offers, [])
  t.notMatch(JSON.stringify(proxy.results), /the secret itself/)
  const plain = await proxyTo(1, { credentials }, () => ({ fieldChanges: [wants] }))
  t.teardown(plain.close)
  t.match(await exchange(plain.port, get('Connection: close\r\n')), /credential_unavailable$/)
  t.equal(plain.dials(), 0)
})

t.test('a client that leaves while a credential is read dials nothing', async (t) => {
  const asked = Promise.withResolvers<void>()
  const read = Promise.withResolvers<string>()
  const credentials: Credentials = { value: () => (asked.resolve(), read.promise), dummy: () => Promise.resolve('d') }
  const { proxy, https: { offers } } = await between(t, '1.1', (_request, response) => response.end('ok'), {
    options: { credentials },
    plan: () => ({ fieldChanges: [{ rule: 'r', strip: [], set: [{ name: 'Authorization', value: { kind: 'credential', credential: 'token', prefix: '', placeholder: false } }] }] }),
  })
  const client = await connectTo(proxy.port)
  client.write(get())
  await asked.promise
  client.resetAndDestroy()
  t.match(await proxy.result(0), { outcome: 'client_closed' })
  read.resolve('secret')
  t.same(offers, [])
})

t.test('an origin that comes to speak HTTP/1.1 after all is found out too', async (t) => {
  let speaks: 'h2' | 'http/1.1' = 'h2'
  const answer = (_request: Request, response: { end(text: string): unknown }): void => {
    response.end('ok')
  }
  const server = http2.createSecureServer({ cert, key, allowHTTP1: true, ALPNCallback: ({ protocols }) => (protocols.includes(speaks) ? speaks : undefined) }, answer)
  const origin = await listen(server)
  const toOrigin = httpsTo(place, origin.port)
  const proxy = await proxyTo(origin.port, {}, () => toOrigin)
  t.teardown(() => [proxy, origin].map(({ close }) => close()))
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  proxy.forwarder.closeRevision('r1')
  speaks = 'http/1.1'
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  proxy.forwarder.closeRevision('r1')
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  t.same(toOrigin.offers, ['http/1.1', 'h2', 'h2', 'http/1.1', 'http/1.1'])
})

t.test('a fault of TLS comes back as what it is, and nothing is written', async (t) => {
  const elsewhere = await place.certificates.issue(['elsewhere.test'])
  const origin = await listen(https.createServer(elsewhere))
  const toOrigin = httpsTo(place, origin.port)
  const proxy = await proxyTo(origin.port, {}, () => toOrigin)
  t.teardown(() => [proxy, origin].map(({ close }) => close()))
  t.match(await exchange(proxy.port, get('Connection: close\r\n')), /^HTTP\/1\.1 502 [^]*tls_certificate_name$/)
  t.equal(toOrigin.offers.length, 1)
})
