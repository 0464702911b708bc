import { hash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DamagedBody } from '../../src/cache/cache-fault.ts'
import type { BodyWriter } from '../../src/cache/cache-store.ts'
import { systemClock } from '../../src/clock.ts'
import { answer, bodiesIn, bodyPath, bytesOf, cacheDir, keep, keyOf, mib, opened, temporaryIn, textOf } from './fixture.ts'

const url = 'https://a.test/page'
const small = randomBytes(100_000)
const large = randomBytes(3 * mib + 17)
/** large bodies are read from the disk, piece by piece */
const streaming = { hotLargeBytes: 0 }

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

/** Files of the folder that this process has open. */
function openFiles(dir: string): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  }).filter((path) => path.startsWith(join(dir, 'bodies')))
}

const mayListOpenFiles = existsSync('/proc/self/fd') ? {} : { skip: 'this system has no /proc to list open files' }

for (const [where, options] of [['memory', {}], ['the disk', { hotBytes: 0, hotLargeBytes: 0 }]] as const) {
  t.test(`small and large bodies come as they went from ${where}, whole and in parts`, async (t) => {
    const { store } = opened(t, options)
    for (const content of [small, large, large.subarray(0, mib), large.subarray(0, mib + 1)]) {
      const entry = await keep(store, url, content)
      t.equal(entry.bodyDigest, hash('sha256', content, 'hex'))
      t.equal(Buffer.compare((await bytesOf(store, entry)) ?? Buffer.alloc(0), content), 0)
      const end = content.byteLength - 1
      for (const [first, last] of [[0, 0], [0, end], [end, end], [70_000, 99_000], [1, end - 1]] as const) {
        t.equal(Buffer.compare((await bytesOf(store, entry, { first, last })) ?? Buffer.alloc(0), content.subarray(first, last + 1)), 0, `${first}-${last}`)
      }
      for (const [first, last] of [[-1, 3], [3, 2], [0, end + 1], [0.5, 2], [0, Number.NaN]] as const) await t.rejects(store.read(entry, { first, last }), RangeError)
    }
    t.equal(store.stats().corrupt, 0)
  })
}

const damages: Record<string, (path: string, dir: string) => void> = {
  'a flipped bit': (path) => flip(path, 5_000),
  'a body that is too short': (path) => truncateSync(path, 99_999),
  'an empty body': (path) => truncateSync(path, 0),
  'a body that is too long': (path) => writeFileSync(path, 'more', { flag: 'a' }),
  'a deleted body': (path) => rmSync(path),
  'a link in place of a body': (path, dir) => {
    renameSync(path, join(dir, 'elsewhere'))
    symlinkSync(join(dir, 'elsewhere'), path)
  },
}

for (const [size, content, options] of [['small', small, {}], ['large', large, {}], ['large, streamed', large, streaming]] as const) {
  for (const [name, damage] of Object.entries(damages)) {
    t.test(`${name} is never handed out, and its entry goes (${size})`, async (t) => {
      const { store, dir, faults } = opened(t, options)
      const entry = await keep(store, url, content)
      damage(bodyPath(dir, entry.bodyDigest), dir)
      t.strictSame(await Promise.all([store.read(entry), store.read(entry, { first: 0, last: 9 })]), [undefined, undefined])
      t.strictSame(store.find(keyOf(url)), [])
      t.match(store.stats(), { entries: 0, bodyBytes: 0, corrupt: 1 })
      t.strictSame(bodiesIn(dir), [])
      t.equal(faults.length, 1)
      t.ok(faults[0] instanceof DamagedBody)
      const again = await keep(store, url, content)
      t.equal(Buffer.compare((await bytesOf(store, again)) ?? Buffer.alloc(0), content), 0, 'it can be put again')
    })
  }
}

t.test('a folder in place of a body is not handed out either', async (t) => {
  const { store, dir, faults } = opened(t)
  const entry = await keep(store, url, small)
  rmSync(bodyPath(dir, entry.bodyDigest))
  mkdirSync(bodyPath(dir, entry.bodyDigest))
  t.equal(await store.read(entry), undefined)
  t.strictSame(store.find(keyOf(url)), [])
  t.equal(faults.length, 2, 'the damage, and a folder that cannot be removed as a file')
})

t.test('a small body that was read is kept in memory, so far as there is room', async (t) => {
  const { store, dir } = opened(t, { hotBytes: 150_000 })
  const other = randomBytes(100_000)
  const first = await keep(store, url, small)
  const second = await keep(store, 'https://b.test/', other)
  await store.read(first)
  rmSync(bodyPath(dir, first.bodyDigest))
  t.equal(Buffer.compare((await bytesOf(store, first)) ?? Buffer.alloc(0), small), 0, 'read from memory')
  await store.read(second)
  t.equal(await store.read(first), undefined, 'there was no room for both')
})

