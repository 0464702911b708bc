import t from 'tap'
import { ProxyError } from '../../src/errors.ts'
import { checkConnectionField, checkLoop, maxForwards, passableTrailers, requestFields, responseFields, safeReason } from '../../src/egress/field-rules.ts'
import { array, assert, constantFrom, property, tuple } from '../support/property.ts'

const via = '1.1 sally-test'

function codeOf(call: () => unknown): string {
  try {
    call()
    return 'nothing thrown'
  } catch (error) {
    return String(Reflect.get(Object(error), 'code'))
  }
}

t.test('hop-by-hop fields and what Connection names stay here, the rest keeps case, order and duplicates', async (t) => {
  const { fields } = requestFields('GET', [
    'host', 'elsewhere.test', 'X-One', '1', 'connection', 'close, X-Named', 'Keep-Alive', 'timeout=5', 'Proxy-Connection', 'keep-alive, x-other',
    'Proxy-Authorization', 'Basic eDp5', 'Proxy-Authenticate', 'Basic', 'Proxy-Authentication-Info', 'a=b', 'TE', 'trailers', 'Trailer', 'X-T',
    'Upgrade', 'h2c', 'HTTP2-Settings', 'AAM', 'Expect', '100-continue', 'x-named', 'gone', 'X-Other', 'gone', 'x-ONE', '2',
    'X-Forwarded-For', '192.0.2.1', 'Via', '1.0 before', '__proto__', 'kept', 'constructor', 'kept',
  ], 'origin.test', via)
  t.same(fields, [
    'Host', 'origin.test', 'X-One', '1', 'x-ONE', '2', 'X-Forwarded-For', '192.0.2.1', 'Via', '1.0 before', '__proto__', 'kept', 'constructor', 'kept', 'Via', via,
  ])
})

t.test('a Connection field that strips framing or identity is refused', async (t) => {
  for (const name of ['content-length', 'Transfer-Encoding', 'keep-alive, CONTENT-LENGTH']) {
    t.match(checkConnectionField(['Connection', name]), { code: 'framing' }, name)
  }
  for (const name of ['host', 'Authorization', 'cookie', 'close,\tcookie', 'Via', 'max-forwards', 'cache-control']) {
    t.match(checkConnectionField(['connection', name]), { code: 'field_syntax' }, name)
    t.match(checkConnectionField(['Proxy-Connection', name]), { code: 'field_syntax' }, name)
  }
  t.match(checkConnectionField(['Connection', 'x-injected'], new Set(['x-injected'])), { code: 'field_syntax' })
  t.match(checkConnectionField(['Connection', 'a b']), { code: 'field_syntax' })
  t.match(checkConnectionField(['Connection', 'close', 'Connection', 'host']), { code: 'field_syntax' })
  for (const name of ['close', 'Keep-Alive', 'TE, close', 'Upgrade, HTTP2-Settings', 'x-foo,,bar,', '']) {
    t.equal(checkConnectionField(['Connection', name]), undefined, name)
  }
})

function thrownBy(call: () => unknown): ProxyError {
  try {
    call()
  } catch (error) {
    if (error instanceof ProxyError) return error
  }
  throw new Error('no ProxyError')
}

t.test('a refusal repeats little of a field, and that in one visible line', async (t) => {
  const long = `a b${'\u00e9'.repeat(16_000)}`
  for (const error of [checkConnectionField(['Connection', long]), checkConnectionField(['Connection', `x${'y'.repeat(16_000)} z`])]) {
    t.equal(error?.code, 'field_syntax')
    t.match(error?.detail, /^[\x20-\x7e]{1,600}$/)
  }
  for (const call of [
    () => maxForwards('TRACE', ['Max-Forwards', long]), () => requestFields('GET', ['Content-Length', long], 'o', via), () => requestFields('GET', ['Transfer-Encoding', long], 'o', via),
    () => responseFields(200, ['Content-Length', long], via), () => responseFields(200, ['Transfer-Encoding', long], via),
  ]) {
    const detail = thrownBy(call).detail
    t.match(detail, /^[\x20-\x7e]{1,600}$/)
  }
})

t.test('a Connection field has 64 options at most; an origin that names thousands costs one pass', async (t) => {
  const options = (count: number) => Array.from({ length: count }, (_, i) => `x${i}`)
  t.equal(checkConnectionField(['Connection', options(64).join()]), undefined)
  t.match(checkConnectionField(['Connection', options(65).join()]), { code: 'field_syntax', detail: 'Connection has 65 options' })
  t.match(checkConnectionField(options(65).flatMap((option) => ['Connection', option])), { code: 'field_syntax' })
  t.equal(checkConnectionField(['Connection', 'x,'.repeat(8000)]), undefined)
  const many = options(4000)
  t.same(responseFields(200, ['Connection', many.join(), ...many.flatMap((name) => [name, '1']), 'X-Kept', '1'], via).fields, ['X-Kept', '1', 'Via', via])
})

t.test('our own pseudonym is found behind any number of hops', async (t) => {
  const hops = '1.1 other (a comment), '.repeat(700)
  t.match(checkLoop(['Via', `${hops}1.1 sally-test`], 'sally-test'), { code: 'loop_detected' })
  t.equal(checkLoop(['Via', `${hops}${' \t'.repeat(4000)}`, 'Via', ','.repeat(16_000)], 'sally-test'), undefined)
})

t.test('our own pseudonym in Via is a loop, another that holds it as a part is not', async (t) => {
  t.match(checkLoop(['Via', '1.1 a, 1.1 SALLY-test (x)'], 'sally-test'), { code: 'loop_detected' })
  t.match(checkLoop(['Via', '1.1 a', 'VIA', 'HTTP/1.1 sally-test'], 'sally-test'), { code: 'loop_detected' })
  t.equal(checkLoop(['Via', '1.1 sally-test2, 1.1 x-sally-test', 'X-Via', '1.1 sally-test'], 'sally-test'), undefined)
})

