// Origins that answer with what HTTP does not allow, on one leg: the client gets a 502 or a cut connection, never a
// second reading, the connection to the origin is not used again, and the next request is fine.
import type { Test } from 'tap'
import type { Leg } from './legs.ts'
import { ok } from './strict-origin.ts'
import { readAnswers } from './wire-client.ts'

const head = 'HTTP/1.1 200 OK\r\n'
const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'

/** what the client must see: `error` a 502, `cut` a head and a connection that ends without its end, `fine` an answer */
const answers: Readonly<Record<string, readonly ['error' | 'cut' | 'fine', string]>> = {
  'two Content-Length': ['error', `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`],
  'two equal Content-Length': ['error', `${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  'a list in Content-Length': ['error', `${head}Content-Length: 5, 5\r\n\r\nhello`],
  'a signed Content-Length': ['error', `${head}Content-Length: +5\r\n\r\nhello`],
  'Content-Length and chunked': ['error', `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  'chunked and Content-Length': ['error', `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  'an unknown transfer coding': ['error', `${head}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  'a coding behind chunked': ['error', `${head}Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  'a bad chunk size': ['cut', `${head}Transfer-Encoding: chunked\r\n\r\nXX\r\nhello\r\n0\r\n\r\n`],
  'a bad second chunk': ['cut', `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n\r\n`],
  'chunk data that does not end': ['cut', `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n`],
  'a bare LF in the head': ['error', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'],
  'a bare CR in a field': ['error', `${head}X-A: b\rc\r\nContent-Length: 5\r\n\r\nhello`],
  'a NUL in a field': ['error', `${head}X-A: b\0c\r\nContent-Length: 5\r\n\r\nhello`],
  'obs-fold': ['error', `${head}X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello`],
  'a space before the colon': ['error', `${head}Content-Length : 5\r\n\r\nhello`],
  'an empty field name': ['error', `${head}: x\r\nContent-Length: 5\r\n\r\nhello`],
  // undici does not tell the version, and reads the rest as HTTP/1.1
  'HTTP/2.0': ['fine', 'HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
  'no HTTP': ['error', 'SSH-2.0-OpenSSH_9.2\r\n'],
  'a status of no digits': ['error', 'HTTP/1.1 abc OK\r\n\r\n'],
  'a status of 099': ['error', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
  'a head of 2 MiB': ['error', `${head}X-A: ${'a'.repeat(2 * 1024 * 1024)}\r\n\r\n`],
  '10,000 fields': ['error', `${head}${'X-Abcd: efgh\r\n'.repeat(10_000)}\r\n`],
  '1,000 interim answers': ['error', `${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000)}${ok('belated')}`],
  'a 101 nobody asked for': ['error', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n'],
  'a second answer behind the first': ['fine', `${ok('hello')}${poison}`],
  'a body behind 204': ['fine', `HTTP/1.1 204 No Content\r\n\r\n${poison}`],
  'a Content-Length on 204': ['fine', `HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n${poison}`],
  'a body behind 304': ['fine', `HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n${poison}`],
  'a longer body than its length': ['fine', `${head}Content-Length: 5\r\n\r\nhello${poison}`],
  'a shorter body than its length': ['cut', `${head}Content-Length: 50\r\n\r\nhello\x04`],
  'an early close': ['cut', `${head}Content-Length: 50\r\n\r\n\x04`],
  'nothing at all': ['error', '\x04'],
  'half a head': ['error', 'HTTP/1.1 200 OK\r\nX-A: b\x04'],
  'an end without a length': ['fine', `${head}\r\nhello\x04`],
  'an early end of a chunked body': ['cut', `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\x04`],
}

export function checkHostileOrigin(t: Test, leg: Leg): void {
  t.test(`${leg.name}: every answer that is none is an error or a cut, and nothing of it outlives its request`, async (t) => {
    const names = Object.keys(answers)
    const { origin, open, request, decisions } = await leg.start(t, { answer: (each, socket) => {
      const [, bytes] = answers[names[Number(each.target.slice(1))] ?? ''] ?? []
      if (bytes === undefined) return ok(`clean ${each.target}`)
      // \x04: the origin ends here
      socket.write(Buffer.from(bytes.replace('\x04', ''), 'latin1'))
      if (bytes.endsWith('\x04')) socket.end()
      return undefined
    } })
    for (const [at, name] of names.entries()) {
      const [expected] = answers[name] ?? []
      const client = await open()
      client.send(request(`/${at}`))
      const [first] = await client.answers(1)
      if (expected === 'error') {
        t.equal(first?.status, 502, name)
        t.match(first?.body, /"code":"(?:origin_protocol_error|connection_reset|origin_incomplete)"/, name)
      } else if (expected === 'cut') {
        t.ok(first === undefined || first.status === 502 || !first.isWhole, `${name}: not a whole answer`)
        t.ok(first?.status === 502 || client.isClosed, `${name}: the connection says so`)
      } else {
        t.ok(first !== undefined && first.status < 400, `${name}: ${first?.status}`)
        t.ok(first?.body === 'hello' || first?.body === '', `${name}: its own body, ${JSON.stringify(first?.body.slice(0, 40))}`)
      }
      // on the same connection where it lives, and on another
      for (const next of [client.isClosed ? await open() : client, await open()]) {
        const before = next === client ? 1 : 0
        next.send(request('/next'))
        const answer = (await next.answers(before + 1))[before]
        t.equal(answer?.body, 'clean /next', `${name}: and the next request is fine`)
        if (next !== client) next.socket.destroy()
      }
      client.socket.destroy()
      t.notMatch(client.received, /poison|belated/)
    }
    t.strictSame(origin.complaints, [])
    // a GET on a kept-alive connection that closes without a byte is sent once more, on a new one
    const repeated = `/${names.indexOf('nothing at all')}`
    t.equal(origin.requests.filter(({ target }) => target !== repeated).length, decisions().length - 1)
    t.ok(decisions().every((record) => record.attributes['network.policy.decision'] === 'allow'), 'an origin at fault is never policy')
  })

  t.test(`${leg.name}: an answer to HEAD has no body, whatever its length says`, async (t) => {
    const { open, request } = await leg.start(t, { answer: () => 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n' })
    const client = await open()
    client.send(request('/', '', 'HEAD') + request('/', 'Connection: close\r\n', 'HEAD'))
    const received = await client.closed()
    t.strictSame(readAnswers(received, ['HEAD', 'HEAD']).map(({ status, fields }) => [status, fields.get('content-length')]), [[200, '500'], [200, '500']])
  })
}
