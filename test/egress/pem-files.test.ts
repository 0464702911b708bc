import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createPemReader } from '../../src/egress/pem-files.ts'
import { testCertificates } from '../support/certificates.ts'
import { standingClock } from './tls-origin.ts'

const first = await testCertificates('first')
const second = await testCertificates('second')
const dir = mkdtempSync(join(tmpdir(), 'sallyport-pem-'))
t.teardown(() => rmSync(dir, { recursive: true }))

t.test('a file is read once, and a change of it is seen within a second', async (t) => {
  const path = join(dir, 'ca.pem')
  const clock = standingClock()
  const read = createPemReader(clock)
  writeFileSync(path, first.ca)
  const before = read(path)
  t.equal(before.pem.trim(), first.ca.trim())
  writeFileSync(path, `${first.ca}\n${second.ca}\n`)
  t.equal(read(path), before)
  clock.ms += 1_000
  const after = read(path)
  t.not(after.stamp, before.stamp)
  t.match(after.pem, second.ca.trim())
  clock.ms += 1_000
  t.equal(read(path), after)
})

t.test('a file that vanishes is an error from then on, and good again when it is back', async (t) => {
  const path = join(dir, 'vanishing.pem')
  const clock = standingClock()
  const read = createPemReader(clock)
  t.throws(() => read(path), { code: 'ENOENT' })
  writeFileSync(path, first.ca)
  t.ok(read(path))
  rmSync(path)
  clock.ms += 1_000
  t.throws(() => read(path), { code: 'ENOENT' })
  t.throws(() => read(path), { code: 'ENOENT' })
  writeFileSync(path, first.ca)
  t.ok(read(path))
})

t.test('what is no certificate is an error, and a private key beside one is left behind', async (t) => {
  const read = createPemReader(standingClock())
  const { cert, key } = await first.issue(['a.test'])
  for (const [name, text, message] of [
    ['empty', '', /no certificate/],
    ['key', key, /no certificate/],
    ['broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /./],
  ] as const) {
    const path = join(dir, name)
    writeFileSync(path, text)
    t.throws(() => read(path), { message }, name)
  }
  const path = join(dir, 'both')
  writeFileSync(path, key + cert)
  t.notMatch(read(path).pem, /PRIVATE/)
  t.equal(read(path).pem.trim(), cert.trim())
})
