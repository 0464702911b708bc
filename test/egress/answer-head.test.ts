// Heads of answers that are read without llhttp, and those that are left to it.
import t from 'tap'
import { readAnswerHead } from '../../src/egress/answer-head.ts'

const read = (text: string) => readAnswerHead(text, text.indexOf('\r\n\r\n'))

t.test('a plain head is read as it was sent', async (t) => {
  t.strictSame(read('HTTP/1.1 200 OK\r\nServer: x\r\nset-cookie: a=1\r\nSet-Cookie:\t b=2\r\nX-N: caf\xe9 au\tlait\r\nContent-Length: 12\r\nKeep-Alive: timeout=5, max=100\r\nConnection: Keep-Alive\r\n\r\nand more'), {
    status: 200, reason: 'OK', isKept: true, keptMs: 5000, contentLength: 12,
    rawHeaders: ['Server', 'x', 'set-cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-N', 'caf\xe9 au\tlait', 'Content-Length', '12', 'Keep-Alive', 'timeout=5, max=100', 'Connection', 'Keep-Alive'],
  })
  t.match(read('HTTP/1.1 404 \r\nTRANSFER-ENCODING: Chunked\r\nconnection: CLOSE\r\n\r\n'), { status: 404, reason: '', isKept: false, keptMs: undefined, contentLength: undefined })
  t.match(read('HTTP/1.1 204 No Content\r\n\r\n'), { status: 204, contentLength: 0, rawHeaders: [] })
  t.match(read('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n'), { status: 304, contentLength: 0 })
  t.match(read('HTTP/1.1 200 OK\r\nContent-Length: 000\r\n\r\n'), { contentLength: 0 })
})

t.test('what is not plain, or ends where the connection ends, is left', async (t) => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  const left = [
    'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 101 x\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 103 x\r\n\r\n', 'HTTP/1.1 199 x\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n', 'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 a\0\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 \xe9\r\nContent-Length: 0\r\n\r\n', '\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
    `${ok}\r\n`, `${ok}X: y\r\n\r\n`, `${ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`, `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, `${ok}Transfer-Encoding: chunked\r\ncontent-length: 1\r\n\r\n`, `${ok}Content-Length: \r\n\r\n`, `${ok}Content-Length: +1\r\n\r\n`, `${ok}Content-Length: -1\r\n\r\n`, `${ok}Content-Length: 1,1\r\n\r\n`, `${ok}Content-Length: 0x1\r\n\r\n`, `${ok}Content-Length: 1.0\r\n\r\n`, `${ok}Content-Length: 9999999999999999\r\n\r\n`,
    `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`, `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, `${ok}Transfer-Encoding: identity\r\n\r\n`, `${ok}Transfer-Encoding: xchunked\r\n\r\n`, `${ok}Transfer-Encoding:\r\nContent-Length: 1\r\n\r\n`,
    'HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n', 'HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n',
    ...['Connection: close, x', 'Connection: upgrade', 'Connection:', 'Connection: close\r\nConnection: close', 'Keep-Alive: timeout=5\r\nKeep-Alive: timeout=6', 'Upgrade: h2c', 'Proxy-Connection: close', 'X: a \r\nY: b', 'X : a', 'X\t: a', ': a', 'no colon', ' folded: a', 'X: a\r\n b', 'X: a\0', 'X: a\x7f', 'X: a\rb', 'X: a\nb', 'X\xe9: a', 'X:', 'X: \t']
      .map((field) => `${ok}Content-Length: 1\r\n${field}\r\n\r\n`),
  ]
  for (const text of left) t.equal(read(text), undefined, JSON.stringify(text))
})

t.test('a field that is none takes no time that grows with the square of its length', async (t) => {
  for (const value of [`a${' '.repeat(60_000)}\0`, ' '.repeat(60_000), `${'a '.repeat(30_000)}\x7f`]) t.equal(read(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX:${value}\r\n\r\n`), undefined)
})
