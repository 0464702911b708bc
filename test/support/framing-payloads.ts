// Message framing as an attack: what is sent, and what may come of it, on either leg. ROOT stands for what is before a
// path in a request line of that leg, HOST for the authority, PATH for a path of the payload's own.
import type { Leg } from './legs.ts'

export type Outcome =
  /** an answer of 4xx or 5xx, nothing upstream */
  | 'refused'
  /** a head that was allowed and a body that is none: nothing whole upstream, the connection closed */
  | 'cut'
  /** one request upstream */
  | 'clean'

export interface Payload {
  readonly what: string
  readonly outcome: Outcome
  /** ROOT, HOST and PATH are filled in */
  readonly bytes: string
  /** where it says something else on the other one */
  readonly leg?: Leg['name']
}

const smuggled = 'GET ROOT/smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n'

/** POST with these field lines and this body. */
function post(what: string, outcome: Outcome, fields: string, body: string, line = 'POST ROOT/PATH HTTP/1.1'): Payload {
  return { what, outcome, bytes: `${line}\r\nHost: HOST\r\n${fields}\r\n${body}` }
}

const chunked = 'Transfer-Encoding: chunked\r\n'
const hello = '5\r\nhello\r\n0\r\n\r\n'
const big = (bytes: number): string => 'a'.repeat(bytes)

