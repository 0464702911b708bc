// One question: the host as it is, everything hostile as text, and what the reader is told.
import t from 'tap'
import type { Card } from '../../../src/approvals/card.ts'
import { approvalPage } from '../../../src/control/pages/approval-page.ts'
import { confirmPage } from '../../../src/control/pages/confirm-page.ts'
import { queuePage } from '../../../src/control/pages/queue-page.ts'
import { hostileTexts, unsafeCharacters } from '../../support/hostile-texts.ts'
import { actorOf, approvalOf, cardOf, startMs } from '../../support/review-pages.ts'

const onceYes = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1 } as const
const view = { actor: actorOf('reviewer'), nowMs: startMs, csrf: 'c', assets: { style: 's', script: 'j', find: () => undefined } }
const show = (card: Card): string => approvalPage(view, card).main.toString()

/** Every field of a question that an agent, an origin or a person may fill. */
function hostileCard(text: string): Card {
  const approval = approvalOf({
    kind: 'request', method: text, url: `https://files.example.org/${text}`, agent: text, owner: text, team: text, session: text, reason: text, statedReason: text,
    userAgent: text, clientAddress: text, rule: { id: text, pattern: text, file: text, line: 1 }, firstYes: { by: text, mintedBy: text, atMs: startMs, answer: onceYes },
  })
  return cardOf(approval, {
    unicodeHost: text, hints: [{ code: 'punycode', text }], nearestRules: [{ rule: { id: text, pattern: text, file: text, line: 1 }, why: text }],
    others: [{ agent: text, session: text, state: text }], patterns: [text],
    similar: [{ approvalId: '01JD', host: text, verdict: 'deny', term: 'once', by: text, atMs: startMs, comment: text }],
    rules: { fourEyes: true, commentFor: [], ownerMay: [] },
  })
}

t.test('hostile text in any field is text, with what hides or turns written out', async (t) => {
  const tags = (markup: string): string[] => [...markup.matchAll(/<[^>]*>/g)].map(([tag]) => tag.replaceAll(/="[^"]*"/g, ''))
  const plain = tags(show(hostileCard('plain'))).filter((tag) => tag !== '<br>')
  for (const text of hostileTexts) {
    const card = hostileCard(text)
    const answer = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'agent', comment: text.replaceAll('\0', ''), version: 1 } as const
    const markups = [
      show(card),
      confirmPage(view, card, { ...answer, comment: undefined }, 'x').main.toString(),
      queuePage(view, { approvals: [card.approval], hasMore: false, about: undefined }).main.toString(),
    ]
    for (const markup of markups) t.notMatch(markup, unsafeCharacters, JSON.stringify(text))
    t.same(tags(show(card)).filter((tag) => tag !== '<br>'), plain, `${JSON.stringify(text)} makes no tag`)
    t.notMatch(confirmPage(view, card, answer, 'x').main.toString(), /<(?:svg|img|script|math|base|meta)/)
  }
})

t.test('a path of 64 KiB is cut where it is read and whole where it is asked for', async (t) => {
  const url = `https://files.example.org/${'a'.repeat(65_536)}"><b>`
  const markup = show(cardOf(approvalOf({ kind: 'request', method: 'POST', url })))
  t.match(markup, `(${url.length} characters)`)
  t.match(markup, 'The whole URL')
  t.ok(markup.includes(`${'a'.repeat(65_536)}&quot;&gt;&lt;b&gt;`))
})

t.test('the ASCII form comes first, and the Unicode form only when the card has it', async (t) => {
  const host = 'xn--mnchen-3ya.de'
  const markup = show(cardOf(approvalOf({ host }), { unicodeHost: 'münchen.de' }))
  t.ok(markup.indexOf(host) < markup.indexOf('münchen.de'))
  t.match(markup, 'reads as <bdi>münchen.de</bdi>')
  t.notMatch(show(cardOf(approvalOf({ host: 'xn--pple-43d.com' }))), 'reads as')
})

t.test('what is known is all there', async (t) => {
  const markup = show(cardOf(approvalOf({ upgrade: 'websocket', advisory: true, statedReason: 'to build', isReview: true, port: 8443 }), {
    hints: [{ code: 'first_time_here', text: 'First time here.' }],
    nearestRules: [{ rule: { id: 'mirror', pattern: '*.example.net', file: 'policies/20.toml', line: 7 }, why: 'names another host' }],
    others: [{ agent: 'other', session: 's2', state: 'waiting' }],
    similar: [{ approvalId: '01JDOLD', host: 'b.example.org', verdict: 'deny', term: 'session', by: 'ada', atMs: startMs - 3_600_000, comment: 'no need' }],
    patterns: ['files.example.org', '*.example.org'],
  }))
  for (const said of [
    'https</span>', 'port 8443', 'WebSocket', 'codex', 's3kq8v0d1m2xz', 'mara', 'platform', 'git/2.47.1', '127.0.0.1', 'advisory', '2 times', 'no rule names files.example.org',
    'policies/10-base.toml:3', 'The agent says', 'to build', 'always reviewed', 'First time here.', 'policies/20.toml:7', 'names another host', 'other, session', 'no need', '*.example.org',
  ]) t.match(markup, said)
})

t.test('nothing on it leads to the destination', async (t) => {
  const markup = show(cardOf(approvalOf({ kind: 'request', method: 'GET', url: 'https://files.example.org/x' })))
  t.same([...markup.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, link = '']) => link.startsWith('/') && !link.startsWith('//')).filter((own) => !own), [])
})

t.test('an answered question shows its answer and no form', async (t) => {
  const markup = show(cardOf(approvalOf({
    state: 'denied', decision: { verdict: 'deny', term: 'session', by: 'ada', secondBy: undefined, atMs: startMs, comment: 'use\nthe mirror', grantId: 'G1' },
  })))
  t.match(markup, 'files.example.org was denied for the session by ada.')
  t.match(markup, 'use<br>the mirror')
  t.notMatch(markup, '<form')
})

t.test('four eyes: each of the two is told where it stands', async (t) => {
  const rules = { fourEyes: true, commentFor: [], ownerMay: [] }
  const said = (by: string | undefined): string => show(cardOf(approvalOf({ firstYes: by === undefined ? undefined : { by, mintedBy: undefined, atMs: startMs, answer: onceYes } }), { rules }))
  t.match(said(undefined), 'Two people have to allow this')
  t.match(said('ada'), 'If you do too, it is open')
  t.match(said('reviewer'), 'Somebody else has to allow it too')
})
