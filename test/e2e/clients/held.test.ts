// Real clients that are held for a reviewer, and served as soon as the answer is yes. Longer holds, and what each
// client shows when nobody answers, are measured by test/scripts/holds-report.ts.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { findClient } from '../../support/clients.ts'
import { runHeld } from '../../support/held-clients.ts'
import { heldCases, heldRow } from '../../support/holds-report.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/clients.md'), 'utf8')

for (const { name, scheme } of heldCases) {
  const { program, options } = findClient(name)
  t.test(`${name} over ${scheme} is held while a reviewer is asked, and served when the answer is yes`, options, async (t) => {
    const run = await runHeld(t, name, program, scheme, 0)
    t.ok(run.isServed, run.output)
    t.equal(run.attempts, 1, 'it asked once and waited')
    const says = /^([^\s/]*)/.exec(run.userAgent ?? 'nothing')?.[1] ?? ''
    t.match(heldRow(page, name, scheme)?.split('|')[2], says, 'it is known by what the page says')
  })
}
