// Rotation: the old root is kept, the new one signs, and running authorities and clients go on.
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeRoot } from '../../src/ca/root.ts'
import { nextPaths, placePair, rootPaths } from '../../src/ca/root-files.ts'
import { prepareNext, rotateRoot } from '../../src/ca/rotate.ts'
import { systemClock } from '../../src/clock.ts'
import { parseHost } from '../../src/target/host.ts'
import { authority, dayMs, nodeVerdict, putPair, serve, setClock } from './fixture.ts'

const host = parseHost('api.example.com')
const text = (dir: string, name: string): string => readFileSync(join(dir, name), 'utf8')
const modeOf = (path: string): number => statSync(path).mode & 0o777

t.test('the old pair is kept under its fingerprint, and clients are given both', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  const old = { cert: text(dir, 'root.pem'), key: text(dir, 'root-key.pem'), mark: ca.fingerprint?.slice(0, 8) ?? '' }
  const leafBefore = ca.leafFor(host)
  const { signer, previous } = await rotateRoot({ certsDir: dir, clock, constraints: undefined })
  t.same(readdirSync(dir).toSorted(), ['root-key.pem', `root-key-${old.mark}.pem`, 'root.pem', `root-${old.mark}.pem`].toSorted())
  t.same(previous, { cert: join(dir, `root-${old.mark}.pem`), key: join(dir, `root-key-${old.mark}.pem`) })
  t.equal(text(dir, `root-${old.mark}.pem`), old.cert)
  t.equal(text(dir, `root-key-${old.mark}.pem`), old.key)
  t.equal(modeOf(join(dir, `root-key-${old.mark}.pem`)), 0o600)
  t.equal(modeOf(join(dir, 'root-key.pem')), 0o600)
  t.equal(modeOf(join(dir, 'root.pem')), 0o644)
  t.same(await ca.trusted(), [text(dir, 'root.pem'), old.cert])
  t.match(await ca.status(), { kept: [{ role: 'previous', fingerprint: new RegExp(`^${old.mark}`) }] })

  clock.forward(1_000)
  await ca.ready()
  t.equal(ca.fingerprint, signer.certificate.fingerprint, 'a running authority has taken it up')
  const bundle = text(dir, (await ca.bundle({ systemRoots: [] })).slice(dir.length + 1))
  t.equal(await nodeVerdict(await serve(t, ca.leafFor(host)), bundle, 'api.example.com'), undefined)
  t.equal(await nodeVerdict(await serve(t, leafBefore), bundle, 'api.example.com'), undefined, 'and leaves of the old root are still good')
  t.not(await nodeVerdict(await serve(t, ca.leafFor(host)), old.cert, 'api.example.com'), undefined, 'who knows the old root alone needs the new one')

  clock.forward(366 * dayMs)
  const later = await rotateRoot({ certsDir: dir, clock, constraints: undefined })
  t.same(await ca.trusted(), [later.signer.certificate.pem], 'roots that have ended are handed out no more')
})

t.test('the first root is made by it too', async (t) => {
  const dir = join(t.testdir({}), 'certs')
  const { signer, previous } = await rotateRoot({ certsDir: dir, clock: setClock(), constraints: ['example.com'] })
  t.equal(previous, undefined)
  t.same(signer.limits[0]?.permittedNames, ['example.com'])
  t.same(readdirSync(dir).toSorted(), ['root-key.pem', 'root.pem'])
})

t.test('a prepared root is handed out ahead, and taken by the next rotation', async (t) => {
  const dir = t.testdir({})
  const clock = setClock()
  const ca = authority(dir, { clock })
  await ca.ready()
  const before = ca.fingerprint
  const prepared = await prepareNext({ certsDir: dir, clock, constraints: undefined })
  t.equal((await prepareNext({ certsDir: dir, clock, constraints: undefined })).certificate.fingerprint, prepared.certificate.fingerprint, 'once')
  t.equal(modeOf(nextPaths(dir).key), 0o600)
  clock.forward(1_000)
  await ca.ready()
  t.equal(ca.fingerprint, before, 'it does not sign yet')
  t.match(await ca.status(), { kept: [{ role: 'next', fingerprint: prepared.certificate.fingerprint }] })
  const handedOut = (await ca.trusted()).join('')
  const { signer } = await rotateRoot({ certsDir: dir, clock, constraints: undefined })
  t.equal(signer.certificate.fingerprint, prepared.certificate.fingerprint)
  clock.forward(1_000)
  await ca.ready()
  t.equal(await nodeVerdict(await serve(t, ca.leafFor(host)), handedOut, 'api.example.com'), undefined, 'who had the bundle before goes on')
})

t.test('two rotations at once lose no root', async (t) => {
  const base = t.testdir({})
  for (let round = 0; round < 10; round += 1) {
    const dir = join(base, String(round))
    const { signer: first } = await rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined })
    const ends = await Promise.allSettled([1, 2, 3].map(() => rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined })))
    const done = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value.signer.certificate.fingerprint] : []))
    for (const end of ends) if (end.status === 'rejected') t.match(end.reason, { code: 'ca_unavailable' })
    t.ok(done.length > 0, `round ${round}: somebody got through`)
    const ca = authority(dir, { clock: systemClock })
    await ca.ready()
    const known = (await ca.trusted()).length
    t.ok(known >= 2, `round ${round}: the first root is handed out`)
    t.match(readdirSync(dir), new RegExp(`root-key-${first.certificate.fingerprint.slice(0, 8)}`))
    for (const fingerprint of done) t.ok(fingerprint === ca.fingerprint || existsSync(join(dir, `root-key-${fingerprint.slice(0, 8)}.pem`)), `round ${round}: what somebody was told of is still there`)
  }
})

