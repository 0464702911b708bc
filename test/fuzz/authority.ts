// A long run of the authority property: `node test/fuzz/authority.ts [RUNS] [SEED]`, one million by default.
import { anyAuthority } from '../target/authority-arbitrary.ts'
import { authorityFault } from '../target/authority-property.ts'
import * as fc from '../support/property.ts'

const [runs = '1000000', seed] = process.argv.slice(2)
const started = performance.now()
const inputs = fc.tuple(anyAuthority, fc.constantFrom(undefined, 80))
const property = fc.property(inputs, ([text, port]) => {
  const fault = authorityFault(text, port)
  if (fault !== undefined) throw new Error(`${JSON.stringify(text)}: ${fault}`)
})
fc.assert(property, { numRuns: Number(runs), ...(seed === undefined ? {} : { seed: Number(seed) }) })
console.log(`${runs} authorities, no fault, ${Math.round(performance.now() - started)} ms`)
