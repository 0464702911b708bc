// The matrix as a whole: which clients this machine has, and that the page speaks of every one of them.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { captured, tableRow } from '../../support/clients-report.ts'
import { clientNames, findClient } from '../../support/clients.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/clients.md'), 'utf8')

t.test('every client of the matrix has its tests, a row and a section with its own words', async (t) => {
  for (const name of clientNames) {
    t.ok(existsSync(join(import.meta.dirname, `${name}.test.ts`)), name)
    t.ok(tableRow(page, name), `${name} has a row`)
    t.match(page, new RegExp(`^## ${name}$`, 'm'), `${name} has a section`)
    t.match(captured(page, name), /^```console\n\$ /, `${name} is quoted`)
  }
})

const found = clientNames.map((name) => ({ name, ...findClient(name) }))
const here = found.filter(({ options }) => options.skip === undefined).map(({ name, program }) => `${name} ${program.version}`)
const missing = found.filter(({ options }) => options.skip !== undefined).map(({ name }) => name)

t.test(`real clients on this machine: ${here.join(', ')}${missing.length === 0 ? '' : `; not here, so skipped: ${missing.join(', ')}`}`, async (t) => {
  t.ok(here.some((name) => name.startsWith('node-fetch')), 'Node is always here')
})
