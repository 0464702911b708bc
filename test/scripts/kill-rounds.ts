// The long run of test/e2e/kill.test.ts: `node test/scripts/kill-rounds.ts [ROUNDS]`, 200 without one.
import { killRounds } from '../support/kill-rounds.ts'
import { withScope } from '../support/scope.ts'
import { strictOrigin } from '../support/strict-origin.ts'

const rounds = Number(process.argv[2] ?? 200)

await withScope(async (scope) => {
  const origin = await strictOrigin(scope )
  const result = await killRounds(scope, rounds, { port: origin.port, targets: () => origin.requests.map(({ target }) => target) }, Math.random)
  process.stdout.write(`${JSON.stringify({ rounds, ...result }, undefined, 2)}\n`)
  process.exitCode = result.missing.length + result.unexplained.length === 0 && result.fault === undefined ? 0 : 1
})
