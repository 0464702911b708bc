// Runs every client of the matrix that is on this machine against refusals, those inside TLS among them, and
// writes what each of them showed into docs/clients.md. A client that is not here keeps what the page has of it.
//
//   node test/scripts/clients-report.ts [--check]     --check: write nothing, exit 1 if the page would change
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { captureRefusals, type CapturedClient } from '../support/client-refusals.ts'
import { startClientWorld } from '../support/client-world.ts'
import { clientNames, findClient } from '../support/clients.ts'
import { renderPage } from '../support/clients-report.ts'
import { captureInside, insideNames, renderInside, startInside, type InsideRefusal } from '../support/inside-refusals.ts'
import { withScope } from '../support/scope.ts'

const file = resolve(import.meta.dirname, '../../docs/clients.md')

const results: CapturedClient[] = []
const inside: InsideRefusal[] = []
for (const name of clientNames) {
  const { program, options } = findClient(name)
  if (options.skip !== undefined) {
    console.log(`${name}: ${options.skip}; the page keeps what it has`)
    continue
  }
  const client = await withScope(async (scope) => captureRefusals(await startClientWorld(scope), name, program))
  console.log(`${name} ${client.version}: ${client.refusals.map(({ which, scheme, shows }) => `${which} ${scheme} ${shows}`).join(', ')}`)
  results.push(client)
  if (!insideNames.includes(name)) continue
  const refusal = await withScope(async (scope) => captureInside(await startInside(scope), name, program))
  console.log(`${name} ${client.version}: refused inside TLS ${refusal.shows}`)
  inside.push(refusal)
}
const before = readFileSync(file, 'utf8')
const after = renderInside(renderPage(before, results), inside)
if (after === before) console.log('docs/clients.md says so already')
else if (process.argv.includes('--check')) {
  console.log('docs/clients.md says otherwise')
  process.exitCode = 1
} else {
  writeFileSync(file, after)
  console.log('docs/clients.md is written')
}
