// The long run of test/e2e/raw-streams.test.ts: `node test/scripts/raw-streams.ts [STREAMS] [SEED]`, 10,000
// without one. It ends with 1 when anything was found.
import { rawStreams } from '../support/raw-streams.ts'
import { withScope } from '../support/scope.ts'

const [count = '10000', seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2)

await withScope(async (scope) => {
  const started = performance.now()
  // known too when it does not end
  process.stderr.write(`seed ${seed}\n`)
  const result = await rawStreams(scope, Number(count), Number(seed))
  process.stdout.write(`${JSON.stringify({ seed: Number(seed), ms: Math.round(performance.now() - started), ...result }, undefined, 2)}\n`)
  process.exitCode = result.faults.length === 0 ? 0 : 1
})
