// The shipped list of places for handing data to strangers.
import t from 'tap'
import { categoriesOf, hostCategories } from '../../src/approvals/host-categories.ts'
import { parseHost } from '../../src/target/host.ts'
import { isPublicSuffix } from '../../src/target/registrable-domain.ts'

const all = Object.values(hostCategories).flat()

t.test('the list has canonical names, each once, and enough of them', async (t) => {
  t.ok(all.length >= 60)
  t.equal(new Set(all).size, all.length)
  for (const domain of all) {
    t.equal(parseHost(domain).text, domain)
    t.ok(domain.includes('.'), domain)
  }
  for (const [category, domains] of Object.entries(hostCategories)) t.ok(domains.length >= 5, category)
})

t.test('no whole top-level domain is on the list', async (t) => {
  for (const domain of all) t.notOk(isPublicSuffix(domain) && domain.split('.').length < 2, domain)
})

t.test('a name is found by itself and by its parents, and by nothing else', async (t) => {
  for (const [name, categories] of [
    ['pastebin.com', ['paste_site']],
    ['www.pastebin.com', ['paste_site']],
    ['notpastebin.com', []],
    ['pastebin.com.evil.example', []],
    ['a.b.trycloudflare.com', ['tunnel_service']],
    ['x.webhook.site', ['webhook_service']],
    ['hooks.slack.com', ['webhook_service']],
    ['slack.com', []],
    ['transfer.sh', ['file_drop']],
    ['bit.ly', ['url_shortener']],
    ['me.duckdns.org', ['dynamic_dns']],
    ['10-0-0-1.sslip.io', ['dynamic_dns']],
    ['github.com', []],
    ['gist.github.com', ['paste_site']],
    ['com', []],
  ] as const) t.same(categoriesOf(name), categories, name)
})
