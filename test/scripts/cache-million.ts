// How the cache behaves when it is full: `node test/scripts/cache-million.ts [ENTRIES]`, 1000000 without one. Fills
// the index through SQL with entries that share one small body, then prints the times of a start and of lookups
// (key never asked for before, so from the index; the same keys again, so from memory; misses), and memory.
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheMigrations } from '../../src/cache/cache-migrations.ts'
import { headText } from '../../src/cache/cache-rows.ts'
import type { CacheKey } from '../../src/cache/cached-response.ts'
import { openCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { systemClock } from '../../src/clock.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'

const [wanted = '1000000'] = process.argv.slice(2)
const count = Number(wanted)
const asked = 20_000
const mib = 1_048_576
const dir = mkdtempSync(join(tmpdir(), 'sallyport-million-'))
const body = 'a small page\n'.repeat(20)
const digest = hash('sha256', body, 'hex')
const fields = ['content-type', 'text/html; charset=utf-8', 'date', 'Tue, 15 Nov 1994 08:12:31 GMT', 'etag', '"0123456789abcdef"', 'last-modified', 'Tue, 15 Nov 1994 08:12:31 GMT', 'cache-control', 'max-age=3600', 'server', 'nginx']
const head = headText({ status: 200, reason: 'OK', fields, vary: [], storedMs: 1_700_000_000_000, initialAgeMs: 0, source: 'imported', by: 'ada', capturedMs: undefined })

try {
  fill()
  await measure()
} finally {
  rmSync(dir, { recursive: true, force: true })
}

function keyAt(at: number): CacheKey {
  return { shelf: 'web', partition: 'common', url: `https://site-${at % 997}.example/section/${at % 61}/pages/${at}?lang=en` }
}

function fill(): void {
  const prefix = join(dir, 'bodies', digest.slice(0, 2))
  mkdirSync(prefix, { recursive: true })
  writeFileSync(join(prefix, digest), body)
  const started = performance.now()
  const store = openSqliteStore(join(dir, 'index.db'), cacheMigrations)
  store.run('INSERT INTO bodies (digest, bytes, entries, pins) VALUES (?, ?, 0, 0)', digest, body.length)
  for (let first = 0; first < count; first += 10_000) {
    store.transaction(() => {
      for (let at = first; at < Math.min(count, first + 10_000); at++) {
        const { url, shelf, partition } = keyAt(at)
        store.run("INSERT INTO entries (url, shelf, partition, vary, digest, bytes, pinned, used, source, head) VALUES (?, ?, ?, '[]', ?, ?, 0, ?, 'imported', ?)", url, shelf, partition, digest, body.length, at, head)
      }
    })
  }
  store.close()
  console.log(`filled: ${count} entries in ${Math.round(performance.now() - started)} ms, index of ${Math.round(statSync(join(dir, 'index.db')).size / mib)} MiB`)
}

async function measure(): Promise<void> {
  const before = process.memoryUsage.rss()
  const started = performance.now()
  const store = openCacheStore({ dir, maxBytes: 1_024 * mib, maxBodyBytes: mib, clock: systemClock, onFault: console.error })
  console.log(`start: ${(performance.now() - started).toFixed(1)} ms`)
  await store.swept
  const places = Array.from({ length: asked }, (_, at) => (at * 7_919 + 13) % count)
  const hit = (key: CacheKey) => store.find(key).length === 1
  const missed = (key: CacheKey) => store.find(key).length === 0
  // also warms the compiler
  time('hit, first thousand', places.slice(0, 1_000).map(keyAt), hit)
  time('hit, from the index', places.slice(1_000).map(keyAt), hit)
  time('hit, from memory', places.slice(-5_000).map(keyAt), hit)
  time('miss, from the index', places.map((at) => ({ ...keyAt(at), url: `${keyAt(at).url}&more=${at}` })), missed)
  const resident = process.memoryUsage.rss()
  const [entry] = store.find(keyAt(places[0] ?? 0))
  if (entry === undefined) throw new Error('an entry is not found')
  const reads: number[] = []
  for (let at = 0; at < 5_000; at++) {
    const from = performance.now()
    await store.read(entry)
    reads.push(performance.now() - from)
  }
  print('read of a small body, from memory', reads)
  time('put', places.slice(0, 5_000).map((at) => ({ ...keyAt(at), url: `${keyAt(at).url}&new` })), (key) => store.put({ ...entry, key }, { digest, bytes: body.length }).id > 0)
  const listed = performance.now()
  store.list({ matches: () => false }, 100)
  const searched = performance.now()
  await store.search({ matches: () => false }, 100)
  console.log(`list that nothing matches: ${Math.round(searched - listed)} ms in one turn, search: ${Math.round(performance.now() - searched)} ms in many`)
  console.log(`memory: ${Math.round(before / mib)} MiB before, ${Math.round(resident / mib)} MiB after the lookups`)
  store.close()
}

function time(what: string, keys: readonly CacheKey[], isRight: (key: CacheKey) => boolean): void {
  const times = keys.map((key) => {
    const from = performance.now()
    const isSo = isRight(key)
    const ms = performance.now() - from
    if (!isSo) throw new Error(`${what}: a wrong answer to ${key.url}`)
    return ms
  })
  print(what, times)
}

function print(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number) => ((sorted[Math.floor(sorted.length * part)] ?? 0) * 1_000).toFixed(1)
  console.log(`${what}: median ${at(0.5)} us, p99 ${at(0.99)} us (${times.length})`)
}
