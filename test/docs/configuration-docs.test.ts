// docs/configuration.md is held to the schema table both ways: every setting stands there as it is, and
// nothing stands there that is not a setting.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { credentialKeys } from '../../src/config/load-credentials.ts'
import { destinationKeys } from '../../src/config/load-destinations.ts'
import { settingList, variableOf } from '../../src/config/schema.ts'
import { createMetrics } from '../../src/ops/metrics.ts'
import { snapshot } from '../ops/snapshot.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8')
const lines = page.split('\n')

const cell = (text: string): string => text.replaceAll('|', '\\|')

function rowOf(setting: (typeof settingList)[number]): string {
  const flag = setting.flag === undefined ? '' : `\`--${setting.flag}\``
  const fallback = (setting.default ?? '') === '' ? '' : `\`${setting.default}\``
  const cells = [`\`${setting.key}\``, flag, `\`${variableOf(setting.key)}\``, cell(setting.kind.name), fallback, cell(setting.doc)]
  return `| ${cells.join(' | ')} |`
}

t.test('every setting stands on the page with its flag, variable, kind, default and meaning', async (t) => {
  for (const setting of settingList) t.ok(lines.includes(rowOf(setting)), rowOf(setting))
})

t.test('every row of six cells on the page is a setting', async (t) => {
  const rows = lines.filter((line) => line.split(/(?<!\\)\|/).length === 8 && line.startsWith('| `'))
  const known = settingList.map(rowOf)
  t.equal(rows.length, settingList.length)
  for (const row of rows) t.ok(known.includes(row), row)
})

t.test('the table of credentials says of every key what the code does', async (t) => {
  const from = lines.indexOf('| key of `[credentials.NAME]` | takes | what it does |')
  const rows = lines.slice(from + 2, lines.indexOf('', from))
  t.same(rows, credentialKeys.map(({ key, takes, doc }) => `| \`${key}\` | ${takes} | ${doc} |`))
})

t.test('the table of destinations says of every key what the code does', async (t) => {
  const from = lines.indexOf('| key of `[[audit.destinations]]` | of type | takes | what it does |')
  const rows = lines.slice(from + 2, lines.indexOf('', from))
  t.same(rows, destinationKeys.map(({ key, types, takes, doc }) => `| \`${key}\` | ${types} | ${takes} | ${doc} |`))
})

t.test('every SALLYPORT_ variable and every alias the page speaks of exists', async (t) => {
  const known = new Set(['SALLYPORT_CONFIG', ...settingList.map(({ key }) => variableOf(key))])
  for (const [variable] of page.matchAll(/SALLYPORT_[A-Z_]+/g)) t.ok(known.has(variable), variable)
  for (const { alias } of settingList) if (alias !== undefined) t.ok(page.includes(`\`${alias}\``), alias)
})

t.test('every metric stands on the page, and no other', async (t) => {
  const metrics = createMetrics({ version: '0', snapshot })
  const exported = [...(await metrics.text()).matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => `| \`${name}\` | ${help} |`)
  metrics.close()
  t.same(lines.filter((line) => /^\| `(sallyport|process|nodejs)_/.test(line)), exported)
})
