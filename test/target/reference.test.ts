// References of answers, resolved: what leaves the origin is none of ours.
import t from 'tap'
import { formatUri, sameOriginUri } from '../../src/target/reference.ts'
import { parseAbsoluteForm, parseOriginForm } from '../../src/target/target-uri.ts'

const base = parseAbsoluteForm('http://a.test:8080/x/y?q=1')

t.test('a target has one spelling, without the port that its scheme means', async (t) => {
  t.equal(formatUri(base), 'http://a.test:8080/x/y?q=1')
  t.equal(formatUri(parseAbsoluteForm('http://A.test:80')), 'http://a.test/')
  t.equal(formatUri(parseAbsoluteForm('http://[::1]/a?')), 'http://[::1]/a?')
  t.equal(formatUri(parseOriginForm('/a%2fb', 'https', { ...base.authority, port: 443 })), 'https://a.test/a%2fb')
})

t.test('a reference is resolved within its origin alone', async (t) => {
  for (const [reference, wanted] of [
    ['z', 'http://a.test:8080/x/z'], ['/z?a#b', 'http://a.test:8080/z?a'], ['', 'http://a.test:8080/x/y?q=1'], ['../z', 'http://a.test:8080/z'], ['HTTP://A.TEST:8080/z', 'http://a.test:8080/z'],
    ['//a.test:8080/z', 'http://a.test:8080/z'], ['http://u:p@a.test:8080/z', 'http://a.test:8080/z'],
    ['http://a.test/z', undefined], ['https://a.test:8080/z', undefined], ['//b.test/z', undefined], ['http://', undefined], ['javascript:x', undefined], ['http://a.test:99999/', undefined],
  ] as const) t.equal(sameOriginUri(base, reference), wanted, reference)
})
