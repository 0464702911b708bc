import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadRedactionKey } from '../../src/audit/redaction-key.ts'
import { folder } from './fixture.ts'

t.test('the key is made once, for its owner alone, and read from then on', async (t) => {
  const dir = join(folder(t), 'data')
  const key = loadRedactionKey(dir)
  t.equal(key.length, 32)
  t.strictSame(loadRedactionKey(dir), key)
  t.equal(statSync(join(dir, 'redaction.key')).mode & 0o777, 0o600)
})

t.test('two data folders have two keys', async (t) => {
  t.notSame(loadRedactionKey(folder(t)), loadRedactionKey(folder(t)))
})

t.test('a file of the wrong length is an error, and stays', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'redaction.key'), 'short')
  t.throws(() => loadRedactionKey(dir), { message: /has 5 bytes and not 32/ })
  t.equal(readFileSync(join(dir, 'redaction.key'), 'utf8'), 'short')
})
