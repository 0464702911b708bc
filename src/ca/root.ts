// Makes a root certificate and its key. Pure but for randomness: files are root-files.ts's business.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { ProxyError } from '../errors.ts'
import { parseHost } from '../target/host.ts'
import { bits, type Bytes, explicit, integer, sequence, set, time, utf8 } from './der.ts'
import { authorityKeyId, basicConstraints, certAndCrlSign, ecdsaSha256, extension, keyIdOf, oids, subjectKeyId } from './extensions.ts'
import { encodeNameLimits } from './name-limits.ts'
import { toPem } from './pem.ts'

const hourMs = 3_600_000
/** a second less than 365 days, for both ends count */
const lifeMs = 365 * 24 * hourMs - 1000

export interface RootText {
  readonly certPem: string
  /** PKCS #8 */
  readonly keyPem: string
}

/** A self-signed P-256 root; `constraints`: the DNS names that it may sign for, each with what is below it. */
export function makeRoot(nowMs: number, constraints: readonly string[] | undefined): RootText {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const keyId = keyIdOf(keyInfo.subarray(-65))
  const id = randomBytes(4).toString('hex')
  const name = sequence(set(sequence(oids.commonName, utf8(`sallyport ${id.slice(0, 4)}-${id.slice(4)}`))))
  const beginMs = Math.floor((nowMs - hourMs) / 1000) * 1000
  const extensions: Bytes[] = [basicConstraints(0), certAndCrlSign, subjectKeyId(keyId), authorityKeyId(keyId)]
  if (constraints !== undefined) extensions.push(extension(oids.nameConstraints, true, encodeNameLimits(constraints.map(canonicalName))))
  const body = sequence(
    explicit(0, integer(Uint8Array.of(2))),
    integer(randomBytes(16)),
    ecdsaSha256.identifier,
    name,
    sequence(time(beginMs), time(beginMs + lifeMs)),
    name,
    keyInfo,
    explicit(3, sequence(...extensions)),
  )
  const signature = sign(ecdsaSha256.digest, body, privateKey)
  return {
    certPem: toPem('CERTIFICATE', sequence(body, ecdsaSha256.identifier, bits(signature))),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

/** Throws ProxyError `ca_unavailable` for what is no DNS name. */
function canonicalName(text: string): string {
  try {
    const host = parseHost(text)
    if (host.kind === 'name') return host.text
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
  }
  throw new ProxyError('ca_unavailable', `a name constraint that is no DNS name: \`${text}\``)
}
