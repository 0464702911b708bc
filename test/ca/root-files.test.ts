// The files of the root: made once, by one of many, with exact modes; and left alone whatever is wrong with them.
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeRoot } from '../../src/ca/root.ts'
import { claim, loadSigner, placePair, rootPaths } from '../../src/ca/root-files.ts'
import { systemClock } from '../../src/clock.ts'
import { authority, dayMs, foreign, putPair, ran, setClock } from './fixture.ts'

const isRoot = process.getuid?.() === 0
const notRoot = isRoot ? 'root may read everything' : false
const mode = (path: string): string => (statSync(path).mode & 0o7777).toString(8)

interface Place {
  readonly dir: string
  readonly cert: string
  readonly key: string
}

/** A folder with a root that was made a day ago: nobody is at work on it. */
async function made(base: string): Promise<Place> {
  const place = rootPaths(join(mkdtempSync(join(base, 'ca-')), 'certs'))
  await placePair(place, makeRoot(Date.now(), undefined))
  for (const path of [place.cert, place.key]) age(path)
  return place
}

function age(path: string): void {
  const then = new Date(Date.now() - dayMs)
  utimesSync(path, then, then)
}

/** Names and contents of a folder. */
function contents(dir: string): Record<string, string> {
  return Object.fromEntries(readdirSync(dir).toSorted().map((name) => [name, statSync(join(dir, name)).isFile() ? readFileSync(join(dir, name), 'utf8') : 'no file']))
}

/** `ready` fails with this detail, again at the second call, and nothing in the folder changes. */
async function refuses(t: Test, { dir }: Place, detail: RegExp, name: string): Promise<void> {
  const before = contents(dir)
  const ca = authority(dir, { onMade: () => t.fail('a root was made') })
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail }, name)
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail }, `${name}, again`)
  t.equal(ca.fingerprint, undefined)
  t.match(await ca.status(), { state: 'unusable', detail })
  t.same(contents(dir), before, `${name}: the folder is as it was`)
}

t.test('a root is made with exact modes, whatever the umask', async (t) => {
  const base = t.testdir({})
  for (const umask of [0, 0o022, 0o077, 0o277]) {
    const dir = join(base, `certs-${umask}`)
    // a folder that is made under this one could not be written by its owner
    if (umask === 0o277) mkdirSync(dir)
    const before = process.umask(umask)
    try {
      await authority(dir).ready()
    } finally {
      process.umask(before)
    }
    t.equal(mode(join(dir, 'root-key.pem')), '600', umask.toString(8))
    t.equal(mode(join(dir, 'root.pem')), '644', umask.toString(8))
    if (umask !== 0o277) t.equal(mode(dir), '700', umask.toString(8))
    t.same(readdirSync(dir).toSorted(), ['root-key.pem', 'root.pem'])
  }
})

t.test('a folder that is there keeps its mode, and deep ones are made', async (t) => {
  const dir = t.testdir({})
  chmodSync(dir, 0o755)
  await authority(dir).ready()
  t.equal(mode(dir), '755')
  await authority(join(dir, 'a', 'b')).ready()
  t.equal(mode(join(dir, 'a', 'b')), '700')
})

t.test('processes that start at once end up with one root', async (t) => {
  const child = join(import.meta.dirname, 'ready-child.ts')
  const waits = await Promise.all([1, 2, 3, 4, 5].map(async () => {
    const process_ = spawn(process.execPath, [child], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => process_.kill())
    const lines = process_.stdout.setEncoding('utf8')[Symbol.asyncIterator]()
    await lines.next()
    return async (dir: string): Promise<{ fingerprint: string; made: number }> => {
      process_.stdin.write(`${dir}\n`)
      return JSON.parse(String((await lines.next()).value))
    }
  }))
  const base = t.testdir({})
  for (let round = 0; round < 20; round += 1) {
    const dir = join(base, `round-${round}`)
    const answers = await Promise.all(waits.map((ask) => ask(dir)))
    const [first] = answers
    t.match(first?.fingerprint, /^[0-9a-f]{64}$/)
    t.same(answers.map(({ fingerprint }) => fingerprint), waits.map(() => first?.fingerprint), `round ${round}: one root`)
    t.equal(answers.filter(({ made: count }) => count === 1).length, 1, `round ${round}: one maker`)
    t.same(readdirSync(dir).toSorted(), ['root-key.pem', 'root.pem'])
  }
})

