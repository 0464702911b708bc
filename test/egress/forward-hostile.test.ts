import t from 'tap'
import { exchange, proxyTo, rawOrigin, readAll, connectTo } from './wire.ts'

const get = 'GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n'
const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine'

// every answer that cannot be read in one way only, and what the client gets
const answers: [name: string, answer: string][] = [
  ['two Content-Length, equal', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nevil'],
  ['two Content-Length, different', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length: 5\r\n\r\nevil!'],
  ['a list as Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nevil'],
  ['a signed Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nevil'],
  ['a negative Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nevil'],
  ['a hexadecimal Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nevil'],
  ['an empty Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nevil'],
  ['Content-Length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['chunked and Content-Length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a coding before chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a coding instead of chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nConnection: close\r\n\r\nevil'],
  ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nevil'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a bare CR in a field', 'HTTP/1.1 200 OK\r\nX-Bad: a\rSet-Cookie: b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a NUL in a field', 'HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 4\r\n\r\nevil'],
  ['a field without colon', 'HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 4\r\n\r\nevil'],
  ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nevil'],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['HTTP/0.9', 'evil\r\n'],
  ['fields of 2 MiB', `HTTP/1.1 200 OK\r\nX-Big: ${'x'.repeat(2 * 1024 * 1024)}\r\nContent-Length: 4\r\n\r\nevil`],
  ['ten thousand fields', `HTTP/1.1 200 OK\r\n${'X-Many: 1234\r\n'.repeat(10_000)}Content-Length: 4\r\n\r\nevil`],
  ['a thousand interim answers', `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(1000)}${fine}`],
]

for (const [name, answer] of answers) {
  t.test(`an answer with ${name} is 502 and its connection is not used again`, async (t) => {
    let sent = 0
    const origin = await rawOrigin((socket) => {
      sent += 1
      socket.write(sent === 1 ? Buffer.from(answer, 'latin1') : Buffer.from(fine))
    })
    const proxy = await proxyTo(origin.port)
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

const broken: [name: string, answer: string][] = [
  ['a chunk size that is not hexadecimal', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0x4\r\nevil\r\n0\r\n\r\n'],
  ['a negative chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n-4\r\nevil\r\n0\r\n\r\n'],
  ['a chunk size of 17 digits', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n10000000000000004\r\nevil\r\n0\r\n\r\n'],
  ['chunk data that does not end in CRLF', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoodevil\r\n0\r\n\r\n'],
  ['trailers that frame', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nContent-Length: 9\r\n\r\n'],
  ['a close within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n40\r\nless'],
  ['a close before the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n'],
  ['a close before Content-Length is reached', 'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\ngood'],
]

for (const [name, answer] of broken) {
  t.test(`an answer that breaks by ${name} never looks complete to the client`, async (t) => {
    let sent = 0
    const origin = await rawOrigin((socket) => {
      sent += 1
      if (sent === 1) socket.end(answer)
      else socket.write(fine)
    })
    const proxy = await proxyTo(origin.port)
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
