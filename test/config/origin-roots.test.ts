// Files of further roots: read beside the policy that names them, watched, part of the revision, and never half good.
import { mkdir, mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { wrongRoots } from '../../src/config/origin-roots.ts'
import { createPolicySource } from '../../src/config/policy-files.ts'
import { parseCase } from '../../src/policy/cases.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { testCertificates } from '../support/certificates.ts'

// the watch itself does not keep a process alive
const alive = setInterval(() => undefined, 1000)
t.teardown(() => clearInterval(alive))

const { ca: pem } = await testCertificates()
const { ca: otherPem } = await testCertificates()

t.test('certificates alone make a file of roots', async (t) => {
  t.equal(wrongRoots(Buffer.from(pem)), undefined)
  t.equal(wrongRoots(Buffer.from(`# ours\n${pem}\n${otherPem}`)), undefined)
  t.match(wrongRoots(Buffer.from('')), /no PEM certificate/)
  t.match(wrongRoots(Buffer.from(`${pem}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`)), /keys have no place here/)
  t.match(wrongRoots(Buffer.from(pem.replace(/[A-Za-z]{8}\n/, 'AAAAAAAA\n').replace(/\n[^-]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))), /cannot be parsed/)
})

t.test('a root that is replaced is another policy, and one that vanishes leaves the last good one', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'origin-roots-'))
  const dir = join(root, 'policies')
  await mkdir(join(dir, 'certs'), { recursive: true })
  const file = join(dir, 'certs', 'corp.pem')
  await writeFile(file, pem)
  await writeFile(join(dir, '10-a.toml'), '[[network.rules]]\nid = "corp"\nhosts = ["*.corp.example"]\norigin_ca = ["certs/corp.pem"]\nverdict = "allow"\n')
  const source = createPolicySource({ policiesDir: dir, requirementsFile: undefined, managedDefault: join(root, 'none.toml'), reserved: [], clock: systemClock, onLog: () => undefined })
  t.teardown(async () => {
    await source.close()
    await rm(root, { recursive: true })
  })
  t.match(await source.load(), { outcome: 'loaded' })
  const facts = parseCase('GET https://wiki.corp.example/')
  const policy = source.current()
  if ('wrong' in facts || policy === undefined) throw new Error('no policy')
  t.same(evaluate(policy, facts, 0).obligations.originTrust, { insecure: false, caFiles: [file] }, 'whatever the folder the process is in')
  source.watch()
  const loaded = new Promise<string>((resolve) => source.onLoaded(({ revision }) => resolve(revision)))
  await writeFile(file, otherPem)
  t.not(await loaded, policy.revision)
  const rejected = new Promise<readonly { readonly file: string; readonly message: string }[]>((resolve) => source.onRejected(resolve))
  await unlink(file)
  t.match(await rejected, [{ file, message: /the file of roots named in .* cannot be read: there is no such file/ }])
  t.equal(source.state(), 'rejected')
  t.not(source.current(), undefined)
})

t.test('what settings know of credentials is what policies are held to', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'origin-roots-'))
  t.teardown(() => rm(root, { recursive: true }))
  await writeFile(join(root, '10-a.toml'), '[[network.rules]]\nid = "k"\nhosts = ["a.example"]\nmethods = ["GET"]\npaths = ["/**"]\ncredential = { name = "c", header = "X-Key" }\nverdict = "allow"\n')
  for (const [credentials, outcome] of [
    [[{ name: 'c', hosts: ['a.example:443'], anyLayer: false }], 'loaded'], [[{ name: 'c', hosts: ['b.example:443'], anyLayer: false }], 'rejected'], [[], 'rejected'],
  ] as const) {
    const source = createPolicySource({ policiesDir: root, requirementsFile: undefined, managedDefault: join(root, 'none'), reserved: [], credentials, clock: systemClock, onLog: () => undefined })
    t.match(await source.load(), { outcome }, JSON.stringify(credentials))
    await source.close()
  }
})