t.test('many instances in one process make one root too', async (t) => {
  const dir = join(t.testdir({}), 'certs')
  const makers: string[] = []
  const all = Array.from({ length: 8 }, () => authority(dir, { clock: systemClock, onMade: ({ fingerprint }) => makers.push(fingerprint) }))
  await Promise.all(all.flatMap((ca) => [ca.ready(), ca.ready()]))
  t.equal(makers.length, 1)
  t.same(new Set(all.map(({ fingerprint }) => fingerprint)), new Set(makers))
})

t.test('half a pair is never completed by a new one', async (t) => {
  const base = t.testdir({})
  const noCert = await made(base)
  rmSync(noCert.cert)
  await refuses(t, noCert, /root-key\.pem is there without .*restore the certificate.*remove the key/, 'a key alone')
  const noKey = await made(base)
  rmSync(noKey.key)
  await refuses(t, noKey, /root\.pem is there without .*restore the key.*`sallyport ca rotate`/, 'a certificate alone')
})

t.test('a pair that another process is about to complete is waited for', async (t) => {
  const place = rootPaths(join(t.testdir({}), 'certs'))
  await placePair(place, makeRoot(Date.now(), undefined))
  const text = readFileSync(place.cert, 'utf8')
  rmSync(place.cert)
  const loading = loadSigner(place, systemClock)
  writeFileSync(place.cert, text)
  t.ok(await loading)
})

t.test('files that hold nothing, half or something else are left alone', async (t) => {
  const base = t.testdir({})
  for (const [content, detail] of [['', /holds no certificate/], ['-----BEGIN CERTIFICATE-----\nMIIB', /holds no certificate/], ['-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n', /cannot be read/]] as const) {
    const place = await made(base)
    writeFileSync(place.cert, content)
    age(place.cert)
    await refuses(t, place, detail, `a certificate file with ${content.length} bytes`)
  }
  const place = await made(base)
  writeFileSync(place.key, readFileSync(place.key).subarray(0, 100))
  await refuses(t, place, /root-key\.pem: is no private key in PEM/, 'half a key')
  writeFileSync(place.key, '')
  await refuses(t, place, /root-key\.pem: is no private key in PEM/, 'an empty key')
  const other = await made(base)
  writeFileSync(other.key, makeRoot(Date.now(), undefined).keyPem)
  age(other.key)
  await refuses(t, other, /is not the key of the first certificate/, "another certificate's key")
})

t.test('what cannot be read is left alone', async (t) => {
  const base = t.testdir({})
  const directory = await made(base)
  rmSync(directory.cert)
  mkdirSync(directory.cert)
  await refuses(t, directory, /root\.pem: is not a file/, 'a folder in the place of the certificate')
  const keyFolder = await made(base)
  rmSync(keyFolder.key)
  mkdirSync(keyFolder.key)
  await refuses(t, keyFolder, /root-key\.pem: is not a file/, 'a folder in the place of the key')
  const dangling = await made(base)
  rmSync(dangling.key)
  rmSync(dangling.cert)
  symlinkSync('/nowhere/key.pem', dangling.key)
  const ca = authority(dangling.dir)
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /link to a file that does not exist/ })
  t.same(readdirSync(dangling.dir), ['root-key.pem'])
  const pipe = await made(base)
  rmSync(pipe.key)
  t.equal((await ran('mkfifo', [pipe.key])).code, 0)
  t.match(await authority(pipe.dir).status(), { state: 'unusable', detail: /root-key\.pem: is not a file/ }, 'a named pipe holds nobody up')
  const large = await made(base)
  writeFileSync(large.cert, Buffer.alloc(1_048_577, 10))
  await refuses(t, large, /no PEM file of a CA has/, 'a file of a megabyte')
  const loop = await made(base)
  rmSync(loop.cert)
  symlinkSync('root.pem', loop.cert)
  await t.rejects(authority(loop.dir).ready(), { code: 'ca_unavailable', detail: /ELOOP/ })
  const file = join(base, 'file')
  writeFileSync(file, '')
  await t.rejects(authority(join(file, 'certs')).ready(), { code: 'ca_unavailable', detail: /ENOTDIR/ })
})

t.test('what this user may not read is left alone', { skip: notRoot }, async (t) => {
  const base = t.testdir({})
  const place = await made(base)
  chmodSync(place.cert, 0)
  await t.rejects(authority(place.dir).ready(), { code: 'ca_unavailable', detail: /EACCES/ })
  chmodSync(place.cert, 0o644)
  chmodSync(place.dir, 0)
  await t.rejects(authority(place.dir).ready(), { code: 'ca_unavailable', detail: /EACCES/ })
  chmodSync(place.dir, 0o700)
})

