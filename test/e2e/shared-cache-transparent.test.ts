// What passes the shared cache and is not answered from it reaches the client as it would without one, byte for byte but for
// Cache-Status: whatever the origin answers, also when a copy is made beside it.
import type { Socket } from 'node:net'
import t from 'tap'
import { MemoryCacheStore } from '../support/memory-cache-store.ts'
import { plainHosts } from '../support/plain-world.ts'
import { startProxy } from '../support/proxy.ts'
import { strictOrigin, type StrictRequest } from '../support/strict-origin.ts'
import { WireClient } from '../support/wire-client.ts'

const fresh = 'Cache-Control: max-age=600\r\n'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const whole = (text: string, fields = ''): string => `HTTP/1.1 200 OK\r\n${fresh}${fields}Content-Length: ${text.length}\r\n\r\n${text}`

const answers: Readonly<Record<string, string>> = {
  '/small': whole('hello', 'X-One: 1\r\nx-two: 2\r\nX-One: again\r\n'),
  '/dated': whole('hello', 'Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nAge: 5\r\nCache-Status: other; hit\r\nVia: 1.1 other\r\n'),
  '/empty': whole(''),
  '/big': whole('x'.repeat(300_000)),
  '/17k': whole('y'.repeat(17 * 1024)),
  '/bytes': whole('\xff\0\x80'),
  '/chunked': `HTTP/1.1 200 OK\r\n${fresh}Transfer-Encoding: chunked\r\n\r\n${chunk('hello')}${chunk(' world')}0\r\n\r\n`,
  '/trailers': `HTTP/1.1 200 OK\r\n${fresh}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${chunk('hello')}0\r\nX-Sum: 5\r\n\r\n`,
  '/no-content': `HTTP/1.1 204 No Content\r\n${fresh}X-A: b\r\n\r\n`,
  '/not-modified': `HTTP/1.1 304 Not Modified\r\n${fresh}ETag: "x"\r\n\r\n`,
  '/not-found': `HTTP/1.1 404 Not Found\r\n${fresh}Content-Length: 2\r\n\r\nno`,
  '/no-reason': `HTTP/1.1 200 \r\n${fresh}Content-Length: 2\r\n\r\nok`,
  '/private': 'HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nok',
  '/interim': `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${whole('hello')}`,
  '/closes': `HTTP/1.1 200 OK\r\n${fresh}Connection: close\r\nContent-Length: 2\r\n\r\nok`,
  '/both': `HTTP/1.1 200 OK\r\n${fresh}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  '/garbage': 'not http\r\n\r\n',
  '/invalid': `HTTP/1.1 200 OK\r\n${fresh}X-A: a\x01b\r\nContent-Length: 2\r\n\r\nok`,
}

function answerOf({ target, method }: StrictRequest, socket: Socket): string {
  if (target === '/until-close') {
    socket.end(`HTTP/1.1 200 OK\r\n${fresh}\r\nhello`)
    return ''
  }
  if (target === '/cut') {
    socket.write(`HTTP/1.1 200 OK\r\n${fresh}Content-Length: 20\r\n\r\nhello`, () => socket.resetAndDestroy())
    return ''
  }
  const answer = answers[target] ?? ''
  return method === 'HEAD' ? answer.slice(0, answer.lastIndexOf('\r\n\r\n', answer.lastIndexOf('HTTP/1.1') + 200) + 4) : answer
}

/** What differs from one proxy to the other. */
function masked(received: string): string {
  return received.replaceAll(/[0-9A-HJKMNP-TV-Z]{26}/g, 'I').replaceAll(/^Date: (?!Thu, 01 Jan 1970).*$/gm, 'Date: now').replaceAll(/sallyport-[0-9a-f]{12}/g, 'us')
    .replaceAll(/^Cache-Status: sallyport; fwd=.*\r\n/gm, '')
    // chunks as they happen to arrive
    .replaceAll(/(?<=\r\n)[0-9a-f]+\r\n/g, '')
}

for (const [name, before] of [['without node\'s parser', ''], ['by node\'s parser', '\r\n']] as const) {
  t.test(`an answer that is copied is the one that is not, read ${name}`, async (t) => {
    const origin = await strictOrigin(t, answerOf)
    const authority = `allowed.test:${origin.port}`
    const policy = `[[network.rules]]\nid = "cached"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nshared_cache = true\nverdict = "allow"\n`
    const store = new MemoryCacheStore()
    const plain = await startProxy(t, { policy, hosts: plainHosts, change: (settings) => ({ ...settings, cache: { ...settings.cache, enabled: false } }) })
    const caching = await startProxy(t, { policy, hosts: plainHosts, cacheStore: store })
    for (const version of ['1.1', '1.0']) {
      for (const method of ['GET', 'HEAD']) {
        // of those HEADs nothing is a HEAD's
        for (const path of [...Object.keys(answers), '/until-close', '/cut'].filter((each) => method === 'GET' || !['/interim', '/chunked', '/trailers', '/cut', '/until-close'].includes(each))) {
          const got: string[] = []
          for (const { port } of [plain, caching]) {
            const client = await WireClient.open(port)
            client.send(`${before}${method} http://${authority}${path} HTTP/${version}\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`)
            got.push(masked(await client.closed()))
          }
          t.equal(got[1], got[0], `${method} ${path} HTTP/${version}`)
          t.not(got[0], '')
          for (const { id } of store.list({}, 100)) store.remove(id)
        }
      }
    }
    t.same(origin.complaints, [])
  })
}
