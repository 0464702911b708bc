// A host on a page: the ASCII form, what was registered in bold, the rest where it may give way.
import t from 'tap'
import { fullName, hostName, schemeAndPort } from '../../../src/control/pages/host-name.ts'

t.test('what was registered stands apart from what is below it', async (t) => {
  t.equal(hostName('login.bank.com.evil.co.uk').toString(),
    '<span class="host"><span class="below"><bdi dir="ltr">login.bank.com.</bdi></span><strong class="domain">evil.co.uk</strong></span>')
})

t.test('a registered name, a single label and an address are whole', async (t) => {
  for (const [host, shown] of [['example.org', 'example.org'], ['intranet', 'intranet'], ['192.0.2.7', '192.0.2.7'], ['2001:db8::7', '[2001:db8::7]']] as const) {
    t.equal(hostName(host).toString(), `<span class="host"><strong class="domain">${shown}</strong></span>`, host)
  }
})

t.test('a name of a shared suffix is as long as what one tenant has', async (t) => {
  t.match(hostName('a.b.github.io').toString(), '<strong class="domain">b.github.io</strong>')
})

t.test('only a long name is written out in full', async (t) => {
  t.equal(fullName('files.example.org'), undefined)
  const long = `${'a'.repeat(40)}.example.org`
  t.match(fullName(long)?.toString(), long)
})

t.test('scheme and port are always both there, and an unusual port is marked', async (t) => {
  t.match(schemeAndPort({ scheme: 'https', port: 443 }).toString(), /"chip">https.*"chip">port 443/)
  t.match(schemeAndPort({ scheme: 'http', port: 443 }).toString(), /"chip">http<.*"chip unusual">port 443/)
  t.match(schemeAndPort({ scheme: 'https', port: undefined }).toString(), 'any port')
})
