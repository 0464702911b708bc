// http-cache-tests against the shared cache, through a whole proxy: every result is the one that is checked in. After a
// change that is meant, `node test/scripts/cache-tests.ts` writes them and their page anew.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { cacheTestsFolder, runCacheTests, type CacheTestResult, type CacheTestRun } from '../support/cache-tests.ts'
import { countOf, flawless, renderCacheTests } from '../support/cache-tests-report.ts'

// tests of its own pause for seconds
t.setTimeout(110_000)

const root = resolve(import.meta.dirname, '../..')
const checkedIn = JSON.parse(readFileSync(resolve(root, 'test/fixtures/cache-tests.json'), 'utf8')) as Readonly<Record<string, CacheTestResult>>
const found = await cacheTestsFolder()
const skip = 'missing' in found ? found.missing : false

t.test('what is checked in is what a shared cache owes', async (t) => {
  t.ok(countOf(checkedIn, { kind: 'required', outcome: 'pass' }) >= 132)
  t.ok(countOf(checkedIn, { kind: 'required', outcome: 'fail' }) <= 10)
  for (const group of flawless) {
    t.ok(countOf(checkedIn, { kind: 'required', group, outcome: 'pass' }) > 0, group)
    t.equal(countOf(checkedIn, { kind: 'required', group, outcome: 'fail' }), 0, group)
  }
})

t.test('http-cache-tests says what is checked in', { skip }, async (t) => {
  if ('missing' in found) return
  const run: CacheTestRun = await runCacheTests(t, found.folder, checkedIn)
  t.same(run.results, checkedIn)
  t.equal(readFileSync(resolve(root, 'docs/cache-tests.md'), 'utf8'), renderCacheTests(run))
})
