// Medians and ratios over rounds.
import t from 'tap'
import { median, ratio, summary } from '../../bench/statistics.ts'
import { array, assert, integer, property } from '../support/property.ts'

t.test('the median is the middle value, or the mean of the two in the middle', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.ok(Number.isNaN(median([])))
})

t.test('the median lies between the extremes and does not depend on order', async () => {
  assert(property(array(integer(), { minLength: 1 }), (values) => {
    const { median: middle, min, max } = summary(values)
    return min <= middle && middle <= max && middle === median(values.toReversed())
  }))
})

t.test('a ratio is taken round by round and skips rounds that failed', async (t) => {
  t.equal(ratio([10, 100, 30], [10, 50, 10]), 2)
  t.equal(ratio([10, undefined, 30], [20, 1, 10]), 1.75)
  t.ok(Number.isNaN(ratio([1, undefined], [undefined, 1])))
})
