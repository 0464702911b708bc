// What a reviewer sees: the name, the hints, the rules nearby, the patterns to choose from.
import t from 'tap'
import { AllowedNames } from '../../src/approvals/allowed-names.ts'
import type { Approval } from '../../src/approvals/approval.ts'
import { buildCard } from '../../src/approvals/card-builder.ts'
import type { CardContext } from '../../src/approvals/card-builder.ts'
import type { Card } from '../../src/approvals/card.ts'
import { ProxyError } from '../../src/errors.ts'
import { broadness } from '../../src/policy/broad.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { parseHostPattern, scopeCovers } from '../../src/policy/pattern.ts'
import { parseHost } from '../../src/target/host.ts'
import { anApproval } from '../support/approvals.ts'
import * as fc from '../support/property.ts'

const text = `[network]
allowed_domains = ["api.paypal.com", "shop.example", "docs.shop.example", "files.example", "ssh.example:22"]
review_domains  = ["*.slack.example"]

[network.approvals]
owner_may        = ["once", "session"]
four_eyes        = ["**.bank.example"]
comment_required = ["always"]

[[network.rules]]
id      = "read"
hosts   = ["api.example.org"]
methods = ["GET"]
paths   = ["/repos/**"]
verdict = "allow"

[[network.rules]]
id      = "others"
hosts   = ["team.example.org"]
agents  = ["gemini"]
verdict = "allow"
`

function contextOf(more: Partial<CardContext> = {}): CardContext {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', layer: 'policy', text }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return { policy, allowed: new AllowedNames(policy), nowMs: 0, similar: [], others: [], openQuestions: 1, isKnown: () => true, ...more }
}

const context = contextOf()
const card = (approval: Partial<Approval>, more: Partial<CardContext> = {}): Card => buildCard(anApproval(approval), { ...context, ...more })
const codes = (approval: Partial<Approval>, more: Partial<CardContext> = {}): string[] => card(approval, more).hints.map(({ code }) => code)
const asciiOf = (name: string): string => new URL(`http://${name}/`).hostname

t.test('an ordinary host has no hint at all', async (t) => {
  t.same(codes({ host: 'www.shop.example' }), [])
})

const hints: readonly (readonly [approval: Partial<Approval>, codes: readonly string[], more?: Partial<CardContext>])[] = [
  [{ host: '192.0.2.7' }, ['ip_literal']],
  [{ host: '2001:db8::7' }, ['ip_literal']],
  [{ host: asciiOf('b\u00fccher.example') }, ['punycode']],
  [{ host: asciiOf('\u0430pple.com') }, ['punycode', 'confusable']],
  [{ host: asciiOf('p\u0430ypal.com') }, ['punycode', 'confusable', 'resembles_allowed']],
  [{ host: 'login.paypa1.com' }, ['resembles_allowed']],
  [{ host: 'www.paypal.com' }, []],
  [{ host: 'www.shop.example' }, ['first_time_here'], { isKnown: () => false }],
  [{ host: '192.0.2.7' }, ['ip_literal', 'first_time_here'], { isKnown: (domain) => domain !== '192.0.2.7' }],
  [{ host: 'a.b.shop.example' }, ['first_time_here'], { isKnown: (domain) => domain !== 'shop.example' }],
  [{ port: 8443 }, ['unusual_port']],
  [{ scheme: 'http', port: 80 }, ['plain_http']],
  [{ scheme: 'http', port: 443 }, ['unusual_port', 'plain_http']],
  [{ method: 'POST', url: 'https://www.shop.example/' }, ['upload_method']],
  [{ method: 'FROB', url: 'https://www.shop.example/' }, ['upload_method']],
  [{ method: 'GET', url: 'https://www.shop.example/' }, []],
  [{ host: 'x.pastebin.com' }, ['paste_site']],
  [{ host: 'abc.ngrok-free.app' }, ['tunnel_service']],
  [{ host: 'x.webhook.site' }, ['webhook_service']],
  [{ host: 'transfer.sh' }, ['file_drop']],
  [{ host: 'bit.ly' }, ['url_shortener']],
  [{ host: 'me.duckdns.org' }, ['dynamic_dns']],
  [{ host: `login.bank.com.${'x'.repeat(60)}.evil.test` }, ['long_name', 'deep_name']],
  [{ host: 'a.b.c.d.evil.test' }, ['deep_name']],
  [{ host: 'a.b.c.evil.test' }, []],
  [{}, ['many_questions'], { openQuestions: 10 }],
  [{}, [], { openQuestions: 9 }],
  [{ advisory: true }, ['advisory']],
]
t.test('each hint is given where it applies, and nowhere else', async (t) => {
  const given = new Set<string>()
  for (const [approval, expected, more] of hints) {
    const { hints: found } = card(approval, more)
    t.same(found.map(({ code }) => code), expected, JSON.stringify(approval))
    for (const { code, text: says } of found) {
      given.add(code)
      t.match(says, /^[\x20-\x7e]{10,300}\.$/, code)
    }
  }
  t.equal(given.size, 18, 'all of them are tried')
})

