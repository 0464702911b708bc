// The head of a plain request read by hand against node's strict parser: whatever is taken, the parser must read
// the same way and be done with; what it may read in another way must be left to it.
import t from 'tap'
import { readPlainHead, type TargetForm } from '../../src/ingress/plain-head.ts'
import * as fc from '../support/property.ts'
import { brokenHeads } from './head-arbitraries.ts'
import { damagedHead, latin1, maxBytes, plainHeadFault, StrictParser } from './plain-head-property.ts'

const parser = new StrictParser()

const plain: Readonly<Record<TargetForm, string>> = {
  absolute: 'GET http://a.test/b?c HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n',
  origin: 'GET /b?c HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n',
}

for (const form of ['absolute', 'origin'] as const) {
  t.test(`whatever is taken in ${form}-form, node's strict parser reads the same way, and the request behind it as the next one`, async (t) => {
    let taken = 0
    let left = 0
    await fc.assert(fc.asyncProperty(damagedHead(form), async (text) => {
      const { isTaken, fault } = await plainHeadFault(parser, text, form)
      if (fault !== undefined) throw new Error(fault)
      if (isTaken) taken += 1
      else left += 1
    }), { numRuns: 4000 })
    t.ok(taken > 200 && left > 200, `${taken} were taken and ${left} were left`)
  })

  t.test(`every byte in every place of a plain head in ${form}-form is read the same way or left`, async (t) => {
    const whole = plain[form]
    const faults: string[] = []
    let taken = 0
    for (let at = 0; at <= whole.length; at++) {
      for (let code = 0; code < 256; code++) {
        for (const skip of [0, 1]) {
          const { isTaken, fault } = await plainHeadFault(parser, whole.slice(0, at) + String.fromCharCode(code) + whole.slice(at + skip), form)
          if (isTaken) taken += 1
          if (fault !== undefined) faults.push(fault)
        }
      }
    }
    t.strictSame(faults, [])
    t.ok(taken > 1000, `${taken} were taken`)
  })

  t.test(`a target in another form than ${form}-form is left`, async (t) => {
    t.ok(readPlainHead(latin1(plain[form]), maxBytes, form))
    t.equal(readPlainHead(latin1(plain[form === 'origin' ? 'absolute' : 'origin']), maxBytes, form), undefined)
  })
}

const line = 'GET http://a.test/ HTTP/1.1\r\n'
const host = 'Host: a.test\r\n'

t.test('what is not whole, not plain or not alone is left to the parser', async (t) => {
  const cases: Readonly<Record<string, string>> = {
    ...brokenHeads(line, host),
    'a part of the method': 'GE',
    'a byte behind': `${line}${host}\r\nx`,
    'a line end behind': `${line}${host}\r\n\r\n`,
    'a request behind': `${line}${host}\r\n${line}${host}\r\n`,
    'a second end behind': `${line}${host}\r\nx\r\n\r\n`,
    'another method': `POST http://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'the method in lower case': `get http://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'two spaces': `GET  http://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'a tab': `GET http://a.test/\tHTTP/1.1\r\n${host}\r\n`,
    'HTTP/1.0': `GET http://a.test/ HTTP/1.0\r\n${host}\r\n`,
    'HTTP/2.0': `GET http://a.test/ HTTP/2.0\r\n${host}\r\n`,
    'no version': 'GET http://a.test/\r\n\r\n',
    'origin-form': `GET / HTTP/1.1\r\n${host}\r\n`,
    'asterisk-form': `GET * HTTP/1.1\r\n${host}\r\n`,
    'another scheme': `GET https://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'the scheme in upper case': `GET HTTP://a.test/ HTTP/1.1\r\n${host}\r\n`,
    'no path': `GET http://a.test HTTP/1.1\r\n${host}\r\n`,
    'a query without a path': `GET http://a.test?b HTTP/1.1\r\n${host}\r\n`,
    'user information': `GET http://u@a.test/ HTTP/1.1\r\n${host}\r\n`,
    'a fragment': `GET http://a.test/#b HTTP/1.1\r\n${host}\r\n`,
    'a backslash': `GET http://a.test/\\b HTTP/1.1\r\n${host}\r\n`,
    'a space in the path': `GET http://a.test/a b HTTP/1.1\r\n${host}\r\n`,
    'a byte above ASCII in the path': `GET http://a.test/\xe9 HTTP/1.1\r\n${host}\r\n`,
    'a percent sign in the host': `GET http://a%2etest/ HTTP/1.1\r\n${host}\r\n`,
    'a TLS hello': `\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03${'\0'.repeat(40)}\r\n\r\n`,
    'a CONNECT': 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n',
    'a head that is longer than allowed by a byte': `${line}${host}X: ${'y'.repeat(maxBytes - line.length - host.length - 6)}\r\n\r\n`,
  }
  for (const [what, text] of Object.entries(cases)) t.equal(readPlainHead(latin1(text), maxBytes, 'absolute'), undefined, what)
  const fits = `${line}${host}X: ${'y'.repeat(maxBytes - line.length - host.length - 7)}\r\n\r\n`
  t.ok(readPlainHead(latin1(fits), maxBytes, 'absolute'), 'and one of just the size that is allowed is taken')
})