t.test('without room in memory every read is from the disk', async (t) => {
  const { store, dir } = opened(t, { hotBytes: 0 })
  const entry = await keep(store, url, small)
  await store.read(entry)
  flip(bodyPath(dir, entry.bodyDigest), 1)
  t.equal(await store.read(entry), undefined)
})

t.test('a large body that was checked is checked again when its file changed', async (t) => {
  const { store, dir } = opened(t, streaming)
  const entry = await keep(store, url, large)
  await bytesOf(store, entry)
  const path = bodyPath(dir, entry.bodyDigest)
  const { atime, mtime } = statSync(path)
  flip(path, 2 * mib)
  utimesSync(path, atime, mtime)
  t.equal(await store.read(entry), undefined)
  t.equal(store.stats().corrupt, 1)
})

t.test('a body that two answers have is lost to both, each when it is read', async (t) => {
  const { store, dir } = opened(t)
  const first = await keep(store, url, small)
  const second = await keep(store, 'https://b.test/', small)
  flip(bodyPath(dir, first.bodyDigest), 1)
  t.equal(await store.read(first), undefined)
  t.equal(await store.read(second), undefined)
  t.match(store.stats(), { entries: 0, corrupt: 2 })
  t.strictSame(bodiesIn(dir), [])
})

t.test('an equal body that comes again heals a damaged one', async (t) => {
  const { store, dir } = opened(t)
  for (const content of [small, large]) {
    const first = await keep(store, url, content)
    flip(bodyPath(dir, first.bodyDigest), 1)
    await keep(store, 'https://b.test/', content)
    t.equal(Buffer.compare((await bytesOf(store, first)) ?? Buffer.alloc(0), content), 0)
  }
  t.equal(store.stats().corrupt, 0)
})

t.test('who streams a body reads it to its end, though it was replaced or evicted meanwhile', async (t) => {
  const { store, dir } = opened(t, streaming)
  const entry = await keep(store, url, large)
  const content = await store.read(entry)
  if (content === undefined || content instanceof Uint8Array) return t.fail('a large body is no stream')
  const pieces: Uint8Array[] = []
  for await (const piece of content) {
    if (pieces.push(piece) === 1) await keep(store, url, 'another')
  }
  t.equal(Buffer.compare(Buffer.concat(pieces), large), 0)
  t.strictSame(bodiesIn(dir), [hash('sha256', 'another', 'hex')])
  return undefined
})

t.test('a stream that was opened before its body was removed can still be begun', async (t) => {
  const { store } = opened(t, streaming)
  const entry = await keep(store, url, large)
  const content = await store.read(entry)
  store.remove(entry.id)
  t.equal(await store.read(entry), undefined)
  if (content === undefined || content instanceof Uint8Array) return t.fail('a large body is no stream')
  t.equal(Buffer.compare(Buffer.concat(await Array.fromAsync(content)), large), 0)
  return undefined
})

t.test('a body that is cut off while it is streamed ends with an error, never early', async (t) => {
  const { store, dir } = opened(t, streaming)
  const entry = await keep(store, url, large)
  const content = await store.read(entry)
  if (content === undefined || content instanceof Uint8Array) return t.fail('a large body is no stream')
  truncateSync(bodyPath(dir, entry.bodyDigest), mib)
  await t.rejects(Array.fromAsync(content), { code: 'cache_failed' })
  return undefined
})

