// Runs http-cache-tests against the shared cache and writes what it said: results by test into
// test/fixtures/cache-tests.json, and a page with a reason for each that does not pass, docs/cache-tests.md.
//
//   node test/scripts/cache-tests.ts [--fetch]     --fetch: only fetch the suite
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { cacheTestsFolder, runCacheTests, type CacheTestResult } from '../support/cache-tests.ts'
import { countOf, renderCacheTests } from '../support/cache-tests-report.ts'
import { withScope } from '../support/scope.ts'

const root = resolve(import.meta.dirname, '../..')
const found = await cacheTestsFolder()
if ('missing' in found) {
  console.log(found.missing)
  process.exitCode = 1
} else if (!process.argv.includes('--fetch')) {
  const file = resolve(root, 'test/fixtures/cache-tests.json')
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, CacheTestResult>> : {}
  const run = await withScope((scope) => runCacheTests(scope, found.folder, before))
  writeFileSync(file, `${JSON.stringify(run.results, undefined, 1).replaceAll(/\{\n\s+("group": "[^"]+"),\n\s+("kind": "\w+"),\n\s+("outcome": "\w+")\n\s+\}/g, '{ $1, $2, $3 }')}\n`)
  writeFileSync(resolve(root, 'docs/cache-tests.md'), renderCacheTests(run))
  for (const kind of ['required', 'optimal', 'check'] as const) {
    console.log(`${kind}: ${(['pass', 'fail', 'unmet', 'setup'] as const).map((outcome) => `${countOf(run.results, { kind, outcome })} ${outcome}`).join(', ')}`)
  }
}
