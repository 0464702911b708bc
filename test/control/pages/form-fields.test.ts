// Forms and their seals.
import t from 'tap'
import { FormFields, isSealed, sealOf } from '../../../src/control/pages/form-fields.ts'
import * as fc from '../../support/property.ts'

const key = new Uint8Array(32).fill(1)

t.test('fields are read by name, and what was not sent is empty', async (t) => {
  const form = new FormFields('term=until%3A1h&comment=a+b%0D%0Ac&__proto__=x')
  t.equal(form.get('term'), 'until:1h')
  t.equal(form.get('comment'), 'a b\r\nc')
  t.equal(form.get('__proto__'), 'x')
  t.equal(form.get('constructor'), '')
})

t.test('a field that is there twice is refused', async (t) => {
  t.throws(() => new FormFields('verdict=deny&verdict=allow'), { code: 'invalid' })
})

t.test('a seal holds for its key, its purpose and its parts', async (t) => {
  const seal = sealOf(key, 'form', 'secret')
  t.ok(isSealed(seal, sealOf(key, 'form', 'secret')))
  t.notOk(isSealed(seal, sealOf(key, 'form', 'another')))
  t.notOk(isSealed(seal, sealOf(key, 'answer', 'secret')))
  t.notOk(isSealed(seal, sealOf(new Uint8Array(32), 'form', 'secret')))
  t.not(sealOf(key, 'answer', 'a', 'bc'), sealOf(key, 'answer', 'ab', 'c'))
})

t.test('nothing but the seal itself passes, and no text throws', async () => {
  const seal = sealOf(key, 'form', 'secret')
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string().map((tail) => seal + tail), fc.nat(seal.length).map((length) => seal.slice(0, length))), (given) =>
    isSealed(seal, given) === (given === seal)))
})
