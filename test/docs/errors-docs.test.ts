// docs/errors.md and the table of src/errors.ts say the same, in both directions.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { errorEntry, errorTable, type ErrorCode } from '../../src/errors.ts'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')

interface Row {
  readonly code: string
  readonly cells: readonly string[]
  readonly advice: string
}

function rows(): Row[] {
  return page.split('\n').flatMap((line): Row[] => {
    const cells = line.split('|').slice(1, -1).map((cell) => cell.trim())
    const [, code] = /^`([a-z_]+)`$/.exec(cells[0] ?? '') ?? []
    return code === undefined ? [] : [{ code, cells: cells.slice(1, 6), advice: cells[6] ?? '' }]
  })
}

function isCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text)
}

t.test('every code of the page is in the table, with the same values', async (t) => {
  for (const { code, cells, advice } of rows()) {
    if (!isCode(code)) {
      t.fail(`\`${code}\` is on the page and not in the table`)
      continue
    }
    const { status, proxyStatus, xProxyError, retryable, text } = errorEntry(code)
    const field = xProxyError === undefined ? '–' : `\`${xProxyError}\``
    t.same(cells, [String(status), `\`${proxyStatus}\``, field, retryable ? 'yes' : 'no', text], code)
    t.ok(advice.length > 10, `${code} says what helps`)
  }
})

t.test('every code of the table is on the page, once and in the same order', async (t) => {
  t.same(rows().map(({ code }) => code), Object.keys(errorTable))
})

t.test('a setting that the page names exists', async (t) => {
  const settings = readFileSync(join(root, 'docs/configuration.md'), 'utf8')
  const named = [...page.matchAll(/`((?:limits|dns|audit)\.[a-z_]+)`/g)].map(([, key = '']) => key)
  t.ok(named.length > 5)
  for (const key of named) t.ok(settings.includes(`\`${key}\``), key)
})
