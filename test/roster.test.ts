import assert from 'node:assert/strict'
import t from 'tap'
import { Roster } from '../src/roster.ts'
import * as fc from './support/property.ts'

t.test('a roster is a set, whatever comes and goes', async () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(19))), (steps) => {
    const members = Array.from({ length: 20 }, (_, id) => ({ id, place: -1 }))
    const roster = new Roster<{ id: number; place: number }>()
    const model = new Set<number>()
    for (const [isAdding, id] of steps) {
      const member = members[id] ?? assert.fail('no such member')
      assert.equal(roster.has(member), model.has(id))
      if (!isAdding) assert.equal(roster.remove(member), model.delete(id))
      else if (!model.has(id)) {
        roster.add(member)
        model.add(id)
      }
      assert.deepEqual(roster.all().map((each) => each.id).toSorted((a, b) => a - b), [...model].toSorted((a, b) => a - b))
      assert.equal(roster.size, model.size)
    }
  }), { numRuns: 300 })
})