t.test('what says how the message is framed, what is expected or what becomes of the connection is left to the parser, in any case', async (t) => {
  for (const [field, values] of Object.entries({
    'Content-Length': ['0', '00', '5', ''],
    'Transfer-Encoding': ['chunked', 'identity', ''],
    'Upgrade': ['websocket', 'h2c', ''],
    'Expect': ['100-continue', 'x', ''],
    'Connection': ['Upgrade', 'close, TE', 'keep-alive,close', 'Proxy-Authorization', ''],
    'Proxy-Connection': ['Upgrade', 'keep-alive, x', ''],
  })) {
    for (const each of values) {
      for (const spelled of [field, field.toLowerCase(), field.toUpperCase()]) {
        t.equal(readPlainHead(latin1(`${line}${host}${spelled}: ${each}\r\n\r\n`), maxBytes, 'absolute'), undefined, `${spelled}: ${each}`)
      }
    }
  }
})

t.test('whether the connection is kept is as the parser says it', async (t) => {
  const options = ['', 'Connection: close\r\n', 'Connection: keep-alive\r\n', 'Proxy-Connection: close\r\n', 'PROXY-CONNECTION: Keep-Alive\r\n', 'connection: CLOSE\r\n']
  for (const first of options) {
    for (const second of options) {
      const text = `${line}${first}${host}${second}\r\n`
      t.strictSame(await plainHeadFault(parser, text, 'absolute'), { isTaken: true, fault: undefined }, text)
      t.equal(readPlainHead(latin1(text), maxBytes, 'absolute')?.isKeptAlive, !/close/i.test(first + second), text)
    }
  }
})

t.test('what clients send is taken as it was sent', async (t) => {
  const clients: Readonly<Record<string, string>> = {
    'curl': 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'curl -I': 'HEAD http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'curl with credentials': 'GET http://a.test:8080/x?y=z HTTP/1.1\r\nHost: a.test:8080\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n',
    'pip': 'GET http://pypi.test/simple/x/ HTTP/1.1\r\nHost: pypi.test\r\nUser-Agent: pip/24.0 {"ci":null,"cpu":"x86_64"}\r\nAccept-Encoding: gzip, deflate\r\nAccept: application/vnd.pypi.simple.v1+json, text/html; q=0.01\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\r\n',
    'npm': 'GET http://npm.test/@types%2fnode HTTP/1.1\r\nHost: npm.test\r\nConnection: keep-alive\r\nuser-agent: npm/11.0.0 node/v26.10.0 linux x64\r\nAccept: application/json\r\nAccept-Encoding: gzip,deflate\r\n\r\n',
    'apt': 'GET http://deb.test/debian/dists/bookworm/InRelease HTTP/1.1\r\nHost: deb.test\r\nUser-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\n\r\n',
    'Go': 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n',
    'git': 'GET http://git.test/o/r.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: git.test\r\nUser-Agent: git/2.39.5\r\nAccept: */*\r\nAccept-Encoding: deflate, gzip, br, zstd\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\nGit-Protocol: version=2\r\n\r\n',
    'to an IPv6 address': 'GET http://[2001:db8::1]:80/ HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n',
    'with tabs, an empty value and fields twice': 'GET http://a.test/ HTTP/1.1\r\nHost:\ta.test \t\r\nX-Empty:\r\nX-Tab: a\tb\r\nHost: again\r\nTE: trailers\r\n\r\n',
    'without a field': 'GET http://a.test/ HTTP/1.1\r\n\r\n',
  }
  for (const [who, text] of Object.entries(clients)) t.strictSame(await plainHeadFault(parser, text, 'absolute'), { isTaken: true, fault: undefined }, who)
})
