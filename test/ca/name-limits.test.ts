// Name constraints: the rules of RFC 5280 section 4.2.1.10 by example.
import t from 'tap'
import { explicit, implicit, sequence } from '../../src/ca/der.ts'
import { DerError } from '../../src/ca/der-reader.ts'
import { decodeNameLimits, encodeNameLimits, permits } from '../../src/ca/name-limits.ts'
import { parseHost } from '../../src/target/host.ts'

const name = (text: string): Buffer => sequence(implicit(2, Buffer.from(text, 'latin1')))
const block = (hex: string): Buffer => sequence(implicit(7, Buffer.from(hex, 'hex')))
const allows = (value: Buffer, host: string): boolean => permits([decodeNameLimits(value)], parseHost(host))

t.test('what is written is read again', async (t) => {
  const limits = decodeNameLimits(encodeNameLimits(['example.com', 'pkg.test']))
  t.same(limits.permittedNames, ['example.com', 'pkg.test'])
  t.same(limits.excludedNames, [])
  t.equal(limits.permittedBlocks, undefined)
  t.same(limits.excludedBlocks.map(({ family, mask }) => [family, mask]), [[4, 0n], [6, 0n]])
})

t.test('a name is permitted with what is below it, at whole labels', async (t) => {
  const value = encodeNameLimits(['example.com'])
  for (const host of ['example.com', 'a.example.com', 'a.b.example.com']) t.ok(allows(value, host), host)
  for (const host of ['com', 'xample.com', 'badexample.com', 'example.com.evil.test', '192.0.2.7', '[::1]']) t.notOk(allows(value, host), host)
  t.notOk(allows(encodeNameLimits([]), 'example.com'), 'an empty list permits nothing')
})

t.test('exclusion wins, and kinds that are not named are free', async (t) => {
  const both = sequence(explicit(0, name('Example.com')), explicit(1, name('secret.example.com')))
  t.ok(allows(both, 'a.example.com'))
  t.notOk(allows(both, 'x.secret.example.com'))
  t.ok(allows(both, '192.0.2.7'), 'no word of addresses')
  const addresses = sequence(explicit(0, block('0a000000ff000000')))
  t.ok(allows(addresses, '10.1.2.3'))
  t.notOk(allows(addresses, '11.1.2.3'))
  t.notOk(allows(addresses, '[::1]'))
  t.ok(allows(addresses, 'example.com'), 'no word of names')
  t.notOk(allows(sequence(explicit(0, name('.example.com'))), 'example.com'), 'a leading dot leaves the name itself out')
  t.notOk(allows(sequence(explicit(1, name(''))), 'example.com'), 'the empty name is every name')
})

t.test('each certificate of a chain limits what is below it', async (t) => {
  const limits = [encodeNameLimits(['example.com']), encodeNameLimits(['a.example.com', 'other.test'])].map(decodeNameLimits)
  t.ok(permits(limits, parseHost('x.a.example.com')))
  t.notOk(permits(limits, parseHost('b.example.com')))
  t.notOk(permits(limits, parseHost('other.test')))
})

t.test('what cannot be read is an error', async (t) => {
  t.throws(() => decodeNameLimits(Buffer.from('0500', 'hex')), DerError)
  t.throws(() => decodeNameLimits(sequence(explicit(0, block('0a0000')))), DerError)
  t.throws(() => decodeNameLimits(sequence(explicit(2, name('a')))), DerError)
})
