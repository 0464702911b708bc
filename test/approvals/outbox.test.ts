import t, { type Test } from 'tap'
import { Outbox, outboxTiming, type Delivery, type OutboxOptions } from '../../src/approvals/outbox.ts'
import { systemClock } from '../../src/clock.ts'
import type { Store } from '../../src/store/store.ts'
import { testClock, until } from '../audit/fixture.ts'
import { testStore } from './notification-receiver.ts'

const quick = { ...outboxTiming, firstRetryMs: 1, maxRetryMs: 4, maxRestMs: 4 }
const delivered: Delivery = { kind: 'delivered' }
const failed: Delivery = { kind: 'failed', reason: 'status 500', retryAfterMs: undefined }

interface World {
  readonly outbox: Outbox
  readonly store: Store
  readonly sent: string[]
  readonly faults: string[]
}

function open(t: Test, options: Partial<OutboxOptions> & { readonly answer?: (body: string, number: number) => Delivery | Promise<Delivery> } = {}): World {
  const store = options.store ?? testStore(t)
  const sent: string[] = []
  const faults: string[] = []
  const outbox = new Outbox({
    store, clock: systemClock, targets: ['webhook'], timing: quick, maxRows: 100, onFault: (error) => faults.push(error.message),
    deliver: async (target, body) => {
      const message = `${target} ${body}`
      const number = sent.push(message)
      return options.answer?.(message, number) ?? delivered
    },
    ...options,
  })
  t.teardown(() => outbox.stop())
  return { outbox, store, sent, faults }
}

const rows = (store: Store): readonly string[] => store.all('SELECT id FROM outbox ORDER BY id').map((row) => String(row['id']))

t.test('what is put in is delivered once, and is gone', async (t) => {
  const { outbox, store, sent, faults } = open(t)
  outbox.put('a', 'webhook', '1')
  outbox.put('b', 'webhook', '2')
  await until(() => rows(store).length === 0)
  t.same(sent, ['webhook 1', 'webhook 2'])
  t.same(faults, [])
})

t.test('a failure is tried again until it is taken, and told when it begins', async (t) => {
  const { outbox, store, sent, faults } = open(t, { answer: (_, number) => (number < 5 ? failed : delivered) })
  outbox.put('a', 'webhook', '1')
  await until(() => rows(store).length === 0)
  t.equal(sent.length, 5)
  t.same(faults, ['notifications to webhook are not taken (status 500); they are kept and tried again'])
})

t.test('a message that is never taken does not hold up the ones behind it', async (t) => {
  const { outbox, store, sent } = open(t, { answer: (body) => (body.endsWith('poison') ? failed : delivered) })
  outbox.put('a', 'webhook', 'poison')
  await until(() => sent.length > 0)
  for (const id of ['b', 'c', 'd']) outbox.put(id, 'webhook', id)
  await until(() => rows(store).length === 1)
  t.same(rows(store), ['a'])
})

t.test('a target that hangs does not hold up another', async (t) => {
  const hang = Promise.withResolvers<Delivery>()
  const { outbox, store } = open(t, { targets: ['webhook', 'slack'], answer: (body) => (body.startsWith('webhook') ? hang.promise : delivered) })
  outbox.put('a', 'webhook', '1')
  outbox.put('b', 'slack', '2')
  outbox.put('c', 'slack', '3')
  await until(() => rows(store).length === 1)
  t.same(rows(store), ['a'])
  hang.resolve({ kind: 'stopped' })
})

t.test('a message put in again under its id keeps its time and has the new body', async (t) => {
  const { outbox, store, sent } = open(t)
  outbox.put('sum', 'webhook', 'one', 50)
  outbox.put('sum', 'webhook', 'two', 50)
  t.same(rows(store), ['sum'])
  await until(() => rows(store).length === 0)
  t.same(sent, ['webhook two'])
})