t.test('no file stays open: a stream may be left, given back, or never begun', mayListOpenFiles, async (t) => {
  let ms = 0
  const { store, dir } = opened(t, { ...streaming, clock: { now: systemClock.now, monotonic: () => ms } })
  const entry = await keep(store, url, large)
  const stream = async () => {
    const content = await store.read(entry)
    if (content === undefined || content instanceof Uint8Array) throw new Error('a large body is no stream')
    return content
  }
  const closed = async (what: string) => {
    while (openFiles(dir).length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    t.pass(what)
  }
  for await (const piece of await stream()) {
    t.equal(openFiles(dir).length, 1)
    if (piece.byteLength > 0) break
  }
  await closed('left after its first piece')
  await (await stream())[Symbol.asyncIterator]().return?.()
  await closed('given back before it was begun')
  await Array.fromAsync(await stream())
  await closed('read to its end')
  const late = await stream()
  t.equal(openFiles(dir).length, 1)
  ms += 60_001
  await closed('not begun within a minute')
  await t.rejects(Array.fromAsync(late), { code: 'cache_failed' }, 'and whoever begins then does not take it for whole')
  await stream()
  store.close()
  await closed('not begun when the store is closed')
})

t.test('a body on its way in cannot be found, and nothing stays of one that is given up', async (t) => {
  const { store, dir } = opened(t)
  const empty = async () => {
    while (temporaryIn(dir).length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    t.strictSame(bodiesIn(dir), [])
  }
  const begun = async (): Promise<BodyWriter> => {
    const writer = store.writeBody()
    await writer.write(large)
    t.not(temporaryIn(dir).length, 0)
    t.equal(writer.bytes, large.byteLength)
    return writer
  }
  const first = await begun()
  first.abort()
  first.abort()
  await empty()
  await t.rejects(first.write(small), { code: 'cache_failed', detail: 'the body was given up' })
  await t.rejects(first.finish(), { code: 'cache_failed' })
  const second = await begun()
  const body = await second.finish()
  t.match(body, { digest: hash('sha256', large, 'hex'), bytes: large.byteLength })
  await t.rejects(second.write(small), { code: 'cache_failed', detail: 'the body is finished' })
  second.abort()
  await empty()
  t.throws(() => store.put(answer(url), body), { code: 'cache_failed' })
  const third = store.writeBody()
  const writing = third.write(large)
  third.abort()
  await t.rejects(writing, { code: 'cache_failed' })
  await empty()
  const fourth = await begun()
  await begun()
  await fourth.finish()
  t.equal(temporaryIn(dir).length, 2)
  store.close()
  await empty()
})

t.test('pieces that are not waited for are written in their order, and the sender may use its buffer again', async (t) => {
  const { store } = opened(t)
  const writer = store.writeBody()
  const buffer = Buffer.alloc(40_000)
  const all = Array.from({ length: 20 }, (_, at) => {
    buffer.fill(at)
    return writer.write(buffer)
  })
  buffer.fill(255)
  await Promise.all(all)
  const entry = store.put(answer(url), await writer.finish())
  const content = Buffer.concat(Array.from({ length: 20 }, (_, at) => Buffer.alloc(40_000, at)))
  t.equal(Buffer.compare((await bytesOf(store, entry)) ?? Buffer.alloc(0), content), 0)
})

t.test('a body that is larger than one may be is refused as it comes', async (t) => {
  const { store, dir } = opened(t, { maxBodyBytes: 200_000 })
  const writer = store.writeBody()
  await writer.write(small)
  await writer.write(small)
  await t.rejects(writer.write(Buffer.from('x')), { code: 'cache_failed', detail: /larger than the 200000 bytes/ })
  await t.rejects(writer.finish(), { code: 'cache_failed' })
  while (temporaryIn(dir).length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  const entry = await keep(store, url, Buffer.concat([small, small]))
  t.equal(entry.bodyBytes, 200_000)
})

t.test('a folder that takes no files is a fault of the cache, and nothing is half done', async (t) => {
  const { store, dir } = opened(t)
  const kept = await keep(store, url, 'hello')
  const writer = store.writeBody()
  await writer.write(small)
  const written = await writer.finish()
  rmSync(join(dir, 'tmp'), { recursive: true })
  t.throws(() => store.put(answer('https://b.test/'), written), { code: 'cache_failed' })
  const other = store.writeBody()
  await t.rejects(other.write(small), { code: 'cache_failed', detail: /could not be written/ })
  t.match(store.stats(), { entries: 1, bodyBytes: 5 })
  t.equal(await textOf(store, kept), 'hello')
})

t.test('files that belong to nobody are removed after a start, and no others', async (t) => {
  const dir = cacheDir(t)
  const first = opened(t, { dir })
  const entry = await keep(first.store, url, 'hello')
  first.store.close()
  const orphans = Array.from({ length: 300 }, (_, at) => hash('sha256', `orphan ${at}`, 'hex'))
  for (const digest of orphans) {
    mkdirSync(join(dir, 'bodies', digest.slice(0, 2)), { recursive: true })
    writeFileSync(bodyPath(dir, digest), 'x')
  }
  writeFileSync(join(dir, 'tmp', 'left'), 'x')
  writeFileSync(join(dir, 'bodies', entry.bodyDigest.slice(0, 2), 'notes.txt'), 'not ours')
  const { store, faults } = opened(t, { dir })
  t.strictSame(temporaryIn(dir), [])
  const during = await keep(store, 'https://b.test/', 'orphan 7')
  await store.swept
  t.strictSame(bodiesIn(dir), [entry.bodyDigest, during.bodyDigest, 'notes.txt'].toSorted())
  t.equal(await textOf(store, during), 'orphan 7')
  t.strictSame(faults, [])
})
