// `node bench/attacks.ts`: the attacks of test/e2e/mitm-baseline.test.ts, tried against sallyport and against
// http-mitm-proxy with the same rules, as a table. Ends by itself; nothing leaves 127.0.0.1.
import { startWorld } from '../test/support/attacks/attack.ts'
import type { Attack, Finding } from '../test/support/attacks/attack.ts'
import type { ProxyKind } from '../test/support/attacks/attacked-proxy.ts'
import { machineAttacks } from '../test/support/attacks/machine-attacks.ts'
import { trafficAttacks } from '../test/support/attacks/traffic-attacks.ts'
import { withScope } from '../test/support/scope.ts'
import { table } from './tables.ts'

/** long enough for what is slow, for a proxy that never answers is one of the findings */
const patienceMs = 15_000

function tryOn(kind: ProxyKind, attack: Attack): Promise<Finding | undefined> {
  return withScope(async (scope) => attack.run(await startWorld(scope, kind, patienceMs))).catch((error: unknown) => {
    process.stderr.write(`${kind}: ${attack.tried}: ${error instanceof Error ? error.message : String(error)}\n`)
    return undefined
  })
}

function cell(finding: Finding | undefined): string {
  if (finding === undefined) return 'could not be tried'
  return `${finding.held ? 'holds' : '**does not hold**'}: ${finding.seen.replaceAll('|', '\\|')}`
}

const rows: string[][] = []
for (const attack of [...trafficAttacks, ...machineAttacks]) {
  const findings = [await tryOn('sallyport', attack), await tryOn('http-mitm-proxy', attack)]
  rows.push([attack.tried, ...findings.map(cell)])
  process.stderr.write(`${rows.length}: ${attack.tried}\n`)
}
process.stdout.write(table(['tried', 'sallyport', 'http-mitm-proxy'], rows).replaceAll('--:', '---'))
