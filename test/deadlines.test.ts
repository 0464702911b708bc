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

t.test('of a crowd of limits that end together a few expire in each turn, and one that is cancelled meanwhile does not', async (t) => {
  let nowMs = 0
  const deadlines = new Deadlines({ now: () => nowMs, monotonic: () => nowMs }, 1)
  const expired: number[] = []
  const turns: number[] = []
  const crowd = Array.from({ length: 40 }, (_, at) => deadlines.in(10, () => {
    expired.push(at)
    if (expired.length === 1) for (const late of crowd.slice(30)) deadlines.cancel(late)
  }))
  nowMs = 10
  while (expired.length < 30) {
    await new Promise((resolve) => setImmediate(resolve))
    turns.push(expired.length)
  }
  await new Promise((resolve) => setTimeout(resolve, 10))
  t.same(expired, Array.from({ length: 30 }, (_, at) => at))
  t.ok(turns.every((count, at) => count - (turns[at - 1] ?? 0) <= 4), turns.filter((count) => count > 0).join(' '))
})
