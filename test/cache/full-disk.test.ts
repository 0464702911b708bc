import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { bodiesIn, cacheDir, keep, opened, temporaryIn } from './fixture.ts'

const child = join(import.meta.dirname, '../support/cache-full-disk.ts')
// without what the test run has every child load, which listens for signals
// the limit is in blocks of 512 bytes (of 1024 in some shells); the signal that comes with it is ignored, so that writing fails
const limited = 'unset NODE_OPTIONS && trap "" XFSZ && ulimit -f 2000 && exec "$0" "$@"'

t.test('a disk that takes no more is a fault, and nothing is half done', existsSync('/bin/sh') ? {} : { skip: 'no /bin/sh to set a limit on the size of files' }, async (t) => {
  const dir = cacheDir(t)
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', limited, process.execPath, child, dir])
  const said: unknown = JSON.parse(stdout)
  t.match(said, { small: 'kept', large: 'cache_failed', after: 'kept', outcome: 'cache_failed', stats: { corrupt: 0, evicted: 0 } })
  const { kept, found } = said as { readonly kept: number; readonly found: number }
  t.ok(kept > 10, 'the index took some')
  t.equal(found, kept + 2, 'what was refused is not found')
  t.strictSame((said as { readonly faults: unknown }).faults, [])
  t.equal(bodiesIn(dir).length, kept + 2, 'the body of an answer that the index did not take is gone')
  t.strictSame(temporaryIn(dir), [])
  const { store } = opened(t, { dir })
  t.match(store.stats(), { entries: kept + 2 })
  await store.swept
  t.equal(bodiesIn(dir).length, kept + 2)
  await keep(store, 'https://a.test/now', 'there is room again')
})
