// The long run of test/e2e/raw-streams.test.ts and, inside TLS, of test/e2e/intercept-raw-streams.test.ts:
// `node test/scripts/raw-streams.ts [--inside] [STREAMS] [SEED]`, 10,000 without a number. It ends with 1 when
// anything was found.
import { insideStreams, rawStreams } from '../support/raw-streams.ts'
import { withScope } from '../support/scope.ts'

const args = process.argv.slice(2)
const run = args.includes('--inside') ? insideStreams : rawStreams
const [count = '10000', seed = String(Date.now() % 2 ** 31)] = args.filter((each) => each !== '--inside')

await withScope(async (scope) => {
  const started = performance.now()
  // known too when it does not end
  process.stderr.write(`seed ${seed}\n`)
  const result = await run(scope, Number(count), Number(seed))
  process.stdout.write(`${JSON.stringify({ seed: Number(seed), ms: Math.round(performance.now() - started), ...result }, undefined, 2)}\n`)
  process.exitCode = result.faults.length === 0 ? 0 : 1
})
