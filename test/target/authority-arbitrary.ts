// Random authorities for the property test and the long fuzz run: well-formed ones, near misses, and junk.
import * as fc from '../support/property.ts'

const special = ['.', '..', '-', '_', ':', '[', ']', '::', '%', '@', '\\', '/', '?', '#', ' ', '\0', '\t', '\r\n', '*', ',']
const numbers = ['0', '1', '127', '255', '256', '0x7f', '0x', '0177', '08', '2130706433', '4294967296', '443', '65535', '65536']
const labels = ['localhost', 'EXAMPLE', 'a', 'A-b', 'xn--bcher-kva', 'xn--', 'xn--a', 'XN--zca', 'com', 'ß', 'ⓛ', '１', '。', 'a\u00adb', 'x'.repeat(63), 'x'.repeat(64)]
const v6 = ['::1', '::', 'fe80::1', '::ffff:127.0.0.1', '2001:DB8::0:1', '1:2:3:4:5:6:7:8', '1::2::3', 'fe80::1%25lo']

const label = fc.oneof(fc.constantFrom(...labels), fc.string({ unit: 'grapheme-ascii', maxLength: 8 }), fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/))
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'))
const address = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6().map((ip) => `[${ip}]`), fc.constantFrom(...v6).map((ip) => `[${ip}]`), fc.constantFrom(...v6))
const port = fc.oneof(fc.integer({ min: 1, max: 65535 }).map(String), fc.constantFrom('', '0', '+443', '0443', ' 443', '443 ', '65536', '4٤3', '443/x'))
const soup = fc.array(fc.constantFrom(...special, ...numbers, ...labels, ...v6), { maxLength: 8 }).map((parts) => parts.join(''))

/** Any text a client could write where an authority belongs. */
export const anyAuthority: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.oneof(name, address), port).map(([host, suffix]) => `${host}:${suffix}`) },
  { weight: 2, arbitrary: fc.oneof(name, address) },
  { weight: 2, arbitrary: soup },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
)
