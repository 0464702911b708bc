// A process that makes or loads a root for every folder it reads, as soon as it reads it; optionally as another user.
import { createInterface } from 'node:readline'
import { CertificateAuthority } from '../../src/ca/certificate-authority.ts'
import { systemClock } from '../../src/clock.ts'

const uid = process.argv[2]
if (uid !== undefined) process.setuid?.(Number(uid))
console.log('here')
for await (const certsDir of createInterface({ input: process.stdin })) {
  let made = 0
  const ca = new CertificateAuthority({ certsDir, clock: systemClock, constraints: () => undefined, onMade: () => { made += 1 } })
  try {
    await ca.ready()
    console.log(JSON.stringify({ fingerprint: ca.fingerprint, made }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }))
  }
}