export const payloads: readonly Payload[] = [
  // two framings, or one said twice
  post('Content-Length and Transfer-Encoding', 'refused', `Content-Length: 5\r\n${chunked}`, hello + smuggled),
  post('Transfer-Encoding and Content-Length', 'refused', `${chunked}Content-Length: 3\r\n`, hello + smuggled),
  post('Content-Length 0 and Transfer-Encoding', 'refused', `Content-Length: 0\r\n${chunked}`, hello + smuggled),
  post('two Content-Length', 'refused', 'Content-Length: 5\r\nContent-Length: 6\r\n', `hello!${smuggled}`),
  post('two equal Content-Length', 'refused', 'Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'),
  post('two Content-Length in different case', 'refused', 'Content-Length: 5\r\ncontent-length: 0\r\n', 'hello'),
  ...['5, 5', '5,6', '+5', '-1', '-0', '0x5', '5 5', '5;', '', ' ', '5.0', '5e0', '18446744073709551616', '99999999999999999999', '9007199254740993', '\t5\x0b', '5\xa0', '٥'].map((value) =>
    post(`Content-Length ${JSON.stringify(value)}`, 'refused', `Content-Length: ${value}\r\n`, `hello${smuggled}`)),
  // transfer codings
  ...[',chunked', 'chunked,', ', chunked', 'chunked, chunked', 'xchunked', 'chunkedx', 'gzip, chunked', 'chunked, gzip', 'identity', 'identity, chunked', 'chunked;q=1', '"chunked"', 'chunked\xa0', '\xa0chunked', '\xffchunked', 'chunked\x0b', '\x0bchunked', 'chunked\x00', 'cow', '', 'deflate', 'chu nked', 'trailers'].map((value) =>
    post(`Transfer-Encoding ${JSON.stringify(value)}`, 'refused', `Transfer-Encoding: ${value}\r\n`, hello + smuggled)),
  post('two Transfer-Encoding', 'refused', `${chunked}${chunked}`, hello + smuggled),
  post('Transfer-Encoding twice, one identity', 'refused', `${chunked}Transfer-Encoding: identity\r\n`, hello + smuggled),
  post('Transfer-Encoding in capitals', 'clean', 'TRANSFER-ENCODING: CHUNKED\r\n', hello),
  post('Transfer-Encoding with a tab before it', 'clean', 'Transfer-Encoding:\tchunked\r\n', hello),
  post('Transfer-Encoding on HTTP/1.0', 'refused', chunked, hello + smuggled, 'POST ROOT/PATH HTTP/1.0'),
  post('Transfer_Encoding is another field', 'clean', 'Transfer_Encoding: chunked\r\nContent-Length: 5\r\n', 'hello'),
  post('Transfer-Encoding with a space in its name', 'refused', 'Transfer -Encoding: chunked\r\n', hello),
  // field lines
  post('a space before the colon', 'refused', 'Content-Length : 5\r\n', 'hello'),
  post('a tab before the colon', 'refused', 'Transfer-Encoding\t: chunked\r\n', hello),
  post('an empty name', 'refused', ': x\r\n', ''),
  post('no colon', 'refused', 'nothing\r\n', ''),
  post('obs-fold', 'refused', 'X-A: b\r\n c\r\n', ''),
  post('obs-fold with a tab', 'refused', 'X-A: b\r\n\tc\r\n', ''),
  post('a folded Transfer-Encoding', 'refused', 'Transfer-Encoding:\r\n chunked\r\n', hello),
  post('a fold as the first line', 'refused', ' X-A: b\r\n', ''),
  post('a bare LF between fields', 'refused', 'X-A: b\nX-B: c\r\n', ''),
  post('a bare LF that hides a framing', 'refused', 'X-A: b\nContent-Length: 5\r\n', `hello${smuggled}`),
  post('a bare CR in a value', 'refused', 'X-A: b\rc\r\n', ''),
  post('a bare CR that hides a framing', 'refused', 'X-A: b\rContent-Length: 5\r\n', `hello${smuggled}`),
  post('CR CR LF', 'refused', 'X-A: b\r\r\n', ''),
  post('a NUL in a value', 'refused', 'X-A: b\0c\r\n', ''),
  post('a NUL in a name', 'refused', 'X\0A: b\r\n', ''),
  post('a control in a value', 'refused', 'X-A: b\x01c\r\n', ''),
  post('a delimiter in a name', 'refused', 'X(A): b\r\n', ''),
  post('bytes beyond ASCII in a name', 'refused', 'X\xe9: b\r\n', ''),
  post('bytes beyond ASCII in a value', 'clean', 'X-A: caf\xe9\r\n', ''),
  post('a DEL in a value', 'refused', 'X-A: b\x7fc\r\n', ''),
  { what: 'LF for every line end', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\nHost: HOST\n\n' },
  { what: 'the head ends in LF LF', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\r\nHost: HOST\n\n' },
  { what: 'the head ends in CR LF LF', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n\n' },
  // request lines
  { what: 'no version', outcome: 'refused', bytes: 'GET ROOT/PATH\r\n\r\n' },
  { what: 'no version, and the page of the proxy itself', outcome: 'refused', bytes: 'GET /\r\n\r\n' },
  { what: 'the page of the proxy itself with a body', outcome: 'refused', bytes: 'GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello', leg: 'plain' },
  { what: 'no version and fields', outcome: 'refused', bytes: 'GET ROOT/PATH\r\nHost: HOST\r\n\r\n' },
  ...['HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/2', 'HTTP/11', 'HTTP/1.10', 'HTTP/01.1', 'http/1.1', 'HTTP/1,1', 'HTTP/ 1.1', 'HTTPS/1.1', 'ICE/1.0', 'XTTP/1.1', 'HTTP/1.1 x'].map((version) =>
    ({ what: `version ${version}`, outcome: 'refused' as const, bytes: `GET ROOT/PATH ${version}\r\nHost: HOST\r\n\r\n` })),
  ...['GE(T', 'get', 'G\xcbT', 'GET\t', 'TRACE', 'TRACK', 'PRI', 'FOO', '', 'GET GET', 'DEBUG'].map((method) =>
    ({ what: `method ${JSON.stringify(method)}`, outcome: 'refused' as const, bytes: `${method} ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n\r\n` })),
  // the parser does not say which protocol's name it read, and makes nothing else of it
  { what: 'version RTSP/1.0', outcome: 'clean', bytes: 'GET ROOT/PATH RTSP/1.0\r\nHost: HOST\r\n\r\n' },
  { what: 'the HTTP/2 preface', outcome: 'refused', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  // RFC 9112 section 3 lets a reader split at any run of spaces
  { what: 'two spaces in the request line', outcome: 'clean', bytes: 'GET  ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a tab in the request line', outcome: 'refused', bytes: 'GET\tROOT/PATH\tHTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a space before the request line', outcome: 'refused', bytes: ' GET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a bare CR in the request line', outcome: 'refused', bytes: 'GET ROOT/PATH\rx HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a NUL in the request line', outcome: 'refused', bytes: 'GET ROOT/PATH\0 HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'TLS', outcome: 'refused', bytes: '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03' },
  // forms of the target
  // the parser knows no absolute-form of https, which no client sends inside a tunnel; http there would leave TLS
  ...['https://HOST/PATH', 'http://HOST/PATH', 'https://evil.test/PATH', 'http://evil.test/PATH', 'http://allowed.test/PATH', 'https://u:p@HOST/PATH', 'ftp://HOST/PATH', 'PATH', 'HOST', '*', '/PATH#x', '/PATH\\x', '/PATH\xe9', '/PATH x'].map((target) =>
    ({ what: `the target ${JSON.stringify(target)}`, outcome: 'refused' as const, bytes: `GET ${target} HTTP/1.1\r\nHost: HOST\r\n\r\n`, leg: 'inside TLS' as const })),
  { what: 'a path that looks like an authority', outcome: 'clean', bytes: 'GET //other.test/PATH HTTP/1.1\r\nHost: HOST\r\n\r\n', leg: 'inside TLS' },
  // Host
  { what: 'Host missing', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\r\n\r\n' },
  { what: 'Host missing on HTTP/1.0', outcome: 'clean', bytes: 'GET ROOT/PATH HTTP/1.0\r\n\r\n' },
  { what: 'Host twice', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n' },
  { what: 'Host twice, one another', outcome: 'refused', bytes: 'GET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\nHost: evil.test\r\n\r\n' },
  ...['', 'evil.test', 'HOST, evil.test', 'HOST,HOST', 'evil.test@HOST', 'HOST/x', 'allowed.test:1', 'allowed.test:', 'allowed.test', 'http://HOST/', '127.0.0.1', 'HOST\0', 'HOST x'].map((host) =>
    ({ what: `Host ${JSON.stringify(host)}`, outcome: 'refused' as const, bytes: `GET ROOT/PATH HTTP/1.1\r\nHost: ${host}\r\n\r\n` })),
  // chunks
  ...['-1', '0x5', '1_0', '+5', ' 5', '5 x', 'g', '', '11111111111111111', 'fffffffffffffffff', '5\x00', '\t5', '5\n'].map((size) =>
    post(`chunk size ${JSON.stringify(size)}`, 'cut', chunked, `${size}\r\nhello\r\n0\r\n\r\n${smuggled}`)),
  post('a chunk size with a bare LF', 'cut', chunked, `5\nhello\r\n0\r\n\r\n${smuggled}`),
  post('chunk data longer than its size', 'cut', chunked, `5\r\nhelloXX0\r\n\r\n${smuggled}`),
  post('chunk data that ends in LF', 'cut', chunked, `5\r\nhello\n0\r\n\r\n${smuggled}`),
  post('chunk data that ends in CR', 'cut', chunked, `5\r\nhello\r0\r\n\r\n${smuggled}`),
  post('a chunk extension with a bare LF', 'cut', chunked, `5;a\nb\r\nhello\r\n0\r\n\r\n${smuggled}`),
  post('a chunk extension with a NUL', 'cut', chunked, `5;a=\0\r\nhello\r\n0\r\n\r\n${smuggled}`),
  post('a chunk extension of 64 KiB', 'cut', chunked, `5;a=${big(65_536)}\r\nhello\r\n0\r\n\r\n`),
  post('a last chunk that ends in LF', 'cut', chunked, `5\r\nhello\r\n0\n\r\n${smuggled}`),
  post('a small chunk extension', 'clean', chunked, '5;a=b\r\nhello\r\n0\r\n\r\n'),
  post('chunk sizes with leading zeros and capitals', 'clean', chunked, `00005\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n`),
  post('trailers', 'clean', chunked, '5\r\nhello\r\n0\r\nX-T: 1\r\nAuthorization: Basic x\r\nHost: evil.test\r\nCookie: a=b\r\n\r\n'),
  post('a trailer Content-Length', 'cut', chunked, `5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n${smuggled}`),
  post('a trailer Transfer-Encoding', 'cut', chunked, `5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`),
  post('a trailer with obs-fold', 'cut', chunked, `5\r\nhello\r\n0\r\nX-T: 1\r\n 2\r\n\r\n`),
  post('a trailer with a bare LF', 'cut', chunked, `5\r\nhello\r\n0\r\nX-T: 1\nX: 2\r\n\r\n${smuggled}`),
  // bodies where they are unusual
  post('a body on GET', 'clean', 'Content-Length: 5\r\n', 'hello', 'GET ROOT/PATH HTTP/1.1'),
  post('a chunked body on GET', 'clean', chunked, hello, 'GET ROOT/PATH HTTP/1.1'),
  post('a body on DELETE', 'clean', 'Content-Length: 5\r\n', 'hello', 'DELETE ROOT/PATH HTTP/1.1'),
  post('a body of no bytes', 'clean', 'Content-Length: 0\r\n', ''),
  post('a body on OPTIONS', 'clean', 'Content-Length: 5\r\n', 'hello', 'OPTIONS ROOT/PATH HTTP/1.1'),
  post('no framing on POST', 'clean', '', ''),
  { what: 'an empty line before the request', outcome: 'clean', bytes: '\r\nGET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a path of its own bytes', outcome: 'clean', bytes: 'GET ROOT/PATH/%2e%2e//a;b?c=%00&d HTTP/1.1\r\nHost: HOST\r\n\r\n' },
  { what: 'a field called __proto__', outcome: 'clean', bytes: 'GET ROOT/PATH HTTP/1.1\r\nHost: HOST\r\n__proto__: x\r\nconstructor: y\r\nhasOwnProperty: z\r\n\r\n' },
  // the frames of a tunnel where none is
  post('CONNECT with a body', 'refused', 'Content-Length: 5\r\n', 'hello', 'CONNECT HOST HTTP/1.1'),
  post('CONNECT with a chunked body', 'refused', chunked, hello, 'CONNECT HOST HTTP/1.1'),
]
