import t from 'tap'
import { Deadlines } from '../src/deadlines.ts'

t.test('limits expire in their order, once, and never early', async (t) => {
  let nowMs = 1000
  const clock = { now: () => nowMs, monotonic: () => nowMs }
  const deadlines = new Deadlines(clock)
  const expired: string[] = []
  const early = Promise.withResolvers<void>()
  const late = Promise.withResolvers<void>()
  deadlines.in(200, () => {
    expired.push('late')
    late.resolve()
  })
  const cancelled = deadlines.in(100, () => expired.push('cancelled'))
  deadlines.in(100, () => {
    expired.push('early')
    early.resolve()
  })
  deadlines.cancel(cancelled)
  nowMs = 1100
  await early.promise
  t.same(expired, ['early'])
  deadlines.cancel(cancelled)
  nowMs = 1200
  await late.promise
  t.same(expired, ['early', 'late'])
})

t.test('a limit that is set or cancelled by another that expires is kept', async (t) => {
  let nowMs = 0
  const deadlines = new Deadlines({ now: () => nowMs, monotonic: () => nowMs })
  const expired: string[] = []
  const done = Promise.withResolvers<void>()
  deadlines.in(10, () => {
    expired.push('first')
    deadlines.cancel(second)
    deadlines.in(10, () => {
      expired.push('third')
      done.resolve()
    })
    nowMs = 40
  })
  const second = deadlines.in(20, () => expired.push('second'))
  nowMs = 20
  await done.promise
  t.same(expired, ['first', 'third'])
})