t.test('the decoded name is shown where it deceives nobody', async (t) => {
  t.equal(card({ host: asciiOf('b\u00fccher.example') }).unicodeHost, 'b\u00fccher.example')
  t.equal(card({ host: asciiOf('\u043f\u0440\u0438\u043c\u0435\u0440.example') }).unicodeHost, '\u043f\u0440\u0438\u043c\u0435\u0440.example')
  for (const host of [asciiOf('\u0430pple.com'), asciiOf('\u0430\u0440\u0440\u04cf\u0435.com'), asciiOf('\u05d0\u05d1.example'), 'www.shop.example', '192.0.2.7']) t.equal(card({ host }).unicodeHost, undefined, host)
  t.equal(card({ host: asciiOf('www.\u0430pple.com') }).registrableDomain, asciiOf('\u0430pple.com'), 'the A-label stands in the domain too')
})

const near: readonly (readonly [approval: Partial<Approval>, pattern: string, why: string])[] = [
  [{ host: 'www.shop.example' }, 'shop.example', 'This allow covers shop.example alone and not what is below.'],
  [{ host: 'www.shop.example' }, 'docs.shop.example', 'This allow covers docs.shop.example, another name of shop.example.'],
  [{ host: 'slack.example' }, '*.slack.example', 'This question covers what is below and not the name itself.'],
  [{ host: 'files.example', port: 8443 }, 'files.example', 'This allow covers ports 443 (https) and 80 (http) and not port 8443.'],
  [{ host: 'ssh.example' }, 'ssh.example:22', 'This allow covers port 22 and not port 443.'],
  [{ host: 'team.example.org' }, 'team.example.org', 'This allow is for gemini and not for codex.'],
  [{ host: 'api.example.org', method: 'POST', url: 'https://api.example.org/repos/a' }, 'api.example.org', 'This allow covers GET and not POST.'],
  [{ host: 'api.example.org', method: 'GET', url: 'https://api.example.org/users?q=/repos/x' }, 'api.example.org', 'This allow covers /repos/** and not /users.'],
  [{ host: 'api.example.org', method: 'GET', url: 'https://api.example.org' }, 'api.example.org', 'This allow covers /repos/** and not /.'],
  [{ host: 'api.example.org', method: 'GET', url: 'https://api.example.org?q=1' }, 'api.example.org', 'This allow covers /repos/** and not /.'],
]
t.test('the nearest rules are told with why they do not cover it', async (t) => {
  for (const [approval, pattern, why] of near) {
    const rules = card(approval).nearestRules
    t.match(rules.find(({ rule, why: says }) => rule.pattern === pattern && says === why), { rule: { file: 'p.toml' } }, `${JSON.stringify(approval)}: ${JSON.stringify(rules)}`)
  }
  t.same(card({ host: 'nowhere.test' }).nearestRules, [])
  t.same(card({ host: '192.0.2.7' }).nearestRules, [])
})

