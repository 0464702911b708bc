// Answers read without undici beside undici's reading of the same bytes: status, fields, content, faults, and
// whether the connection serves another exchange.
import t from 'tap'
import * as fc from '../support/property.ts'
import { comparison, script } from './bare-answer-property.ts'

t.test('an answer comes out the same, whoever reads it', async (t) => {
  const { read } = await comparison(t)
  let passed = 0
  let refused = 0
  await fc.assert(fc.asyncProperty(script, async (each) => {
    const { status, fault } = await read(each)
    if (fault !== undefined) throw new Error(fault)
    if (status === undefined) refused += 1
    else passed += 1
  }), { numRuns: 150 })
  t.ok(passed > 20 && refused > 20, `${passed} were passed on and ${refused} refused`)
})
