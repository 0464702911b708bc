// Revocation lists on disk, and what they do to chains: asked through TLS, as every origin is.
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pemBlocks } from '../../src/ca/pem.ts'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { OriginTls } from '../../src/egress/origin-tls.ts'
import { readTrusted } from '../../src/egress/revocation.ts'
import { RevocationLists } from '../../src/egress/revocation-lists.ts'
import { parseHost } from '../../src/target/host.ts'
import { testCertificates, type Issued } from '../support/certificates.ts'
import { tlsServer, trusted } from './tls-origin.ts'
import { connectTo } from './wire.ts'

const certificates = await testCertificates()
const otherKey = await testCertificates()
const otherName = await testCertificates('somebody else')
const intermediate = await certificates.intermediate()
const below = await intermediate.issue(['origin.test'])
const leaf = await certificates.issue(['origin.test'])

interface Place {
  readonly dir: string
  readonly lists: RevocationLists
  readonly warnings: string[]
  /** resolves when lists have changed since */
  changed(): Promise<void>
  /** what TLS says of a server with this certificate */
  judge(issued: Pick<Issued, 'cert' | 'key'>, roots?: string): Promise<string>
}

/** A folder with these lists by name; `files`: those of them that the settings name, the folder itself else. */
async function place(t: Test, texts: Readonly<Record<string, string | Buffer>>, files?: readonly string[]): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-lists-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, name), text)
  const warnings: string[] = []
  const changes: true[] = []
  const lists = new RevocationLists({
    crlFiles: (files ?? []).map((name) => join(dir, name)), crlDir: files === undefined ? dir : undefined, clock: systemClock,
    onWarning: (path, message) => warnings.push(`${path.slice(dir.length + 1)}: ${message}`),
    onChange: () => changes.push(true),
  })
  t.teardown(() => lists.close())
  await lists.open()
  return {
    dir, lists, warnings,
    changed: async () => {
      const before = changes.length
      while (changes.length === before) await delay(20)
    },
    judge: async (issued, roots = certificates.ca) => {
      const tls = new OriginTls({ readPem: () => ({ pem: roots, stamp: '1' }), onInsecure: () => {}, revocations: lists, deadlines: new Deadlines(systemClock) })
      const server = await tlsServer(issued)
      const socket = await tls.start(await connectTo(server.port), { host: parseHost('origin.test'), alpn: ['http/1.1'], trust: trusted, timeoutMs: 10_000 }).catch((error: unknown) => error as Error & { code: string })
      server.close()
      if ('code' in socket) return socket.code
      socket.destroy()
      return 'taken'
    },
  }
}

t.test('a leaf or an authority below the root that a list names is refused; without a list, or on none, it is taken', async (t) => {
  const none = await place(t, {}, [])
  t.equal(none.lists.health(), undefined)
  t.equal(await none.judge(leaf), 'taken')
  const der = pemBlocks(await certificates.revoke([leaf.serial]))[0]?.der ?? Buffer.alloc(0)
  for (const [name, text] of [['a.pem', await certificates.revoke([leaf.serial])], ['a.crl', der]] as const) {
    const { judge, warnings, lists } = await place(t, { [name]: text, 'README.md': 'no list' })
    t.equal(await judge(leaf), 'tls_certificate_revoked', name)
    t.equal(await judge(await certificates.issue(['origin.test'])), 'taken')
    t.equal(await judge(below), 'taken', 'an authority without a list here has revoked nothing')
    t.match(lists.health(), { lists: 1, named: 1, expired: 0, unread: 0, unsigned: 0 })
    t.same(warnings, [])
  }
  const above = await place(t, { 'root.crl': await certificates.revoke([intermediate.serial]) })
  t.equal(await above.judge(below), 'tls_certificate_revoked')
  t.equal(await above.judge(leaf), 'taken')
  const both = await place(t, { 'all.pem': `${await certificates.revoke([])}${await intermediate.revoke([below.serial])}` }, ['all.pem'])
  t.equal(await both.judge(below), 'tls_certificate_revoked', 'the second list of a file')
})

t.test('what the peer sends besides and in which order changes nothing', async (t) => {
  const { judge } = await place(t, { 'root.crl': await certificates.revoke([intermediate.serial]) })
  const [first = '', second = ''] = below.cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? []
  const junk = (await otherName.issue(['junk.test'])).cert
  const twin = (await otherKey.intermediate()).cert
  t.equal(await judge({ cert: `${first}${junk}\n${twin}\n${second}`, key: below.key }), 'tls_certificate_revoked')
  t.equal(await judge({ cert: first, key: below.key }, `${certificates.ca}\n${second}`), 'tls_certificate_revoked', 'among the roots')
  t.equal(await judge({ cert: `${leaf.cert}${second}`, key: leaf.key }), 'taken', 'a revoked one that the way does not use')
})

