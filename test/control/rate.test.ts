// Token buckets: what may be taken never exceeds the burst and what came back since.
import t from 'tap'
import { RateLimit } from '../../src/control/rate.ts'
import { Slots } from '../../src/control/slots.ts'
import * as fc from '../support/property.ts'
import { FakeClock } from './fakes.ts'

t.test('in any order of calls and pauses, no more is taken than was there', async (t) => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), fc.array(fc.nat({ max: 2000 }), { maxLength: 100 }), (burst, perSecond, pauses) => {
    const clock = new FakeClock()
    const limit = new RateLimit(clock, burst, perSecond)
    let taken = 0
    let elapsedMs = 0
    for (const pause of pauses) {
      const has = limit.has('a')
      const { ok, retryAfterS } = limit.take('a')
      if (has !== ok || retryAfterS < 1) return false
      if (ok) taken += 1
      clock.move(pause)
      elapsedMs += pause
      if (taken > burst + (elapsedMs / 1000) * perSecond + 1e-6) return false
    }
    return true
  }))
  t.pass('held')
})

t.test('after Retry-After there is one more', async (t) => {
  const clock = new FakeClock()
  const limit = new RateLimit(clock, 1, 0.1)
  t.equal(limit.take('a').ok, true)
  const { ok, retryAfterS } = limit.take('a')
  t.notOk(ok)
  clock.move(retryAfterS * 1000)
  t.ok(limit.take('a').ok)
  t.ok(limit.take('b').ok, 'each key has its own')
})

t.test('a flood has one first refusal until it pauses', async (t) => {
  const clock = new FakeClock()
  const limit = new RateLimit(clock, 4, 1)
  const firsts = () => Array.from({ length: 8 }, () => limit.take('a').isFirstRefusal).filter(Boolean).length
  t.equal(firsts(), 1)
  clock.move(1000)
  t.equal(firsts(), 0)
  clock.move(4000)
  t.equal(firsts(), 1)
})

t.test('a place is given back once', async (t) => {
  const slots = new Slots(2)
  const first = slots.take('a')
  t.ok(first)
  t.ok(slots.take('a'))
  t.equal(slots.take('a'), undefined)
  t.ok(slots.take('b'))
  first?.()
  first?.()
  t.ok(slots.take('a'))
  t.equal(slots.take('a'), undefined)
})
