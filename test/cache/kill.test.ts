import { hash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { emptyDigest } from '../../src/cache/cache-rows.ts'
import type { Scope } from '../support/scope.ts'
import { bodiesIn, bytesOf, cacheDir, mib, opened, temporaryIn } from './fixture.ts'

const child = join(import.meta.dirname, '../support/cache-writer.ts')

/** What the process said until it was killed, `afterLines` after it had opened the cache. */
async function killed(t: Scope, dir: string, maxBytes: number, seed: number, afterLines: number): Promise<readonly string[]> {
  const writer = spawn(process.execPath, [child, dir, String(maxBytes), String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(writer, 'close')
  t.teardown(() => writer.kill('SIGKILL'))
  let said = ''
  for await (const text of writer.stdout.setEncoding('utf8')) {
    said += String(text)
    if (said.split('\n').length > afterLines) writer.kill('SIGKILL')
  }
  await ended
  return said.split('\n').slice(0, -1)
}

for (const [name, maxBytes] of [['with room for all', 512 * mib], ['while it evicts', 4 * mib]] as const) {
  t.test(`kill -9 at any moment leaves whole entries and nothing else, ${name}`, { timeout: 120_000 }, async (t) => {
    const dir = cacheDir(t)
    /** what is certain of each URL: its digest, or undefined for none; not in it: it was being changed */
    const known = new Map<string, string | undefined>()
    let done = 0
    for (let round = 0; round < 10; round++) {
      const lines = await killed(t, dir, maxBytes, round, 2 + ((round * 37) % 90))
      for (const [what, url = '', digest] of lines.map((line) => line.split(' '))) {
        if (what === 'fault') t.fail(`it told of a fault: ${url}`)
        if (what === 'try') known.delete(url)
        if (what === 'put' || what === 'gone') done++
        if (what === 'put') known.set(url, digest)
        if (what === 'gone') known.set(url, undefined)
      }
      const { store, faults } = opened(t, { dir, maxBytes })
      t.strictSame(temporaryIn(dir), [])
      const entries = store.list({}, 1_000)
      const digests = new Set<string>()
      for (const entry of entries) {
        const content = await bytesOf(store, entry)
        if (content === undefined || hash('sha256', content, 'hex') !== entry.bodyDigest || content.byteLength !== entry.bodyBytes) t.fail(`${entry.key.url} is not whole`)
        if (entry.bodyBytes > 0) digests.add(entry.bodyDigest)
        t.ok(!known.has(entry.key.url) || known.get(entry.key.url) === entry.bodyDigest, `${entry.key.url} is what was put last`)
      }
      if (maxBytes > 100 * mib) {
        for (const [url, digest] of known) if (digest !== undefined) t.ok(entries.some(({ key }) => key.url === url), `${url} is there`)
      }
      await store.swept
      t.strictSame(bodiesIn(dir), [...digests].toSorted(), 'no file is left that has no entry')
      t.match(store.stats(), { entries: entries.length, corrupt: 0 })
      t.strictSame(faults, [])
      store.close()
    }
    t.ok(done > 50, `${done} changes were made`)
    t.ok([...known.values()].some((digest) => digest !== undefined && digest !== emptyDigest))
  })
}
