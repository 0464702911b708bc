// Changes are noticed by events and, where there are none, by comparing stamps.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { watchPolicy } from '../../src/config/policy-watch.ts'

// the watch itself does not keep a process alive
const alive = setInterval(() => undefined, 1000)
t.teardown(() => clearInterval(alive))

interface Watched {
  readonly dir: string
  /** what `a.toml` held at each change */
  readonly changes: string[]
  readonly next: () => Promise<void>
}

async function watched(t: Test, options: { stamp?: () => Promise<string>; files?: (dir: string) => string[] } = {}): Promise<Watched> {
  const dir = await mkdtemp(join(tmpdir(), 'policy-watch-'))
  const changes: string[] = []
  let tell: (() => void) | undefined
  const files = options.files?.(dir) ?? []
  const stamp = options.stamp ?? (() => Promise.resolve('same'))
  const watch = watchPolicy({
    clock: systemClock,
    stamp,
    onChange: async () => {
      changes.push(existsSync(join(dir, 'a.toml')) ? readFileSync(join(dir, 'a.toml'), 'utf8') : '')
      watch.follow(dir, files, await stamp())
      tell?.()
    },
    onFault: (folder, error) => t.fail(`${folder}: ${String(error)}`),
  })
  watch.follow(dir, files, await stamp())
  t.teardown(async () => {
    watch.close()
    await rm(dir, { recursive: true })
  })
  return {
    dir,
    changes,
    next: () => new Promise((resolve) => {
      tell = resolve
    }),
  }
}

t.test('a saved policy file is an event, even where the stamp stays the same', async (t) => {
  const { dir, next, changes } = await watched(t)
  const changed = next()
  await writeFile(join(dir, 'a.toml'), 'x')
  await changed
  t.same(changes, ['x'])
})

t.test('a burst of saves is one change', async (t) => {
  const { dir, next, changes } = await watched(t)
  const changed = next()
  // in one turn, so that a slow machine makes no pause between them
  for (let i = 0; i < 20; i += 1) writeFileSync(join(dir, 'a.toml'), `x = ${i}`)
  await changed
  t.same(changes, ['x = 19'], 'the first look comes after the last save')
})

t.test('without an event the poll sees a new stamp', async (t) => {
  let stamp = 'one'
  const { next, changes } = await watched(t, { stamp: () => Promise.resolve(stamp) })
  const changed = next()
  stamp = 'two'
  await changed
  t.equal(changes.length, 1)
})

t.test('a file that is not ours is looked at and left alone', async (t) => {
  let looks = 0
  let looked: (() => void) | undefined
  const { dir, changes } = await watched(t, {
    stamp: () => {
      looks += 1
      looked?.()
      return Promise.resolve('same')
    },
  })
  const again = new Promise<void>((resolve) => {
    looked = resolve
  })
  await writeFile(join(dir, 'notes.txt'), 'x')
  await again
  t.ok(looks > 1)
  t.equal(changes.length, 0)
})

t.test('a feed in another folder is watched', async (t) => {
  const other = await mkdtemp(join(tmpdir(), 'policy-feed-'))
  t.teardown(() => rm(other, { recursive: true }))
  const { next, changes } = await watched(t, { files: () => [join(other, 'feed.txt')] })
  const changed = next()
  await writeFile(join(other, 'feed.txt'), 'bad.example\n')
  await changed
  t.equal(changes.length, 1)
})

t.test('a change in a folder that was replaced is still seen', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'policy-swap-'))
  t.teardown(() => rm(root, { recursive: true }))
  await mkdir(join(root, 'one'))
  await mkdir(join(root, 'two'))
  await writeFile(join(root, 'one', 'a.toml'), '1')
  await writeFile(join(root, 'two', 'a.toml'), '2')
  const link = join(root, 'policies')
  await symlink('one', link)
  const stamp = () => readFile(join(link, 'a.toml'), 'utf8')
  const { promise, resolve } = Promise.withResolvers<void>()
  const seen: string[] = []
  const watch = watchPolicy({
    clock: systemClock,
    stamp,
    onChange: async () => {
      const now = await stamp()
      seen.push(now)
      watch.follow(link, [], now)
      if (seen.includes('2')) resolve()
    },
    onFault: (_folder, error) => t.fail(String(error)),
  })
  t.teardown(() => watch.close())
  watch.follow(link, [], await stamp())
  await symlink('two', join(root, 'next'))
  await rename(join(root, 'next'), link)
  await promise
  t.same(seen.at(-1), '2')
})

t.test('nothing is told after close', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'policy-close-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const watch = watchPolicy({
    clock: systemClock,
    stamp: () => Promise.reject(new Error('looked after close')),
    onChange: () => Promise.reject(new Error('told after close')),
    onFault: (_folder, error) => t.fail(String(error)),
  })
  watch.follow(dir, [], 'x')
  watch.close()
  await writeFile(join(dir, 'a.toml'), 'x')
  t.pass('close is final')
})
