// A long run of the bare-answer property: `node test/fuzz/bare-answer.ts [RUNS] [SEED]`, ten thousand by default.
import { comparison, script } from '../egress/bare-answer-property.ts'
import * as fc from '../support/property.ts'
import { withScope } from '../support/scope.ts'

const [runs = '10000', seed] = process.argv.slice(2)
const started = performance.now()
await withScope(async (scope) => {
  const { read } = await comparison(scope)
  let passed = 0
  const property = fc.asyncProperty(script, async (each) => {
    const { status, fault } = await read(each)
    if (status !== undefined) passed += 1
    if (fault !== undefined) throw new Error(fault)
  })
  await fc.assert(property, { numRuns: Number(runs), ...(seed === undefined ? {} : { seed: Number(seed) }) })
  console.log(`${runs} answers, ${passed} passed on, no fault, ${Math.round(performance.now() - started)} ms`)
})
