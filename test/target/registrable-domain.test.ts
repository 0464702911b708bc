import t from 'tap'
import { icannDomain, isPublicSuffix, registrableDomain } from '../../src/target/registrable-domain.ts'

t.test('the registrable domain is the suffix and one label more, private section included', async (t) => {
  for (const [name, domain] of [
    ['example.com', 'example.com'],
    ['a.b.example.com', 'example.com'],
    ['a.b.example.co.uk', 'example.co.uk'],
    ['me.github.io', 'me.github.io'],
    ['x.me.github.io', 'me.github.io'],
    ['app.vercel.app', 'app.vercel.app'],
    ['bucket.s3.amazonaws.com', 'bucket.s3.amazonaws.com'],
    ['_dmarc.example.com', 'example.com'],
    ['www.xn--85x722f.xn--55qx5d.cn', 'xn--85x722f.xn--55qx5d.cn'],
    ['wiki.corp', 'wiki.corp'],
  ] as const) {
    t.equal(registrableDomain(name), domain, name)
  }
  for (const name of ['com', 'co.uk', 'github.io', 'localhost', '127.0.0.1', '']) t.equal(registrableDomain(name), undefined, name)
})

t.test('by the ICANN section alone, names of many tenants have one domain', async (t) => {
  for (const [name, domain] of [['x.me.github.io', 'github.io'], ['bucket.s3.amazonaws.com', 'amazonaws.com'], ['github.io', 'github.io'], ['a.b.example.co.uk', 'example.co.uk']] as const) t.equal(icannDomain(name), domain, name)
  for (const name of ['com', 'co.uk', 'localhost', '127.0.0.1', '']) t.equal(icannDomain(name), undefined, name)
})

t.test('a public suffix is a name below which anybody may register', async (t) => {
  for (const name of ['com', 'co.uk', 'github.io', 'vercel.app', 's3.amazonaws.com', 'foo.ck', 'corp']) t.ok(isPublicSuffix(name), name)
  for (const name of ['example.com', 'me.github.io', 'www.ck', 'amazonaws.com', 'localhost', 'internal', 'local', 'test', '127.0.0.1', '']) t.notOk(isPublicSuffix(name), name)
})
