import t from 'tap'
import { base32, encodeEvent, parseLine, recordUid, sealLine, zeroHash } from '../../src/audit/record.ts'
import { anyText, decisionOf } from './fixture.ts'
import * as fc from '../support/property.ts'

const time = '2026-01-02T03:04:05.006Z'

t.test('what is written is what is read, for any text', async () => {
  fc.assert(
    fc.property(anyText, anyText, fc.nat(), (body, value, seq) => {
      const encoded = encodeEvent({ name: 'sallyport.decision', severity: 'WARN', body, attributes: { value, count: 1.5, list: [value], none: undefined } })
      const { line, hash } = sealLine(encoded, seq + 1, zeroHash, recordUid('0'.repeat(10), '0'.repeat(8), seq), time, 'i')
      const { record } = parseLine(line.slice(0, -1))
      return /^[\x20-\x7e]+\n$/.test(line) && record?.body === body && record.attributes['value'] === value && record.hash === hash && record.seq === seq + 1
    }),
  )
})

t.test('a changed byte anywhere in a line is found', async (t) => {
  const { line } = sealLine(encodeEvent(decisionOf('r')), 1, zeroHash, '0'.repeat(26), time, 'i')
  const good = line.slice(0, -1)
  t.equal(parseLine(good).fault, undefined)
  let unfound = 0
  for (let at = 0; at < good.length; at++) {
    const changed = String.fromCharCode(good.charCodeAt(at) ^ 1)
    if (parseLine(good.slice(0, at) + changed + good.slice(at + 1)).fault === undefined) unfound++
  }
  t.equal(unfound, 0)
})

t.test('no text is mistaken for a record, and nothing is thrown', async (t) => {
  fc.assert(fc.property(fc.string(), (text) => parseLine(text).fault !== undefined))
  fc.assert(fc.property(fc.json(), (text) => parseLine(text).fault !== undefined))
  t.match(parseLine('{"v":2}').fault, /version 2/)
  t.match(parseLine('[]').fault, /not a record/)
  t.match(parseLine('{"v":1,"seq":1}').fault, /missing/)
})

t.test('uids have ULID form and sort as records do', async (t) => {
  t.equal(base32(33, 3), '011')
  const uids = [1, 2, 31, 32, 1000, 2 ** 39].map((seq) => recordUid(base32(Date.UTC(2026, 0), 10), 'ABCDEFGH', seq))
  for (const uid of uids) t.match(uid, /^[0-9A-HJKMNP-TV-Z]{26}$/)
  t.strictSame(uids.toSorted(), uids)
})
