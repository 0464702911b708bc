// Which decoded names are safe to show, and which look like others. Forged names are written as escapes.
import t from 'tap'
import { isConfusable, isSafeToShow, looseSkeleton, skeleton } from '../../src/approvals/confusable.ts'
import * as fc from '../support/property.ts'

const skeletons: readonly (readonly [text: string, same: string])[] = [
  ['apple', 'apple'],
  ['\u0430pple', 'apple'],
  ['\u0430\u0440\u0440\u04cf\u0435', 'apple'],
  ['p\u0430yp\u0430l', 'paypal'],
  ['\u0440\u0430\u0443\u0440\u0430\u04cf', 'paypal'],
  ['g\u03bf\u03bfgle', 'google'],
  ['\u0561\u0578\u057d', 'wnu'],
  ['\u0261oogle', 'google'],
  ['b\u0131ng', 'bing'],
  ['APPLE', 'apple'],
  ['b\u00fccher', 'b\u00fccher'],
]
t.test('names that are drawn alike share a skeleton', async (t) => {
  for (const [text, same] of skeletons) t.equal(skeleton(text), same, escape(text))
})

t.test('a hasty reader sees no marks, strokes or digits', async (t) => {
  for (const [text, same] of [['g\u00f6\u00f6gle', 'google'], ['g00gle', 'google'], ['paypa1', 'paypal'], ['rnicrosoft', 'microsoft'], ['vvikipedia', 'wikipedia'], ['\u0142inkedin', 'linkedin'], ['\u0451xample', 'example']] as const) {
    t.equal(looseSkeleton(text), looseSkeleton(same), escape(text))
  }
  t.not(looseSkeleton('apple'), looseSkeleton('apply'))
})

const labels: readonly (readonly [name: string, confusable: boolean])[] = [
  ['example', false],
  ['xn-example', false],
  ['b\u00fccher', false],
  ['\u043f\u0440\u0438\u043c\u0435\u0440', false],
  ['\u043c\u043e\u0441\u043a\u0432\u0430', false],
  ['\u0430\u0440\u0440\u04cf\u0435', true],
  ['\u0430pple', true],
  ['\u0441\u0430\u0445', true],
  ['\u03b5\u03bb\u03bb\u03ac\u03b4\u03b1', false],
  ['\u03bf\u03c1\u03bf', true],
  ['\u4e2d\u6587', false],
  ['\u65e5\u672c\u3054', false],
  ['\u30b3\u30fc\u30d2\u30fc', false],
  ['\u4e2d\u30fc', true],
  ['\u30fc', true],
  ['t\u30b7\u30e3\u30c4', true],
  ['\ud55c\uad6d', false],
  ['\u4e2d\uad6d', false],
  ['\uad6d\u3042', true],
  ['\u0627\u0644', false],
  ['a\u200db', true],
  ['shop-\u043f\u0440\u0438\u043c\u0435\u0440', true],
  ['\u0663\u0664', true],
  ['\u1360', true],
  ['g\u0303', true],
  ['\u{1f600}', true],
]
t.test('a label is confusable when it mixes scripts, is drawn like ASCII, or has what belongs to no script', async (t) => {
  for (const [label, confusable] of labels) t.equal(isConfusable(label), confusable, escape(label))
})

t.test('a name is shown when each of its labels may be, and it runs one way', async (t) => {
  for (const [name, safe] of [
    ['b\u00fccher.example', true],
    ['\u043f\u0440\u0438\u043c\u0435\u0440.com', true],
    ['\u0430pple.com', false],
    ['www.\u0430\u0440\u0440\u04cf\u0435.com', false],
    ['\u05d0\u05d1.\u05d2\u05d3', true],
    ['\u05d0\u05d1.example', false],
    ['example.com', true],
  ] as const) t.equal(isSafeToShow(name), safe, escape(name))
})

t.test('ASCII is never confusable, and a skeleton of a skeleton is itself', async (t) => {
  fc.assert(fc.property(fc.stringMatching(/^[a-z0-9-]{1,30}$/), (label) => !isConfusable(label) && isSafeToShow(label) && skeleton(label) === label))
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
    const once = skeleton(text.toLowerCase())
    return skeleton(once) === skeleton(skeleton(once))
  }))
  t.pass('no counterexample')
})

function escape(text: string): string {
  return JSON.stringify(text).replaceAll(/[^\p{ASCII}]/gu, (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16)}`)
}
