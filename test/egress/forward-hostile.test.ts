import t from 'tap'
import { answers, broken, fine } from './hostile-answers.ts'
import { httpsTo, overTls, tlsPlace } from './tls-origin.ts'
import { connectTo, exchange, proxyTo, rawOrigin, readAll, type ProxyFixture, type RawOrigin } from './wire.ts'

const get = 'GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n'

const place = await tlsPlace()
const issued = await place.certificates.issue(['origin.test'])

/** A proxy to the hostile origin, in clear text or over TLS. */
async function proxyOver(scheme: 'http' | 'https', answer: Parameters<typeof rawOrigin>[0]): Promise<{ readonly origin: RawOrigin; readonly proxy: ProxyFixture }> {
  const origin = scheme === 'http' ? await rawOrigin(answer) : await rawOrigin(answer, 'complete', overTls(issued))
  const https = httpsTo(place, origin.port)
  return { origin, proxy: await proxyTo(origin.port, {}, () => (scheme === 'http' ? {} : https)) }
}

const schemes = ['http', 'https'] as const
for (const [name, answer] of answers) for (const scheme of schemes) {
  t.test(`an answer over ${scheme} with ${name} is 502 and its connection is not used again`, async (t) => {
    let sent = 0
    const { origin, proxy } = await proxyOver(scheme, (socket) => {
      sent += 1
      socket.write(sent === 1 ? Buffer.from(answer, 'latin1') : Buffer.from(fine))
    })
    t.teardown(() => {
      proxy.close()
      origin.close()
    })
    const text = await exchange(proxy.port, get)
    t.match(text, /^HTTP\/1\.1 502 /)
    t.notMatch(text, /evil/)
    const result = await proxy.result(0)
    t.match(result, { outcome: 'failed', headSent: false, error: { code: 'origin_protocol_error' } })
    t.match(await exchange(proxy.port, get), /^HTTP\/1\.1 200 OK\r\n[^]*fine$/)
    t.equal(origin.connections(), 2)
  })
}

t.test('bytes behind a complete answer never become the next answer', async (t) => {
  for (const head of ['HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']) {
    let sent = 0
    const origin = await rawOrigin((socket) => {
      sent += 1
      socket.write(sent === 1 ? `${head}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : fine)
    })
    const proxy = await proxyTo(origin.port)
    const client = await connectTo(proxy.port)
    client.write(get.replace('close', 'keep-alive') + get)
    const text = (await readAll(client)).toString('latin1')
    t.notMatch(text, /evil/, head)
    t.match(text, /fine$/, head)
    client.destroy()
    proxy.close()
    origin.close()
  }
})

t.test('a 204 with Content-Length or chunked passes without content, and its connection is closed', async (t) => {
  for (const fields of ['Content-Length: 4\r\n\r\nevil', 'Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n']) {
    let sent = 0
    const origin = await rawOrigin((socket) => {
      sent += 1
      socket.write(sent === 1 ? `HTTP/1.1 204 No Content\r\n${fields}` : fine)
    })
    const proxy = await proxyTo(origin.port)
    const text = await exchange(proxy.port, get)
    t.match(text, /^HTTP\/1\.1 204 /)
    t.notMatch(text, /evil|content-length|transfer-encoding/i)
    t.match(await exchange(proxy.port, get), /fine$/)
    t.equal(origin.connections(), 2)
    proxy.close()
    origin.close()
  }
})

for (const [name, answer] of broken) for (const scheme of schemes) {
  t.test(`an answer over ${scheme} that breaks by ${name} never looks complete to the client`, async (t) => {
    let sent = 0
    const { origin, proxy } = await proxyOver(scheme, (socket) => {
      sent += 1
      if (sent === 1) socket.end(answer)
      else socket.write(fine)
    })
    t.teardown(() => {
      proxy.close()
      origin.close()
    })
    const text = await exchange(proxy.port, get)
    t.match(text, /^HTTP\/1\.1 200 OK|^$/)
    t.notMatch(text, /evil/)
    t.notMatch(text, /\r\n0\r\n\r\n$/)
    const result = await proxy.result(0)
    t.match(result, { outcome: 'failed', headSent: true, status: 200 })
    t.ok(['origin_incomplete', 'origin_protocol_error'].includes(result.error?.code ?? ''), result.error?.code ?? 'no code')
    t.match(await exchange(proxy.port, get), /fine$/)
  })
}

t.test('an HTTP/1.0 client sees a reset, not an end, when an answer without length breaks', async (t) => {
  const origin = await rawOrigin((socket) => {
    socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n')
  })
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  const reset = new Promise<string | undefined>((resolve) => {
    client.on('error', (error: Error & { code?: string }) => resolve(error.code))
    client.on('end', () => resolve('an orderly end'))
  })
  client.write('GET http://origin.test/ HTTP/1.0\r\nHost: origin.test\r\n\r\n')
  client.resume()
  t.equal(await reset, 'ECONNRESET')
  t.match((await proxy.result(0)).error, { code: 'origin_incomplete' })
})

t.test('an origin that says nothing is origin_timeout, and one that falls silent within its answer is cut', async (t) => {
  const silent = await rawOrigin(() => {})
  const stalls = await rawOrigin('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\ngood')
  const first = await proxyTo(silent.port, { originTimeoutMs: 100 })
  const second = await proxyTo(stalls.port, { originTimeoutMs: 100 })
  t.teardown(() => {
    for (const each of [silent, stalls, first, second]) each.close()
  })
  t.match(await exchange(first.port, get), /^HTTP\/1\.1 502 [^]*origin_timeout$/)
  t.match(await exchange(second.port, get), /good$/)
  t.match(await second.result(0), { outcome: 'failed', headSent: true, error: { code: 'origin_timeout' } })
})

t.test('a fault of the dial comes back as it was raised, and nothing is written', async (t) => {
  const { ProxyError } = await import('../../src/errors.ts')
  const origin = await rawOrigin(fine)
  let refuse = true
  const proxy = await proxyTo(origin.port, {}, () => (refuse ? { connect: async () => Promise.reject(new ProxyError('connection_refused', 'port 1')) } : {}))
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  t.match(await exchange(proxy.port, get), /^HTTP\/1\.1 502 [^]*connection_refused$/)
  refuse = false
  t.match(await exchange(proxy.port, get), /fine$/)
})

t.test('an early answer to an upload reaches the client, and what follows on its connection is read rightly', async (t) => {
  const origin = await rawOrigin((socket) => {
    socket.end('HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
  }, 'early')
  const proxy = await proxyTo(origin.port)
  t.teardown(() => {
    proxy.close()
    origin.close()
  })
  const client = await connectTo(proxy.port)
  const answer = readAll(client)
  client.write('POST http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 200000\r\n\r\n')
  client.write(Buffer.alloc(100_000, 120))
  await proxy.result(0)
  client.write(Buffer.alloc(100_000, 120))
  client.write(get)
  const text = (await answer).toString('latin1')
  t.equal(text.match(/HTTP\/1\.1 413 /g)?.length, 2)
  client.destroy()
})
