// Parts of request heads, whole and broken, that readers of heads are held against node's parser with.
import * as fc from '../support/property.ts'

/** mostly one of the usual ones */
export const often = <T>(usual: readonly T[], odd: readonly T[]): fc.Arbitrary<T> => fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) })
export const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
export const lineEnd = often(['\r\n'], ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\r\n\t', '\r\n\r\n', ' \r\n', '\0\r\n', ''])
export const version = often([' HTTP/1.1'], [' HTTP/1.0', ' HTTP/0.9', ' HTTP/2.0', ' HTTP/1.2', ' http/1.1', ' HTTP/1.1 ', '  HTTP/1.1', '\tHTTP/1.1', ' HTTP/1.11', ' HTTP/11', ' HTTPS/1.1', ' ICE/1.0', ' RTSP/1.0', '', ' '])
const anyCase = (words: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(fc.constantFrom(...words), fc.infiniteStream(fc.boolean())).map(([word, upper]) => Array.from(word, (each) => (upper.next().value ? each.toUpperCase() : each.toLowerCase())).join(''))
const colon = often([': ', ':', ':\t'], [' : ', ' :', '', '::', ':  \t ', ':\r\n ', ':\r\n', ':\0', ';'])

/** Lines of fields; `names` and `authority` are the usual ones. */
export function fieldLines(names: readonly string[], authority: string): fc.Arbitrary<string[]> {
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...names) },
    { weight: 6, arbitrary: anyCase(['content-length', 'transfer-encoding', 'upgrade', 'connection', 'proxy-connection', 'expect', 'host', 'te', 'trailer', 'keep-alive', 'content-lengtH ', 'connectio', 'upgradee']) },
    { weight: 1, arbitrary: fc.constantFrom('', ' ', '\t', 'Host ', ' Host', 'Ho st', 'H\0st', 'Host\t', 'H\xf6st', 'Host\x7f', '!#$%&\'*+.^_`|~', '"quoted"', '(c)', 'a/b', '{', 'Host\r', 'x'.repeat(4000), '0') },
    { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 6 }) },
  )
  const value = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(authority, 'keep-alive', 'close', 'Keep-Alive', 'curl/8.5.0', 'Basic dTpw', '', '0') },
    { weight: 6, arbitrary: anyCase(['chunked', 'upgrade', 'websocket', 'close', 'keep-alive', '100-continue', 'close, keep-alive', 'close,', 'keep-alive ', 'proxy-connection', 'h2c', 'gzip, chunked', 'identity']) },
    { weight: 3, arbitrary: fc.constantFrom('5', '00', '-1', '+5', '5, 5', '0x5', '99999999999999999999', ' ', '\t', ' spaces around \t', 'tab\tinside', 'a:b:c', 'nul\0', 'del\x7f', 'esc\x1b', 'high\x80\xff', 'utf\xc3\xbc', 'cr\rx', 'lf\nx', 'fold\r\n more', 'y'.repeat(4000)) },
    { weight: 1, arbitrary: fc.string({ unit: byte, maxLength: 12 }) },
  )
  return fc.array(fc.tuple(name, colon, value, lineEnd).map((parts) => parts.join('')), { maxLength: 5 })
}

/** one byte put in, taken out or changed, mostly one that means something */
const damage = fc.tuple(fc.nat(400), fc.constantFrom('insert', 'remove', 'change'), fc.oneof(byte, fc.constantFrom('\r', '\n', '\0', '\t', ' ', ':', '\x7f', '\x80', '\x0b', '\x0c')))

/** A head that is mostly whole. */
export function damaged(head: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(head, fc.option(damage, { freq: 2 })).map(([text, how]) => {
    if (how === null) return text
    const [place, what, put] = how
    const at = place % (text.length + 1)
    return text.slice(0, at) + (what === 'remove' ? '' : put) + text.slice(what === 'insert' ? at : at + 1)
  })
}

/** Heads that are not whole or not plain, made of a first line and the Host behind it, each with its line end. */
export function brokenHeads(line: string, host: string): Readonly<Record<string, string>> {
  const first = line.slice(0, -2)
  const second = host.slice(0, -2)
  return {
    'nothing': '',
    'a head without its end': `${line}${host}`,
    'a head without its last byte': `${line}${host}\r`,
    'an end of line feeds': `${first}\n${host}\n\n`,
    'a line feed between fields': `${line}${second}\nX: y\r\n\r\n`,
    'a carriage return in a value': `${line}${second}\rX: y\r\n\r\n`,
    'a folded value': `${line}${host}X: y\r\n z\r\n\r\n`,
    'a folded first line': `${line} x\r\n${host}\r\n`,
    'a space before the colon': `${line}${host.replace(':', ' :')}\r\n`,
    'a field without a name': `${line}: x\r\n\r\n`,
    'a line without a colon': `${line}${host}x\r\n\r\n`,
    'NUL in a value': `${line}${host}X: a\0b\r\n\r\n`,
    'DEL in a value': `${line}${host}X: a\x7fb\r\n\r\n`,
    'a byte above ASCII in a value': `${line}${host}X: \xe9\r\n\r\n`,
    'a byte above ASCII in a name': `${line}${host}\xe9: x\r\n\r\n`,
    'an empty line before': `\r\n${line}${host}\r\n`,
    'a space behind the version': `${first} \r\n${host}\r\n`,
  }
}
