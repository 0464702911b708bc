// The writer against the reader, and both against what others wrote down.
import t from 'tap'
import { bits, boolean, explicit, implicit, integer, nothing, octets, oid, sequence, set, time, tlv, utf8 } from '../../src/ca/der.ts'
import { DerError, DerReader } from '../../src/ca/der-reader.ts'
import { assert, property, uint8Array } from '../support/property.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

t.test('elements are written as X.690 has them', async (t) => {
  t.equal(hex(integer(Uint8Array.of())), '020100')
  t.equal(hex(integer(Uint8Array.of(0, 0, 0))), '020100')
  t.equal(hex(integer(Uint8Array.of(0x7f))), '02017f')
  t.equal(hex(integer(Uint8Array.of(0x80))), '02020080', 'an integer with the first bit set stays positive')
  t.equal(hex(integer(Uint8Array.of(0, 0x80))), '02020080')
  t.equal(hex(boolean(true)), '0101ff')
  t.equal(hex(boolean(false)), '010100')
  t.equal(hex(nothing()), '0500')
  t.equal(hex(oid('1.2.840.113549.1.1.11')), '06092a864886f70d01010b')
  t.equal(hex(oid('2.5.29.37.0')), '0604551d2500')
  t.equal(hex(bits(Uint8Array.of(0x06), 1)), '03020106')
  t.equal(hex(set(utf8('ä'))), '31040c02c3a4')
  t.equal(hex(explicit(3, octets(Uint8Array.of(1)))), 'a303040101')
  t.equal(hex(implicit(2, Buffer.from('a'))), '820161')
  t.throws(() => oid('1.2.-3'), RangeError)
})

t.test('times are UTC to the second, two digits of a year until 2049 and four after', async (t) => {
  t.equal(time(Date.UTC(2026, 10, 21, 8, 5, 9, 999)).subarray(2).toString(), '261121080509Z')
  t.equal(hex(time(Date.UTC(2049, 11, 31, 23, 59, 59)).subarray(0, 2)), '170d')
  t.equal(hex(time(Date.UTC(2050, 0, 1)).subarray(0, 2)), '180f')
  t.equal(time(Date.UTC(2050, 0, 1)).subarray(2).toString(), '20500101000000Z')
  t.throws(() => time(Date.UTC(1949, 0, 1)), RangeError)
  t.throws(() => time(8.64e15), RangeError)
})

t.test('what is written is read again, whatever its length', async (t) => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    const content = Buffer.alloc(length, 7)
    const reader = new DerReader(sequence(octets(content), nothing()))
    const inner = reader.enter(0x30)
    t.ok(inner.read(0x04).content.equals(content), `${length} bytes`)
    t.equal(inner.optional(0x02), undefined)
    t.equal(inner.read(0x05).content.length, 0)
    t.ok(inner.isAtEnd)
    inner.end()
    reader.end()
  }
  t.throws(() => tlv(0x04, Buffer.alloc(0x100_0000)), RangeError)
})

t.test('what is no DER is an error', async (t) => {
  const faults = ['', '30', '3001', '3080', '308101', '30820001', '3084000000010000', '1f8100', '0401', '30810000']
  for (const text of faults) t.throws(() => new DerReader(Buffer.from(text, 'hex')).read(), DerError, text)
  t.throws(() => new DerReader(Buffer.from('0500', 'hex')).read(0x30), DerError)
  t.throws(() => new DerReader(Buffer.from('05000500', 'hex')).enter(0x05).read(), DerError)
  t.throws(() => new DerReader(Buffer.from('0500', 'hex')).end(), DerError)
})

t.test('random bytes are read as whole elements or not at all', async (t) => {
  assert(property(uint8Array({ maxLength: 64 }), (bytes) => {
    try {
      const elements = new DerReader(bytes).rest()
      return Buffer.concat(elements.map(({ whole }) => whole)).equals(bytes)
    } catch (error) {
      return error instanceof DerError
    }
  }), { numRuns: 5_000 })
  t.pass('held')
})

t.test('random integers are read as the same number by the reader', async (t) => {
  assert(property(uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
    const { content } = new DerReader(integer(bytes)).read(0x02)
    const shortest = content.length === 1 || content[0] !== 0 || (content[1] ?? 0) > 0x7f
    return shortest && (content[0] ?? 0) < 0x80 && BigInt(`0x${hex(content)}`) === BigInt(`0x${hex(bytes)}`)
  }))
  t.pass('held')
})