t.test('a rotation that was broken off is finished by the next one', async (t) => {
  const dir = t.testdir({})
  const clock = setClock(Date.now() + dayMs)
  await authority(dir, { clock }).ready()
  const old = text(dir, 'root.pem')
  const prepared = await prepareNext({ certsDir: dir, clock, constraints: undefined })
  renameSync(nextPaths(dir).key, rootPaths(dir).key)
  await t.rejects(authority(dir, { clock }).ready(), { code: 'ca_unavailable', detail: /is not the key of.*`sallyport ca rotate` if a rotation was broken off/ })
  t.equal(text(dir, 'root.pem'), old)
  const { signer } = await rotateRoot({ certsDir: dir, clock, constraints: undefined })
  t.equal(signer.certificate.fingerprint, prepared.certificate.fingerprint)
  t.notOk(existsSync(nextPaths(dir).cert))
})

t.test('it is the way out when a root has ended, is known or is half lost', async (t) => {
  const base = t.testdir({})
  const cases: Readonly<Record<string, (dir: string) => void>> = {
    'a key that was open': (dir) => chmodSync(join(dir, 'root-key.pem'), 0o644),
    'no key': (dir) => rmSync(join(dir, 'root-key.pem')),
    'no certificate': (dir) => rmSync(join(dir, 'root.pem')),
    'no certificate in it': (dir) => writeFileSync(join(dir, 'root.pem'), 'x'),
    "another's key": (dir) => writeFileSync(join(dir, 'root-key.pem'), makeRoot(Date.now(), undefined).keyPem),
    'an expired one': (dir) => {
      const { certPem, keyPem } = makeRoot(Date.now() - 400 * dayMs, undefined)
      putPair(dir, certPem, keyPem)
    },
  }
  for (const [name, spoil] of Object.entries(cases)) {
    const dir = join(base, name.replaceAll(/\W/g, '-'))
    mkdirSync(dir)
    await placePair(rootPaths(dir), makeRoot(Date.now(), undefined))
    spoil(dir)
    for (const file of readdirSync(dir)) utimesSync(join(dir, file), 1, 1)
    const before = readdirSync(dir).map((file) => text(dir, file))
    const { previous } = await rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined })
    await authority(dir, { clock: systemClock }).ready()
    const after = readdirSync(dir).map((file) => text(dir, file))
    t.ok(before.every((content) => after.includes(content)), `${name}: nothing is thrown away`)
    if (previous !== undefined && existsSync(previous.key)) t.equal(modeOf(previous.key), 0o600, name)
  }
})

t.test('what cannot be read is not rotated away', async (t) => {
  const dir = t.testdir({ 'root.pem': {}, 'root-key.pem': 'key' })
  await t.rejects(rotateRoot({ certsDir: dir, clock: setClock(), constraints: undefined }), { code: 'ca_unavailable', detail: /is not a file/ })
  t.same(readdirSync(dir).toSorted(), ['root-key.pem', 'root.pem'])
})

t.test('an old root whose key may be known is kept and handed out no more', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir)
  await ca.ready()
  const old = text(dir, 'root.pem')
  const { previous } = await rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined, distrust: true })
  t.equal(readFileSync(previous?.cert ?? '', 'utf8'), old)
  t.same(await ca.trusted(), [text(dir, 'root.pem')])
})

t.test("what root makes in another user's folder is that user's", { skip: process.getuid?.() === 0 ? false : 'needs root' }, async (t) => {
  const dir = t.testdir({})
  chownSync(dir, 65534, 65534)
  await rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined })
  await prepareNext({ certsDir: dir, clock: systemClock, constraints: undefined })
  await rotateRoot({ certsDir: dir, clock: systemClock, constraints: undefined })
  for (const name of readdirSync(dir)) t.equal(statSync(join(dir, name)).uid, 65534, name)
  const ca = authority(dir, { clock: systemClock })
  t.match(await ca.status(), { state: 'usable', notices: [/belongs to uid 65534: a proxy that runs as another user/], kept: [{ role: 'previous' }] })
  t.equal((await ca.trusted()).length, 2)
  await t.rejects(ca.ready(), { code: 'ca_unavailable', detail: /belongs to another user/ }, 'and root does not sign with it')
})

t.test('certificates that are not what their name says are not handed out', async (t) => {
  const dir = t.testdir({})
  const ca = authority(dir)
  await ca.ready()
  writeFileSync(join(dir, 'root-01234567.pem'), makeRoot(Date.now(), undefined).certPem)
  writeFileSync(join(dir, 'root-89abcdef.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  t.same(await ca.trusted(), [text(dir, 'root.pem')])
  t.match(await ca.status(), { state: 'usable', kept: [], notices: [/root-89abcdef\.pem: certificate 1 cannot be read/] })
})
