import t from 'tap'
import { RequestIds } from '../../src/gate/request-id.ts'

t.test('request ids are ULIDs: sortable by time, and no two alike', async (t) => {
  let nowMs = 1_700_000_000_000
  const ids = new RequestIds({ now: () => nowMs, monotonic: () => 0 })
  const early = Array.from({ length: 2000 }, () => ids.next())
  nowMs += 1
  const late = ids.next()
  t.ok(early.every((id) => /^[0-9A-HJKMNP-TV-Z]{26}$/.test(id)))
  t.equal(new Set(early).size, early.length)
  t.ok(early.every((id) => id.slice(0, 10) < late.slice(0, 10)))
})
