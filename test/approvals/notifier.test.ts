import t, { type Test } from 'tap'
import { createNotifier, type Notifier, type NotifierOptions } from '../../src/approvals/notifier.ts'
import { systemClock } from '../../src/clock.ts'
import type { Store } from '../../src/store/store.ts'
import { testClock, until } from '../audit/fixture.ts'
import { answered, question, startReceiver, testStore, type Receiver } from './notification-receiver.ts'

const secret = 'a secret of thirty-two characters'
const quick = { firstRetryMs: 1, maxRetryMs: 4, maxRestMs: 4 }

interface World {
  readonly notifier: Notifier
  readonly store: Store
  readonly faults: Error[]
}

function open(t: Test, receivers: { readonly webhook?: Receiver; readonly slack?: Receiver }, more: Partial<NotifierOptions> = {}): World {
  const store = more.store ?? testStore(t)
  const faults: Error[] = []
  const { webhook, slack } = receivers
  const settings = {
    pageUrl: 'https://review.corp.example',
    webhook: webhook === undefined ? undefined : { url: webhook.url, secret },
    slack: slack === undefined ? undefined : { url: slack.url },
  }
  const notifier = createNotifier({ store, settings, clock: systemClock, onFault: (error) => faults.push(error), timing: quick, ...more })
  t.teardown(() => notifier.stop())
  return { notifier, store, faults }
}

const isEmpty = (store: Store): boolean => store.get('SELECT COUNT(*) AS n FROM outbox')?.['n'] === 0
const numbered = (at: number): typeof question => ({ ...question, id: `01JD000000000000000000${String(at).padStart(4, '0')}`, host: `h${at}.example` })

t.test('a question and its answer reach the webhook and the channel', async (t) => {
  const webhook = await startReceiver(t)
  const slack = await startReceiver(t)
  const { notifier, store, faults } = open(t, { webhook, slack })
  notifier.approvalRequested(question)
  await until(() => isEmpty(store))
  notifier.approvalDecided(answered)
  await until(() => isEmpty(store))
  t.same(webhook.posts.map(({ body }) => JSON.parse(body).type), ['approval.requested', 'approval.decided'])
  t.match(slack.posts.map(({ body }) => JSON.parse(body).text), [/^\*Approval wanted\*/, /^`bob` allowed/])
  t.match(webhook.posts[0]?.headers['x-sallyport-signature'], /^t=\d+,v1=[0-9a-f]{64}$/)
  t.same(faults, [])
})

t.test('without a destination nothing is kept', async (t) => {
  const { notifier, store } = open(t, {})
  notifier.approvalRequested(question)
  notifier.approvalDecided(answered)
  t.ok(isEmpty(store))
  await notifier.stop()
})

t.test('a receiver that fails, hangs and redirects gets the message in the end, under one id', async (t) => {
  const webhook = await startReceiver(t)
  webhook.reply = (_, number) => [undefined, { status: 503 }, 'hang' as const, { status: 302, headers: { location: '/elsewhere' } }, 'reset' as const, { status: 204 }][number]
  const { notifier, store, faults } = open(t, { webhook }, { timing: { ...quick, timeoutMs: 100 } })
  notifier.approvalRequested(question)
  await until(() => isEmpty(store))
  t.equal(webhook.posts.length, 5)
  t.equal(new Set(webhook.posts.map(({ body }) => JSON.parse(body).id)).size, 1)
  t.equal(webhook.posts.filter(({ path }) => path === '/elsewhere').length, 0)
  t.equal(faults.length, 1)
})

t.test('a restart delivers what was left', async (t) => {
  const webhook = await startReceiver(t)
  webhook.reply = () => 'hang'
  const store = testStore(t)
  const before = open(t, { webhook }, { store })
  before.notifier.approvalRequested(question)
  before.notifier.approvalDecided(answered)
  await webhook.received(1)
  await before.notifier.stop()
  webhook.reply = () => undefined
  open(t, { webhook }, { store })
  await until(() => isEmpty(store))
  t.same(webhook.posts.slice(1).map(({ body }): string => JSON.parse(body).type).toSorted(), ['approval.decided', 'approval.requested'])
  t.same(before.faults, [], 'a stop is nobody\'s fault')
})

t.test('a session has ten messages of its own in a minute, and then one that sums up the rest', async (t) => {
  const slack = await startReceiver(t)
  const webhook = await startReceiver(t)
  const clock = testClock()
  const { notifier, store } = open(t, { slack, webhook }, { clock })
  for (let at = 1; at <= 25; at++) notifier.approvalRequested(numbered(at))
  notifier.approvalDecided({ ...answered, id: numbered(20).id })
  notifier.approvalRequested({ ...question, id: '01JD00000000000000000OTHER', session: 's-other', agent: 'other' })
  await slack.received(11)
  await webhook.received(27)
  t.equal(store.get("SELECT COUNT(*) AS n FROM outbox WHERE target = 'slack'")?.['n'], 1, 'the summary waits for the end of the minute')
  t.equal(slack.posts.length, 11)
  t.match(slack.posts.map(({ body }) => body).join('\n'), /other/)
  clock.advance(60_000)
  notifier.approvalRequested(numbered(99))
  await slack.received(13)
  const [text] = slack.posts.map(({ body }): string => JSON.parse(body).text).filter((shown) => shown.includes('within a minute'))
  t.match(text, /^`codex` in session `s1a2b3c4d5e6f`: 15 more questions and 1 more answer within a minute, about `h11\.example:443`/)
  t.equal(slack.posts.length, 13, 'the next minute has messages of its own')
})

t.test('a channel that was down is not asked for what was answered meanwhile', async (t) => {
  const slack = await startReceiver(t)
  slack.reply = (_, number) => (number === 1 ? { status: 500 } : undefined)
  const { notifier, store } = open(t, { slack }, { timing: { ...quick, firstRetryMs: 100, maxRestMs: 100 } })
  notifier.approvalRequested(numbered(1))
  await slack.received(1)
  notifier.approvalRequested(question)
  notifier.approvalDecided(answered)
  await until(() => isEmpty(store))
  const texts = slack.posts.map(({ body }): string => JSON.parse(body).text)
  t.same(texts.filter((text) => text.includes(question.id) && text.includes('wanted')), [])
  t.equal(texts.filter((text) => text.includes('`bob` allowed')).length, 1)
})

t.test('no fault tells a URL or the key, and the outbox keeps neither', async (t) => {
  const webhook = await startReceiver(t)
  webhook.reply = () => ({ status: 500 })
  const { notifier, store, faults } = open(t, { webhook, slack: webhook }, { timing: { ...quick, giveUpMs: 1 } })
  notifier.approvalRequested(question)
  await until(() => faults.some(({ message }) => message.includes('dropped')))
  const rows = JSON.stringify(store.all('SELECT * FROM outbox'))
  await notifier.stop()
  store.run('DROP TABLE outbox')
  const { notifier: broken, faults: more } = open(t, { webhook, slack: webhook }, { store })
  broken.approvalRequested(question)
  const told = [...faults, ...more].map((error) => `${error.stack} ${String(error.cause)}`).join('\n')
  t.match(told, /cannot be used/)
  for (const text of [told, rows]) t.notMatch(text, /s3cret|a secret of|127\.0\.0\.1/)
})
