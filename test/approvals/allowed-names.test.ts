// Which names look like allowed ones, and which are their neighbours.
import t from 'tap'
import { AllowedNames, isOneEditAway } from '../../src/approvals/allowed-names.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/compile.ts'
import { parseHost } from '../../src/target/host.ts'
import * as fc from '../support/property.ts'

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', layer: 'policy', text }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

const names = new AllowedNames(policyOf(`[network]
allowed_domains = ["api.paypal.com", "www.paypal.com", "*.google.com", "microsoft.com:8443", "b\u00fccher.example", "t.co", "10.0.0.1"]
denied_domains  = ["facebook.com"]
[[network.rules]]
id = "read"
hosts = ["api.github.com"]
methods = ["GET"]
verdict = "allow"
`))
const asciiOf = (name: string): string => new URL(`http://${name}/`).hostname

t.test('a name resembles an allowed one by how it is drawn, or by one edit', async (t) => {
  for (const [domain, resembled] of [
    ['paypa1.com', 'paypal.com'],
    [asciiOf('p\u0430ypal.com'), 'paypal.com'],
    ['rnicrosoft.com', 'microsoft.com'],
    ['paypall.com', 'paypal.com'],
    ['papyal.com', 'paypal.com'],
    ['paypal.co', 'paypal.com'],
    ['gitub.com', 'github.com'],
    ['gooogle.com', 'google.com'],
    ['bucher.example', asciiOf('b\u00fccher.example')],
    ['paypal.com', undefined],
    ['github.com', undefined],
    ['facebok.com', undefined],
    ['x.co', undefined],
    ['paypal.org', undefined],
    ['shop.example', undefined],
  ] as const) t.equal(names.resembled(domain), resembled, domain)
})

t.test('neighbours are allowed names of the same domain, with where they stand', async (t) => {
  t.same(names.neighbours('paypal.com'), [
    { name: 'api.paypal.com', rule: { id: 'allowed_domains', pattern: 'api.paypal.com', file: 'p.toml', line: 2 } },
    { name: 'www.paypal.com', rule: { id: 'allowed_domains', pattern: 'www.paypal.com', file: 'p.toml', line: 2 } },
  ])
  t.match(names.neighbours('google.com'), [{ rule: { pattern: '*.google.com' } }])
  t.match(names.neighbours('github.com'), [{ name: 'api.github.com', rule: { id: 'read' } }])
  t.same(names.neighbours('facebook.com'), [], 'a denied name is no neighbour')
})

t.test('of a long list a bounded part is looked at, and of a domain five names', async (t) => {
  const list = Array.from({ length: 20_000 }, (_, i) => `h${i}.many.example`)
  const long = new AllowedNames(policyOf(`network.allowed_domains = ${JSON.stringify(list)}`))
  t.equal(long.neighbours('many.example').length, 5)
  const apart = new AllowedNames(policyOf(`network.allowed_domains = ${JSON.stringify(list.map((_, i) => `name${i}.example`))}`))
  t.equal(apart.resembled('name4999x.example'), 'name4999.example')
  t.equal(apart.neighbours('name5000.example').length, 0)
})

t.test('one edit is one character more, less, other, or two swapped', async (t) => {
  for (const [one, other, near] of [['ab', 'ab', false], ['ab', 'abc', true], ['abc', 'ac', true], ['abc', 'axc', true], ['abcd', 'acbd', true], ['abcd', 'abdc', true], ['abc', 'cba', false], ['abc', 'abcde', false], ['aa', 'aaa', true], ['', 'a', true]] as const) {
    t.equal(isOneEditAway(one, other), near, `${one} ${other}`)
    t.equal(isOneEditAway(other, one), near, `${other} ${one}`)
  }
  fc.assert(fc.property(fc.stringMatching(/^[ab]{0,8}$/), fc.stringMatching(/^[ab]{0,8}$/), (one, other) => isOneEditAway(one, other) === (one !== other && edits(one).has(other))))
})

/** Everything that one edit makes of a word over two letters. */
function edits(word: string): Set<string> {
  const found = new Set<string>()
  for (let i = 0; i <= word.length; i++) {
    for (const letter of 'ab') {
      found.add(word.slice(0, i) + letter + word.slice(i))
      if (i < word.length) found.add(word.slice(0, i) + letter + word.slice(i + 1))
    }
    if (i < word.length) found.add(word.slice(0, i) + word.slice(i + 1))
    if (i + 1 < word.length) found.add(word.slice(0, i) + word.charAt(i + 1) + word.charAt(i) + word.slice(i + 2))
  }
  return found
}

t.test('any domain is looked up without a fault', async (t) => {
  fc.assert(fc.property(fc.domain(), (domain) => {
    const { text } = parseHost(domain.replace(/\bxn--/gi, 'x'))
    return names.resembled(text) !== text
  }))
  t.pass('no counterexample')
})