t.test('an authority that is certified twice is refused when both certificates are revoked', async (t) => {
  const roots = `${certificates.ca}\n${otherName.ca}`
  const again = await otherName.crossSign(intermediate)
  const twice = { cert: `${below.cert}${again.cert}`, key: below.key }
  const one = await place(t, { 'root.crl': await certificates.revoke([intermediate.serial]) })
  t.equal(await one.judge(twice, roots), 'taken')
  const all = await place(t, { 'root.crl': await certificates.revoke([intermediate.serial]), 'other.crl': await otherName.revoke([again.serial]) })
  t.equal(await all.judge(twice, roots), 'tls_certificate_revoked')
})

t.test('the list of another authority names the same number in vain', async (t) => {
  const { judge, warnings } = await place(t, { 'other.crl': await otherName.revoke([leaf.serial]) })
  t.equal(await judge(leaf), 'taken')
  t.same(warnings, [])
})

t.test('a list with a forged signature refuses nothing, and the operator hears of it once', async (t) => {
  const { judge, warnings, lists } = await place(t, { 'forged.crl': await otherKey.revoke([leaf.serial]) })
  t.equal(await judge(leaf), 'taken')
  t.equal(await judge(leaf), 'taken')
  t.equal(warnings.length, 1)
  t.match(warnings[0], /^forged\.crl: .*does not bear the signature/)
  t.match(lists.health(), { unsigned: 1 })
  // the list of an authority that has had another key, and is still about
  t.equal(await judge(await otherKey.issue(['origin.test']), otherKey.ca), 'taken')
  t.match(lists.health(), { unsigned: 0 })
  t.equal(await judge(leaf), 'taken')
  t.equal(warnings.length, 1)
})

t.test('an expired list revokes what it names, and the operator hears of it', async (t) => {
  const { judge, warnings, lists } = await place(t, { 'old.crl': await certificates.revoke([leaf.serial], { untilHours: -1 }) })
  t.equal(await judge(leaf), 'tls_certificate_revoked')
  t.match(warnings, [/^old\.crl: .*due to be replaced at 20/])
  t.match(lists.health(), { expired: 1 })
})

t.test('what cannot be used at the start is an error that names each file, why, and what to do', async (t) => {
  const reject = async (texts: Readonly<Record<string, string | Buffer>>, files: readonly string[] | undefined, ...why: RegExp[]): Promise<void> => {
    const error: unknown = await place(t, texts, files).then(() => undefined, (found: unknown) => found)
    t.ok(error instanceof Error)
    for (const each of [...why, /fetch them again.*origin_tls/]) t.match(error instanceof Error ? error.message : '', each)
  }
  await reject({}, ['gone.crl'], /gone\.crl`: ENOENT/)
  await reject({ 'a.crl': certificates.ca, 'b.crl': '' }, ['a.crl', 'b.crl'], /a\.crl`: it holds no revocation list/, /b\.crl`: it holds no/)
  await reject({ 'cut.der': (pemBlocks(await certificates.revoke([]))[0]?.der ?? Buffer.alloc(0)).subarray(0, 80) }, undefined, /cut\.der`: an element longer/)
  await reject({}, ['.'], /it is not a file/)
  const empty = await place(t, { 'README.md': '' })
  t.match(empty.warnings, [/there is no revocation list in this folder/])
})

t.test('a list that changes, breaks or vanishes while it is in use', async (t) => {
  const { dir, judge, changed, warnings, lists } = await place(t, { 'a.crl': await certificates.revoke([]) })
  const path = join(dir, 'a.crl')
  t.equal(await judge(leaf), 'taken')
  let change = changed()
  writeFileSync(`${path}.new`, await certificates.revoke([leaf.serial]))
  renameSync(`${path}.new`, path)
  await change
  t.equal(await judge(leaf), 'tls_certificate_revoked')
  const told = async (pattern: RegExp): Promise<void> => {
    while (!warnings.some((warning) => pattern.test(warning))) await delay(20)
  }
  appendFileSync(path, '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n')
  await told(/^a\.crl: .*stays in force: it breaks off/)
  t.equal(await judge(leaf), 'tls_certificate_revoked')
  rmSync(path)
  await told(/^a\.crl: .*stays in force: ENOENT/)
  t.equal(await judge(leaf), 'tls_certificate_revoked')
  t.match(lists.health(), { unread: 1 })
  rmSync(dir, { recursive: true })
  await told(/^: .*ENOENT.*scandir/)
  t.equal(await judge(leaf), 'tls_certificate_revoked')
  change = changed()
  mkdirSync(dir)
  writeFileSync(path, await certificates.revoke([]))
  writeFileSync(join(dir, 'b.crl'), await intermediate.revoke([below.serial]))
  await change
  t.equal(await judge(leaf), 'taken', 'taken off the list')
  while (lists.health()?.lists !== 2) await delay(20)
  t.equal(await judge(below), 'tls_certificate_revoked', 'a file that came')
  t.match(lists.health(), { unread: 0 })
})

t.test('the roots of this machine are all read', async (t) => {
  for (const store of ['bundled', 'system'] as const) t.doesNotThrow(() => readTrusted(getCACertificates(store)))
  t.ok(readTrusted(getCACertificates('bundled')).size > 50)
})
