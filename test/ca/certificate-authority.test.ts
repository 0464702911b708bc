// The authority as ingress uses it: ready, leaves, what it says of itself, and roots that change on the disk.
import { X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { RootInfo } from '../../src/ca/certificate-authority.ts'
import { makeRoot } from '../../src/ca/root.ts'
import { parseHost } from '../../src/target/host.ts'
import { authority, dayMs, foreign, hourMs, putPair, setClock } from './fixture.ts'

const host = parseHost('api.example.com')

t.test('before ready there is no leaf', async (t) => {
  const ca = authority(t.testdir({}))
  t.equal(ca.fingerprint, undefined)
  t.throws(() => ca.leafFor(host), { code: 'ca_unavailable' })
})

t.test('the root is made once and told once; the next process finds it', async (t) => {
  const dir = t.testdir({})
  const told: RootInfo[] = []
  const ca = authority(dir, { onMade: (info) => told.push(info) })
  await Promise.all([ca.ready(), ca.ready()])
  await ca.ready()
  t.equal(told.length, 1)
  t.match(told[0], { path: join(dir, 'root.pem'), subject: /^CN=sallyport /, fingerprint: ca.fingerprint, constraints: undefined })
  const next = authority(dir, { onMade: () => t.fail('made again') })
  await next.ready()
  t.equal(next.fingerprint, ca.fingerprint)
  t.equal(next.leafFor(host), next.leafFor(host))
  t.not(next.leafFor(host).keyPem, ca.leafFor(host).keyPem, 'each instance has a leaf key of its own')
  t.equal(next.leafFor(host).keyPem, next.leafFor(parseHost('other.test')).keyPem)
})

t.test('two authorities in one process share nothing', async (t) => {
  const base = t.testdir({ a: {}, b: {} })
  const [a, b] = [authority(join(base, 'a')), authority(join(base, 'b'))]
  await Promise.all([a.ready(), b.ready()])
  t.not(a.fingerprint, b.fingerprint)
  t.not(new X509Certificate(a.leafFor(host).chainPem).issuer, new X509Certificate(b.leafFor(host).chainPem).issuer)
})

t.test('constraints that are known when the root is made are in it, and hold after a restart', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir, { constraints: () => ['example.com'] })
  await ca.ready()
  t.match(await ca.status(), { state: 'usable', constraints: ['example.com'] })
  t.ok(ca.leafFor(host))
  const next = authority(dir)
  await next.ready()
  t.throws(() => next.leafFor(parseHost('other.test')), { code: 'ca_unavailable', detail: 'the root may not sign for other.test: `sallyport ca rotate`' })
  t.throws(() => next.leafFor(parseHost('192.0.2.7')), { detail: /may not sign for 192\.0\.2\.7/, code: 'ca_unavailable' })
})

t.test('a new pair is taken up within a second, and not looked for more often', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  const before = ca.leafFor(host)
  const { certPem, keyPem } = makeRoot(clock.now(), undefined)
  putPair(dir, certPem, keyPem)
  await ca.ready()
  t.equal(ca.leafFor(host), before, 'within the second it is not looked at')
  clock.forward(1_000)
  await ca.ready()
  t.equal(ca.fingerprint, new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase())
  t.equal(new X509Certificate(ca.leafFor(host).chainPem).verify(new X509Certificate(certPem).publicKey), true)
})

t.test('files that were touched and not changed cost no leaf', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  const before = ca.leafFor(host)
  utimesSync(join(dir, 'root.pem'), 1, 1)
  clock.forward(1_000)
  await ca.ready()
  t.equal(ca.leafFor(host), before)
})

t.test('a running authority stops with a root that has gone bad, and goes on when it is mended', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  const { fingerprint } = ca
  chmodSync(join(dir, 'root-key.pem'), 0o644)
  clock.forward(1_000)
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /other users may open it/ })
  t.throws(() => ca.leafFor(host), { code: 'ca_unavailable' })
  chmodSync(join(dir, 'root-key.pem'), 0o600)
  await ca.ready()
  t.equal(ca.fingerprint, fingerprint, 'the next call tries again')
  renameSync(join(dir, 'root.pem'), join(dir, 'away'))
  renameSync(join(dir, 'root-key.pem'), join(dir, 'away-key'))
  clock.forward(1_000)
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /was there and is gone: put it back/ })
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /was there and is gone/ }, 'no new root is made for one that is lost')
  t.match(await ca.status(), { state: 'absent' })
  renameSync(join(dir, 'away'), join(dir, 'root.pem'))
  renameSync(join(dir, 'away-key'), join(dir, 'root-key.pem'))
  await ca.ready()
  t.equal(ca.fingerprint, fingerprint)
  t.ok(ca.leafFor(host))
})

t.test('a root that ends while the proxy runs signs no more', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  clock.forward(365 * dayMs)
  t.throws(() => ca.leafFor(host), { code: 'ca_unavailable', detail: /expired/ })
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /has expired on .*`sallyport ca rotate`/ })
  t.throws(() => ca.leafFor(host), { code: 'ca_unavailable' })
})

t.test('status says what there is, makes nothing and needs no ready', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir)
  t.match(await ca.status(), { state: 'absent', path: join(dir, 'root.pem'), keyPath: join(dir, 'root-key.pem') })
  t.match(await ca.status(), { state: 'absent' })
  await t.rejects(ca.trusted(), { code: 'ca_unavailable', detail: /no root yet/ })
  await ca.ready()
  const status = await authority(dir).status()
  t.match(status, { state: 'usable', origin: 'made', keyKind: 'EC P-256', fingerprint: ca.fingerprint, constraints: undefined, kept: [], notices: [] })
  writeFileSync(join(dir, 'root.pem'), 'broken')
  t.match(await ca.status(), { state: 'unusable', detail: /holds no certificate/ })
})

t.test('less than 30 days before the end, and in an open folder, there is a notice', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  clock.forward(334 * dayMs)
  t.match(await ca.status(), { notices: [] })
  clock.forward(2 * dayMs)
  t.match(await ca.status(), { notices: [/root\.pem ends on \d{4}-\d\d-\d\d, in 28 days: `sallyport ca rotate`/] })
  clock.forward(27 * dayMs)
  t.match(await ca.status(), { notices: [/in 1 day: /] })
  chmodSync(dir, 0o777)
  t.match(await ca.status(), { notices: [/ends on/, /can be written by other users/] })
  const supplied = await foreign({ notAfterMs: Date.now() + dayMs + hourMs })
  putPair(dir, supplied.certPem, supplied.keyPem)
  chmodSync(dir, 0o700)
  t.match(await authority(dir).status(), { origin: 'supplied', notices: [/in 1 day: supply a new one/] })
})

t.test('no key stands in what the authority says or throws', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir)
  await ca.ready()
  const secret = readFileSync(join(dir, 'root-key.pem'), 'utf8').split('\n')[1] ?? ''
  t.equal(secret.length, 64)
  const said = [JSON.stringify(await ca.status()), (await ca.trusted()).join(''), JSON.stringify(ca.leafFor(host)), JSON.stringify(ca)]
  rmSync(join(dir, 'root.pem'))
  await authority(dir, { clock: setClock(Date.now() + dayMs) }).ready().catch((error: unknown) => said.push(String(error) + JSON.stringify(error)))
  t.equal(said.length, 5)
  for (const text of said) t.notOk(text.includes(secret))
})