t.test('patterns cover the host, narrowest first, and nothing that anybody may register', async (t) => {
  for (const [approval, patterns] of [
    [{ host: 'shop.example' }, ['shop.example', '**.shop.example']],
    [{ host: 'www.shop.example' }, ['www.shop.example', '*.shop.example', '**.shop.example']],
    [{ host: 'a.b.shop.example' }, ['a.b.shop.example', '*.b.shop.example', '**.shop.example']],
    [{ host: 'a.b.shop.example', port: 8443 }, ['a.b.shop.example:8443', '*.b.shop.example:8443', '**.shop.example:8443']],
    [{ host: 'www.shop.example', port: 80, scheme: 'http' }, ['www.shop.example', '*.shop.example', '**.shop.example']],
    [{ host: 'me.github.io' }, ['me.github.io', '**.me.github.io']],
    [{ host: 'github.io' }, ['github.io']],
    [{ host: 'shop.co.uk' }, ['shop.co.uk', '**.shop.co.uk']],
    [{ host: 'localhost' }, ['localhost']],
    [{ host: '192.0.2.7' }, ['192.0.2.7']],
    [{ host: '2001:db8::7', port: 8443 }, ['[2001:db8::7]:8443']],
  ] as const) t.same(card(approval).patterns, patterns, JSON.stringify(approval))
})

t.test('the rules of policy for the answer stand on the card', async (t) => {
  t.same(card({}).rules, { fourEyes: false, commentFor: ['always'], ownerMay: ['once', 'session'] })
  t.same(card({ host: 'www.bank.example' }).rules, { fourEyes: true, commentFor: ['always'], ownerMay: [] })
  t.same(card({ isReview: true }).rules.ownerMay, [])
})

t.test('what the queue knows is shown, twenty of each', async (t) => {
  const others = Array.from({ length: 30 }, (_, i) => ({ agent: 'a', session: `s${i}`, state: 'allowed' }))
  const similar = others.map(({ session }) => ({ approvalId: session, host: 'x.shop.example', verdict: 'deny' as const, term: 'once' as const, by: 'bea', atMs: 0, comment: undefined }))
  const shown = card({}, { others, similar })
  t.same(shown.others, others.slice(0, 20))
  t.same(shown.similar, similar.slice(0, 20))
})

t.test('a card of any host is made, its patterns load, cover it, and are not broad', async (t) => {
  fc.assert(fc.property(fc.oneof(fc.domain(), fc.ipV4()), fc.integer({ min: 1, max: 65_535 }), fc.webUrl({ withQueryParameters: true }), (domain, port, url) => {
    const host = parseHost(domain.replace(/\bxn--/gi, 'x'))
    const made = card({ host: host.text, port, url, method: 'GET' })
    return made.patterns.every((each) => {
      const pattern = parseHostPattern(each)
      return !('wrong' in pattern) && broadness(pattern.scope) === undefined && (host.kind === 'ip' || scopeCovers(pattern.scope, host.text))
    })
  }))
  t.pass('no counterexample')
})

t.test('whatever a decoded name holds, only letters of one script each are shown', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }), fc.constantFrom('', 'www.', '\u05d0.'), (label, before) => {
    const url = `http://${before}${label}.example/`
    const host = URL.canParse(url) ? new URL(url).hostname : ''
    if (!/^[a-z0-9.-]*xn--/.test(host) || !isHost(host)) return true
    const { unicodeHost: shown, hints: found } = card({ host })
    if (!found.some(({ code }) => code === 'punycode')) return false
    if (shown === undefined) return found.some(({ code }) => code === 'confusable')
    return /^[\p{L}\p{M}0-9._-]+$/u.test(shown) && !found.some(({ code }) => code === 'confusable')
  }), { numRuns: 1000 })
  t.pass('no counterexample')
})

function isHost(host: string): boolean {
  try {
    return parseHost(host).kind === 'name'
  } catch (error) {
    if (error instanceof ProxyError) return false
    throw error
  }
}
