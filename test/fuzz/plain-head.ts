// A long run of the plain-head property: `node test/fuzz/plain-head.ts [RUNS] [SEED]`, a hundred thousand of either
// form by default.
import { damagedHead, plainHeadFault, StrictParser } from '../ingress/plain-head-property.ts'
import * as fc from '../support/property.ts'

const [runs = '100000', seed] = process.argv.slice(2)
const started = performance.now()
const parser = new StrictParser()
for (const form of ['absolute', 'origin'] as const) {
  let taken = 0
  const property = fc.asyncProperty(damagedHead(form), async (text) => {
    const { isTaken, fault } = await plainHeadFault(parser, text, form)
    if (isTaken) taken += 1
    if (fault !== undefined) throw new Error(fault)
  })
  await fc.assert(property, { numRuns: Number(runs), ...(seed === undefined ? {} : { seed: Number(seed) }) })
  console.log(`${runs} heads in ${form}-form, ${taken} taken, no fault, ${Math.round(performance.now() - started)} ms`)
}
