// The queue: its groups, its order, who waits.
import t from 'tap'
import { queuePage } from '../../../src/control/pages/queue-page.ts'
import type { Approval } from '../../../src/approvals/approval.ts'
import { actorOf, approvalOf, startMs } from '../../support/review-pages.ts'

const onceYes = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: 1 } as const
const view = { actor: actorOf('reviewer'), nowMs: startMs, csrf: 'c', assets: { style: 's', script: 'j', find: () => undefined } }
const show = (approvals: Approval[], more: { hasMore?: boolean; about?: Approval } = {}): string =>
  queuePage(view, { approvals, hasMore: more.hasMore ?? false, about: more.about }).main.toString()
const ids = (markup: string): string[] => [...markup.matchAll(/data-row="([^"]+)"/g)].map(([, id = '']) => id)
const old = { firstSeenMs: startMs - 600_000, waiting: 0 }

t.test('who waits comes first, then the newest by first asking, whatever asked again', async (t) => {
  const markup = show([
    approvalOf({ id: 'old', host: 'a.example', ...old, lastSeenMs: startMs, attempts: 900 }),
    approvalOf({ id: 'new', host: 'b.example', waiting: 0, firstSeenMs: startMs - 5 }),
    approvalOf({ id: 'held', host: 'c.example', ...old, waiting: 1 }),
  ])
  t.same(ids(markup), ['held', 'new', 'old'])
})

t.test('a group is what was registered, the agent and the team', async (t) => {
  const groups = [...show([
    approvalOf({ id: '1', host: 'a.example.org' }),
    approvalOf({ id: '2', host: 'b.example.org' }),
    approvalOf({ id: '3', host: 'a.example.org', agent: 'other' }),
    approvalOf({ id: '4', host: 'a.example.org', team: undefined }),
    approvalOf({ id: '5', host: '192.0.2.7' }),
  ]).matchAll(/<section class="group">([\s\S]*?)<\/section>/g)].map(([, group = '']) => ids(group))
  t.same(groups, [['1', '2'], ['3'], ['4'], ['5']])
})

t.test('how many wait, and how long as far as that is known', async (t) => {
  t.match(show([approvalOf({ waiting: 2, attempts: 2, firstSeenMs: startMs - 12_000, lastSeenMs: startMs - 3000 })]), /2 waiting, <time[^>]*>12 s</)
  t.match(show([approvalOf({ waiting: 2, attempts: 9, firstSeenMs: startMs - 12_000, lastSeenMs: startMs - 3000 })]), /2 waiting, <time[^>]*>3 s</)
  t.match(show([approvalOf({ waiting: 0 })]), 'nobody waiting')
})

t.test('what is snoozed stands apart until its time has come', async (t) => {
  const markup = show([approvalOf({ id: 'a' }), approvalOf({ id: 'b', snoozedUntilMs: startMs + 1 }), approvalOf({ id: 'c', snoozedUntilMs: startMs })])
  const [open = '', snoozed = ''] = markup.split('<details class="snoozed">')
  t.same(ids(open).toSorted(), ['a', 'c'])
  t.same(ids(snoozed), ['b'])
})

t.test('the title counts those that wait, for a tab in the background', async (t) => {
  t.equal(queuePage(view, { approvals: [approvalOf(), approvalOf({ id: 'b', waiting: 0 })], hasMore: false, about: undefined }).title, '(1) Questions')
})

t.test('it says when there are more, and what became of the last one', async (t) => {
  t.match(show([approvalOf()], { hasMore: true }), 'There are more')
  const decided = { verdict: 'allow', term: 'once', by: 'ada', secondBy: 'bo', atMs: startMs, comment: undefined, grantId: undefined } as const
  t.match(show([], { about: approvalOf({ state: 'allowed', decision: decided }) }), 'was allowed once by ada and bo.')
  t.match(show([], { about: approvalOf({ firstYes: { by: 'ada', mintedBy: undefined, atMs: startMs, answer: onceYes } }) }), 'ada said yes')
  t.match(show([], { about: approvalOf({ state: 'expired' }) }), 'expired without an answer')
  t.match(show([], { about: approvalOf({ state: 'withdrawn' }) }), 'was withdrawn')
})
