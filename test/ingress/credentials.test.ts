import t from 'tap'
import { parseCredentials } from '../../src/ingress/credentials.ts'
import * as fc from '../support/property.ts'

const encode = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
const user = fc.stringMatching(/^[\x21-\x39\x3b-\x7e]{1,40}$/)
const password = fc.stringMatching(/^[\x21-\x7e]{1,80}$/)

t.test('credentials come out as they were put in, whatever colons the password has', async () => {
  fc.assert(fc.property(user, password, fc.constantFrom('Basic ', 'basic ', 'BASIC   '), (name, secret, scheme) => {
    const parsed = parseCredentials([scheme + encode(`${name}:${secret}`)])
    return parsed?.user === name && parsed.password === secret
  }))
})

t.test('a repeated field is not valid, be it the same twice', async () => {
  fc.assert(fc.property(user, password, fc.array(fc.string(), { minLength: 1, maxLength: 3 }), (name, secret, more) => {
    const value = `Basic ${encode(`${name}:${secret}`)}`
    return parseCredentials([value, ...more]) === undefined && parseCredentials([...more, value]) === undefined && parseCredentials([value, value]) === undefined
  }))
})

t.test('no two values mean the same credentials, the case of the scheme and its spaces aside', async () => {
  fc.assert(fc.property(user, password, fc.stringMatching(/^[A-Za-z0-9+/=_ ,;"-]{1,4}$/), fc.nat(), (name, secret, inserted, at) => {
    const encoded = encode(`${name}:${secret}`)
    const place = at % (encoded.length + 1)
    const parsed = parseCredentials([`Basic ${encoded.slice(0, place)}${inserted}${encoded.slice(place)}`])
    // spaces behind the scheme are the one thing that may vary
    return parsed === undefined || (place === 0 && inserted.trim() === '') || parsed.user !== name || parsed.password !== secret
  }))
})

t.test('what holds a control, a space or anything beyond ASCII is not valid', async () => {
  const hidden = fc.integer({ min: 0, max: 255 }).filter((code) => code < 0x21 || code > 0x7e)
  fc.assert(fc.property(user, password, hidden, fc.nat(), (name, secret, code, at) => {
    const text = `${name}:${secret}`
    const place = at % (text.length + 1)
    return parseCredentials([`Basic ${encode(text.slice(0, place) + String.fromCharCode(code) + text.slice(place))}`]) === undefined
  }))
})

t.test('nothing at all makes it throw', async () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 300 }), { maxLength: 2 }), (values) => {
    const parsed = parseCredentials(values)
    return parsed === undefined || parsed.user.length + parsed.password.length > 1
  }))
})

t.test('what is not Basic, not base64, too long or has no colon is not valid', async (t) => {
  const good = encode('sabc:token')
  t.strictSame(parseCredentials([`Basic ${good}`]), { user: 'sabc', password: 'token' })
  for (const value of [
    '', 'Basic', 'Basic ', good, `Bearer ${good}`, `Basic\t${good}`, `Basic ${good} `, ` Basic ${good}`, `Basic ${good}, Basic ${good}`, `Basic realm="${good}"`,
    `Basic ${encode('sabc')}`, `Basic ${encode(':token')}`, `Basic ${encode('sabc:')}`, `Basic ${encode(':')}`,
    `Basic ${encode('s:abc')}=`, `Basic ${encode('s:abc').replaceAll('=', '')}`, `Basic ${encode('s:t')}====`,
    // stray bits behind the last byte, and the alphabet of URLs
    'Basic YTpiYh==', `Basic ${encode('s:?>?>').replaceAll('+', '-').replaceAll('/', '_')}`,
    `Basic ${encode(`s:${'x'.repeat(300)}`)}`, 'Basic !!!!',
  ]) t.equal(parseCredentials([value]), undefined, value)
  t.equal(parseCredentials([]), undefined)
})

t.test('a long value costs no more than its length', async (t) => {
  for (const value of [`Basic${' '.repeat(1_000_000)}`, `Basic ${'A'.repeat(1_000_000)}`, `Basic ${'='.repeat(1_000_000)}`]) t.equal(parseCredentials([value]), undefined)
})
