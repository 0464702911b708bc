// fast-check as the suites use it. In CI the seed is fixed, so that a change is judged by what it changed;
// everywhere else each run looks at new ground, and a counterexample names its seed.
import { configureGlobal } from 'fast-check'

if (process.env.CI !== undefined) configureGlobal({ seed: 20_261_121 })

export * from 'fast-check'
