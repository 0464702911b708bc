// The cookie that signs somebody in.
import t from 'tap'
import { cookieField, fitsCookie, readCookie } from '../../../src/control/pages/cookie.ts'

t.test('the cookie of this name is found among others', async (t) => {
  t.equal(readCookie('a=1; sallyport_x=sp_abc; b=2', 'sallyport_x'), 'sp_abc')
  t.equal(readCookie('a=1', 'sallyport_x'), undefined)
  t.equal(readCookie(undefined, 'sallyport_x'), undefined)
  t.equal(readCookie('my_sallyport_x=1', 'sallyport_x'), undefined)
})

t.test('a cookie that is there twice is none: somebody else put one there', async (t) => {
  t.equal(readCookie('sallyport_x=a; sallyport_x=b', 'sallyport_x'), undefined)
})

t.test('it is never seen by scripts and never sent from another site', async (t) => {
  t.equal(cookieField('n', 'v', false), 'n=v; Path=/; HttpOnly; SameSite=Strict')
  t.equal(cookieField('n', 'v', true), 'n=v; Path=/; HttpOnly; SameSite=Strict; Secure')
  t.equal(cookieField('n', '', false), 'n=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0')
})

t.test('only what needs no quoting fits', async (t) => {
  t.ok(fitsCookie('sp_aB-9'))
  for (const value of ['', 'a;b', 'a b', 'a\r\nset-cookie: x', 'é', 'a'.repeat(257)]) t.notOk(fitsCookie(value), value)
})
