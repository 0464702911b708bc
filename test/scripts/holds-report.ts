// Holds every client of the matrix that is on this machine for a reviewer, for so long and so long and in vain,
// and writes what became of each into docs/clients.md. A client that is not here keeps what the page has of it.
//
//   node test/scripts/holds-report.ts [--check]     --check: write nothing, exit 1 if the page would change
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { findClient } from '../support/clients.ts'
import { runHeld, type HeldClient } from '../support/held-clients.ts'
import { answers, heldCases, outcome, renderHolds } from '../support/holds-report.ts'
import { withScope } from '../support/scope.ts'

const file = resolve(import.meta.dirname, '../../docs/clients.md')
/** at once: most of the time they wait, and a client that starts slowly is none that gives up */
const atOnce = 4

const results: HeldClient[] = []
const work = heldCases.flatMap(({ name, scheme }) => {
  const { program, options } = findClient(name)
  if (options.skip === undefined) return answers.map((answered) => ({ name, scheme, answered, program }))
  console.log(`${name}, ${scheme}: ${options.skip}; the page keeps what it has`)
  return []
})
const left = work.values()
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (const { name, scheme, answered, program } of left) {
    const run = await withScope((scope) => runHeld(scope, name, program, scheme, answered))
    console.log(`${name} ${run.version}, ${scheme}, ${answered === 'nobody' ? 'nobody answers' : `yes after ${answered} s`}: ${outcome(run)}`)
    results.push(run)
  }
}))
// in the order of the page, whoever was first
const ordered = work.flatMap(({ name, scheme, answered }) => results.filter((run) => run.name === name && run.scheme === scheme && run.answered === answered))
const before = readFileSync(file, 'utf8')
const after = renderHolds(before, ordered)
if (after === before) console.log('docs/clients.md says so already')
else if (process.argv.includes('--check')) {
  console.log('docs/clients.md says otherwise')
  process.exitCode = 1
} else {
  writeFileSync(file, after)
  console.log('docs/clients.md is written')
}