t.test('Max-Forwards counts down for OPTIONS and TRACE and is an ordinary field elsewhere', async (t) => {
  t.equal(maxForwards('OPTIONS', ['max-forwards', '0']), 0)
  t.equal(maxForwards('GET', ['Max-Forwards', '0']), undefined)
  t.same(requestFields('OPTIONS', ['Max-Forwards', '3'], 'o', via).fields, ['Host', 'o', 'Max-Forwards', '2', 'Via', via])
  t.same(requestFields('GET', ['Max-Forwards', '3'], 'o', via).fields, ['Host', 'o', 'Max-Forwards', '3', 'Via', via])
  for (const fields of [['Max-Forwards', '-1'], ['Max-Forwards', 'x'], ['Max-Forwards', '1', 'Max-Forwards', '1']]) {
    t.equal(codeOf(() => maxForwards('TRACE', fields)), 'field_syntax', fields.join())
  }
})

t.test('request framing is returned apart and never guessed', async (t) => {
  t.match(requestFields('POST', ['Content-Length', '5'], 'o', via), { contentLength: 5, chunked: false, fields: ['Host', 'o', 'Via', via] })
  t.match(requestFields('POST', ['Transfer-Encoding', 'Chunked'], 'o', via), { contentLength: undefined, chunked: true, fields: ['Host', 'o', 'Via', via] })
  for (const fields of [
    ['Content-Length', '5', 'Content-Length', '5'], ['Content-Length', '5, 5'], ['Content-Length', '+5'], ['Content-Length', '-1'], ['Content-Length', '0x5'],
    ['Content-Length', ''], ['Content-Length', '99999999999999999999'], ['Content-Length', '5', 'Transfer-Encoding', 'chunked'],
    ['Transfer-Encoding', ',chunked'], ['Transfer-Encoding', 'chunked, chunked'], ['Transfer-Encoding', 'gzip, chunked'], ['Transfer-Encoding', 'identity'],
    ['Transfer-Encoding', 'chunked\u00a0'], ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'],
  ]) t.equal(codeOf(() => requestFields('POST', fields, 'o', via)), 'framing', fields.join())
})

t.test('response framing is judged the same way, and 204 carries no Content-Length', async (t) => {
  t.same(responseFields(200, ['Content-Length', '5', 'connection', 'x-a', 'X-A', '1', 'Set-Cookie', 'a', 'set-cookie', 'b'], via),
    { fields: ['Content-Length', '5', 'Set-Cookie', 'a', 'set-cookie', 'b', 'Via', via], contentLength: 5, chunked: false })
  t.same(responseFields(204, ['Content-Length', '0'], via).fields, ['Via', via])
  t.same(responseFields(304, ['Content-Length', '9'], via).fields, ['Content-Length', '9', 'Via', via])
  for (const fields of [['Content-Length', '5', 'content-length', '5'], ['Content-Length', '5,5'], ['Transfer-Encoding', 'gzip'], ['Transfer-Encoding', 'chunked', 'Content-Length', '1']]) {
    t.equal(codeOf(() => responseFields(200, fields, via)), 'origin_protocol_error', fields.join())
  }
})

t.test('trailers that frame, route or authenticate are dropped', async (t) => {
  t.same(passableTrailers(['Content-Length', '1', 'transfer-encoding', 'chunked', 'Host', 'x', 'Authorization', 'x', 'Set-Cookie', 'x', 'Content-MD5', 'x', 'Proxy-Status', 'x', 'Grpc-Status', '0', 'X-Sum', 'ab']),
    [['Grpc-Status', '0'], ['X-Sum', 'ab']])
})

t.test('a reason phrase that is not visible ASCII is left out', async (t) => {
  t.equal(safeReason('Not Found'), 'Not Found')
  t.equal(safeReason('caf\u00e9'), '')
  t.equal(safeReason('a\rb'), '')
  t.equal(safeReason(undefined), '')
})

const name = constantFrom('Connection', 'connection', 'Proxy-Connection', 'Host', 'X-A', 'x-b', 'Cookie', 'TE', 'Keep-Alive', 'Proxy-Authorization', 'Upgrade', 'Via', 'Trailer', '__proto__', 'Accept')
const value = constantFrom('close', 'x-a', 'X-B, close', 'keep-alive', 'te', 'accept', '1', '', 'trailers', '__proto__')

t.test('whatever a client sends, nothing hop-by-hop leaves and Host stands once', async () => {
  assert(property(array(tuple(name, value), { maxLength: 12 }), (pairs) => {
    const { fields } = requestFields('GET', pairs.flat(), 'origin.test', via)
    const out = fields.filter((_, i) => i % 2 === 0).map((each) => each.toLowerCase())
    const named = new Set(pairs.filter(([key]) => key.toLowerCase().endsWith('connection')).flatMap(([, text]) => text.toLowerCase().split(',').map((each) => each.trim())))
    const stays = ['connection', 'proxy-connection', 'te', 'keep-alive', 'proxy-authorization', 'upgrade', 'trailer']
    if (out.filter((each) => each === 'host').length !== 1 || fields[1] !== 'origin.test') return false
    if (out.some((each) => stays.includes(each))) return false
    // `via` may be named, and ours is still there
    if (out.some((each, i) => named.has(each) && i !== out.length - 1 && each !== 'host')) return false
    const kept = pairs.filter(([key]) => !stays.includes(key.toLowerCase()) && key !== 'Host' && !named.has(key.toLowerCase())).flat()
    return JSON.stringify(fields.slice(2, -2)) === JSON.stringify(kept)
  }))
})
