// The long run of test/e2e/approval-races.test.ts: `node test/scripts/approval-races.ts [--seconds N] [--seed N]`,
// 60 s without one. The seed picks what happens; when it happens is the machine's.
import { parseArgs } from 'node:util'
import { approvalRaces } from '../support/approval-races.ts'
import { withScope } from '../support/scope.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } } })
let state = Number(values.seed) + 1
const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647

const result = await withScope((scope) => approvalRaces(scope, Number(values.seconds), random))
process.stdout.write(`${JSON.stringify({ seed: Number(values.seed), ...result }, undefined, 2)}\n`)
process.exitCode = result.broken.length === 0 ? 0 : 1
