// The bundle for clients whose setting replaces the system's roots.
import { hash, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { getCACertificates } from 'node:tls'
import t from 'tap'
import { mergeBundle, writeBundle } from '../../src/ca/bundle.ts'
import { makeRoot } from '../../src/ca/root.ts'
import { authority, dayMs, foreign, setClock } from './fixture.ts'

const nowMs = Date.now()
const count = (text: string): number => text.match(/BEGIN CERTIFICATE/g)?.length ?? 0

t.test('every certificate is in it once, and nothing else', async (t) => {
  const [a, b, c] = [makeRoot(nowMs, undefined), makeRoot(nowMs, undefined), makeRoot(nowMs, undefined)]
  const extra = `# my company\r\n${b?.certPem.replaceAll('\n', '\r\n') ?? ''}${a?.certPem ?? ''}${b?.keyPem ?? ''}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`
  const merged = mergeBundle({ systemRoots: [a?.certPem ?? '', a?.certPem ?? ''], extra, ours: [c?.certPem ?? ''] })
  t.equal(merged.text, `${a?.certPem ?? ''}${b?.certPem ?? ''}${c?.certPem ?? ''}`)
  t.match(merged, { count: 3, skipped: 1, digest: hash('sha256', merged.text) })
})

t.test('it is written beside the root, for everybody to read, under the name of its content', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir)
  await ca.ready()
  const umask = process.umask(0o077)
  const path = await ca.bundle({ systemRoots: getCACertificates('default') }).finally(() => process.umask(umask))
  const text = readFileSync(path, 'utf8')
  t.equal(basename(path), `bundle-${hash('sha256', text).slice(0, 16)}.pem`)
  t.equal(statSync(path).mode & 0o777, 0o644)
  t.equal(count(text), new Set(getCACertificates('default').map((pem) => new X509Certificate(pem).fingerprint256)).size + 1)
  t.ok(text.endsWith(readFileSync(join(dir, 'root.pem'), 'utf8')))
  const { ino } = statSync(path)
  t.equal(await ca.bundle({ systemRoots: getCACertificates('default') }), path)
  t.equal(statSync(path).ino, ino, 'what is there already is left as it is')
  t.same(readdirSync(dir).toSorted(), [basename(path), 'root-key.pem', 'root.pem'].toSorted())
})

t.test('a bundle that was changed is put right', async (t) => {
  const dir = t.testdir({})
  const { certPem } = makeRoot(nowMs, undefined)
  const write = (): Promise<string> => writeBundle(dir, { systemRoots: [], ours: [certPem] }, setClock())
  const path = await write()
  writeFileSync(path, 'changed')
  await write()
  t.equal(readFileSync(path, 'utf8'), certPem)
  chmodSync(path, 0o666)
  await write()
  t.equal(statSync(path).mode & 0o777, 0o644)
})

t.test('bundles that nobody has used for a week go, and other files stay', async (t) => {
  const dir = t.testdir({ 'bundle-0123456789abcdef.pem': 'not what its name says', 'bundle-mine.pem': '' })
  const clock = setClock()
  const write = async (): Promise<string> => writeBundle(dir, { systemRoots: [], ours: [makeRoot(nowMs, undefined).certPem] }, clock)
  const [unused, read, written] = [await write(), await write(), await write()]
  symlinkSync(unused, join(dir, 'bundle-fedcba9876543210.pem'))
  const old = new Date(clock.now() - 8 * dayMs)
  for (const name of [unused, join(dir, 'bundle-0123456789abcdef.pem'), join(dir, 'bundle-mine.pem')]) utimesSync(name, old, old)
  utimesSync(read, new Date(clock.now() - 6 * dayMs), old)
  const last = await write()
  t.notOk(existsSync(unused))
  for (const path of [read, written, last]) t.ok(existsSync(path))
  t.same(readdirSync(dir).filter((name) => name.includes('mine') || /0123456789abcdef|fedcba9876543210/.test(name)).length, 3)
})

t.test('using a bundle again keeps it', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const { certPem } = makeRoot(nowMs, undefined)
  const path = await writeBundle(dir, { systemRoots: [], ours: [certPem] }, clock)
  clock.forward(8 * dayMs)
  await writeBundle(dir, { systemRoots: [], ours: [certPem] }, clock)
  await writeBundle(dir, { systemRoots: [], ours: [certPem, makeRoot(nowMs, undefined).certPem] }, clock)
  t.ok(existsSync(path))
})

t.test('the chain of a supplied signer is in it whole', async (t) => {
  const dir = t.testdir({})
  const root = await foreign({ name: 'CN=Top' })
  const signing = await foreign({ name: 'CN=Signing', issuer: root })
  writeFileSync(join(dir, 'root.pem'), signing.certPem + root.certPem)
  writeFileSync(join(dir, 'root-key.pem'), signing.keyPem, { mode: 0o600 })
  t.equal(count(readFileSync(await authority(dir).bundle({ systemRoots: [] }), 'utf8')), 2)
})

t.test('without a root there is no bundle, and a folder that cannot be written is told', async (t) => {
  const dir = t.testdir({ file: '' })
  await t.rejects(authority(dir).bundle({ systemRoots: [] }), { code: 'ca_unavailable', detail: /no root yet/ })
  await t.rejects(writeBundle(join(dir, 'file'), { systemRoots: [], ours: [] }, setClock()), { code: 'ca_unavailable', detail: /bundle cannot be written|ENOTDIR/ })
})
