// docs/control.md names every code that the control API says no with, with its status, and no other.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { controlFaults } from '../../src/control/problem.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/control.md'), 'utf8')

t.test('the codes of the page are those of the table', async (t) => {
  const told = [...page.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| .+ \|$/gm)].map(([, code = '', status = '']) => [code, Number(status)])
  t.strictSame(Object.fromEntries(told), { ...controlFaults })
  t.equal(told.length, Object.keys(controlFaults).length, 'each stands there once')
})

t.test('what the page calls by its code is one', async (t) => {
  for (const [, code = ''] of page.matchAll(/\b[45]\d\d `([a-z_]+)`/g)) t.ok(Object.hasOwn(controlFaults, code), code)
})