t.test('what nobody tried to send can be taken back, what was tried stays', async (t) => {
  const { outbox, store, sent } = open(t, { answer: () => failed, timing: { ...quick, maxRestMs: 60_000, maxRetryMs: 60_000, firstRetryMs: 60_000 } })
  outbox.put('tried', 'webhook', '1')
  await until(() => sent.length === 1)
  outbox.put('untried', 'webhook', '2')
  outbox.takeBack('tried')
  outbox.takeBack('untried')
  t.same(rows(store), ['tried'])
})

t.test('after a restart what was left is delivered, what was under way too', async (t) => {
  const store = testStore(t)
  const answer = Promise.withResolvers<Delivery>()
  const before = open(t, { store, answer: () => answer.promise })
  before.outbox.put('a', 'webhook', '1')
  before.outbox.put('b', 'webhook', '2')
  await until(() => before.sent.length === 1)
  const stopping = before.outbox.stop()
  answer.resolve({ kind: 'stopped' })
  await stopping
  t.same(rows(store), ['a', 'b'])
  const after = open(t, { store })
  await until(() => rows(store).length === 0)
  t.same(after.sent.toSorted(), ['webhook 1', 'webhook 2'])
})

t.test('a claim that a killed process left behind runs out, and the message is delivered', async (t) => {
  const store = testStore(t)
  const clock = testClock()
  store.run('INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)', 'a', 'webhook', '1', clock.now(), 1, clock.now() + outboxTiming.claimMs)
  const { outbox, sent } = open(t, { store, clock })
  outbox.put('b', 'webhook', '2')
  await until(() => sent.length === 1)
  t.same(sent, ['webhook 2'])
  clock.advance(outboxTiming.claimMs)
  outbox.put('c', 'webhook', '3')
  await until(() => sent.length === 3)
  t.same(sent, ['webhook 2', 'webhook 3', 'webhook 1'])
})

t.test('after a day a message that nobody takes is dropped and reported, one that was never tried is not', async (t) => {
  const clock = testClock()
  const { outbox, store, sent, faults } = open(t, { clock, timing: outboxTiming, answer: () => failed })
  outbox.put('a', 'webhook', '1')
  await until(() => sent.length === 1)
  clock.advance(outboxTiming.giveUpMs - 1)
  outbox.put('b', 'webhook', '2')
  await until(() => sent.length === 2)
  t.same(rows(store), ['a', 'b'])
  clock.advance(1)
  outbox.put('c', 'webhook', '3')
  await until(() => rows(store).length === 2)
  t.same(rows(store), ['b', 'c'])
  t.match(faults, [/not taken/, /^1 notifications to webhook were not taken for 24 hours and are dropped$/])
})

t.test('what is due lies never so far ahead that a clock set back could hide it', async (t) => {
  const store = testStore(t)
  const inAWeek = Date.now() + 7 * 86_400_000
  store.run('INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)', 'a', 'webhook', '1', inAWeek, 1, inAWeek)
  const { sent } = open(t, { store })
  await until(() => sent.length === 1)
  t.same(sent, ['webhook 1'])
})

t.test('the box is bounded: the oldest make room, and that is reported when it begins', async (t) => {
  const { outbox, store, faults } = open(t, { maxRows: 3 })
  for (const id of ['a', 'b', 'c', 'd', 'e']) outbox.put(id, 'slack', id)
  t.same(rows(store), ['c', 'd', 'e'])
  t.same(faults, ['3 notifications wait to be delivered: the oldest are dropped'])
})

t.test('what is for a target without a setting is thrown away at the start', async (t) => {
  const store = testStore(t)
  store.run('INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)', 'a', 'slack', '1', 0, 0, Number.MAX_SAFE_INTEGER)
  open(t, { store })
  t.same(rows(store), [])
})

t.test('a database that fails is reported and throws at nobody', async (t) => {
  const { outbox, store, faults } = open(t)
  store.run('DROP TABLE outbox')
  outbox.put('a', 'webhook', '1')
  outbox.takeBack('a')
  t.ok(faults.length >= 2)
  t.match(faults[0], 'the outbox of notifications cannot be used')
})
