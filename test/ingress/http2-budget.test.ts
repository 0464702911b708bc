import t from 'tap'
import { Budget, UnseenStreams } from '../../src/ingress/http2-budget.ts'

t.test('a burst may be spent at once, and what refills after it', async (t) => {
  const budget = new Budget(100, 10, 0)
  t.equal(budget.spend(100, 0), true)
  t.equal(budget.spend(1, 0), false)
  t.equal(budget.spend(0, 100), true)
  t.equal(budget.spend(10, 1_100), true)
  t.equal(budget.spend(2, 1_100), false)
})

t.test('what is earned pays for what is spent, and no more than the burst is kept', async (t) => {
  const budget = new Budget(100, 0, 0)
  t.equal(budget.spend(10_000, 0, 10_000), true)
  t.equal(budget.spend(0, 0, 10_000), true)
  t.equal(budget.spend(100, 1_000_000), true)
  t.equal(budget.spend(1, 1_000_000), false)
})

t.test('streams that nobody heard of are counted by the numbers that are left out', async (t) => {
  const unseen = new UnseenStreams()
  t.equal(unseen.saw(15), 0, 'a client may skip the first seven')
  t.equal(unseen.saw(17), 0)
  t.equal(unseen.saw(23), 2)
  t.equal(unseen.isBehind(23), false)
  t.equal(unseen.isBehind(27), true)
  t.equal(unseen.settle(27), 2)
  t.equal(unseen.settle(27), 0)
  t.equal(unseen.saw(29), 0)
  t.equal(unseen.settle(3), 0)
})

t.test('a connection of which nothing was heard at all left out one stream', async (t) => {
  const unseen = new UnseenStreams()
  t.equal(unseen.settle(13), 1)
  t.equal(unseen.saw(15), 0)
})

t.test('no more than the first seven are left out without being counted', async (t) => {
  t.equal(new UnseenStreams().saw(1), 0)
  t.equal(new UnseenStreams().saw(81), 33)
  t.equal(new UnseenStreams().settle(81), 34)
})