t.test('what another user may not read is left alone', { skip: isRoot ? false : 'needs root, to become another user' }, async (t) => {
  const base = t.testdir({})
  const place = await made(base)
  chmodSync(place.dir, 0o755)
  const before = contents(place.dir)
  const child = join(import.meta.dirname, 'ready-child.ts')
  const process_ = spawn(process.execPath, [child, '65534'], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => process_.kill())
  const lines = process_.stdout.setEncoding('utf8')[Symbol.asyncIterator]()
  await lines.next()
  const ask = async (dir: string): Promise<string> => {
    process_.stdin.write(`${dir}\n`)
    return String((await lines.next()).value)
  }
  t.match(await ask(place.dir), /EACCES.*nothing is made anew/)
  chmodSync(place.dir, 0o700)
  t.match(await ask(place.dir), /EACCES/)
  const closed = join(base, 'closed')
  mkdirSync(closed, { mode: 0o755 })
  t.match(await ask(closed), /a root cannot be made there \(EACCES/)
  t.same(contents(place.dir), before)
  t.same(readdirSync(closed), [])
})

t.test('a key that others may read is refused, through a link too', async (t) => {
  const base = t.testdir({})
  for (const bad of [0o640, 0o604, 0o644, 0o660, 0o610, 0o777]) {
    const place = await made(base)
    chmodSync(place.key, bad)
    await refuses(t, place, /root-key\.pem: other users may open it \(mode 0\d+\).*chmod 600/, bad.toString(8))
    const linked = rootPaths(mkdtempSync(join(base, 'ln-')))
    symlinkSync(place.key, linked.key)
    symlinkSync(place.cert, linked.cert)
    await t.rejects(authority(linked.dir).ready(), { code: 'ca_unavailable', detail: /other users may open it/ })
  }
  const place = await made(base)
  const linked = rootPaths(mkdtempSync(join(base, 'ln-')))
  symlinkSync(place.key, linked.key)
  symlinkSync(place.cert, linked.cert)
  await authority(linked.dir).ready()
  for (const good of [0o600, 0o400]) {
    chmodSync(place.key, good)
    await authority(place.dir).ready()
    t.equal(mode(place.key), good.toString(8), 'a mode that is strict enough is left as it is')
  }
})

t.test("another user's key is refused", { skip: isRoot ? false : 'needs root, to give a file away' }, async (t) => {
  const base = t.testdir({})
  const place = await made(base)
  chownSync(place.key, 65534, 65534)
  await refuses(t, place, /root-key\.pem: belongs to another user \(uid 65534, and this is 0\)/, 'a key of nobody')
})

t.test('a supplied pair is taken as it is', async (t) => {
  const dir = t.testdir({})
  const { certPem, keyPem } = await foreign({ algorithm: 'RSA-2048' })
  putPair(dir, certPem, keyPem)
  const ca = authority(dir, { onMade: () => t.fail('a root was made') })
  await ca.ready()
  t.equal(readFileSync(join(dir, 'root.pem'), 'utf8'), certPem)
  t.match(await ca.status(), { state: 'usable', origin: 'supplied', keyKind: 'RSA 2048', subject: 'CN=Example Corp CA' })
})

t.test('a certificate that appears while the root is made is not replaced', async (t) => {
  const place = rootPaths(t.testdir({ 'root.pem': 'mine' }))
  await t.rejects(placePair(place, makeRoot(Date.now(), undefined)), { code: 'ca_unavailable', detail: /appeared while a root was made/ })
  t.same(contents(place.dir), { 'root.pem': 'mine' })
})

t.test('a name is given once', async (t) => {
  const dir = t.testdir({ a: 'a', b: 'b' })
  t.equal(await claim(join(dir, 'a'), join(dir, 'c')), true)
  t.equal(await claim(join(dir, 'b'), join(dir, 'c')), false)
  t.equal(readFileSync(join(dir, 'c'), 'utf8'), 'a')
})

t.test('what an earlier attempt left over disturbs nobody', async (t) => {
  const dir = t.testdir({ '.root-key-abc.pem': 'rest', 'bundle-x.pem': '', 'README.md': '' })
  await authority(dir, { clock: setClock() }).ready()
  t.ok(existsSync(join(dir, 'root.pem')))
})
