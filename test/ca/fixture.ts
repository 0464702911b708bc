// What the tests of this room share: a folder with a root, roots that somebody else made, a clock that is set, and
// the programs that judge a certificate.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import type { Leaf } from '../../src/ca/authority.ts'
import { CertificateAuthority, type CertificateAuthorityOptions } from '../../src/ca/certificate-authority.ts'
import { makeRoot } from '../../src/ca/root.ts'
import { readSigner, type Signer } from '../../src/ca/signer.ts'
import type { Clock } from '../../src/clock.ts'

x509.cryptoProvider.set(webcrypto as Crypto)

export { x509 }
export const dayMs = 86_400_000
export const hourMs = 3_600_000

export interface SetClock extends Clock {
  forward(ms: number): void
}

/** Stands still until it is moved; wall clock and monotonic go together. */
export function setClock(startMs = Date.now()): SetClock {
  let nowMs = startMs
  return { now: () => nowMs, monotonic: () => nowMs, forward: (ms) => { nowMs += ms } }
}

export function authority(certsDir: string, more: Partial<CertificateAuthorityOptions> = {}): CertificateAuthority {
  return new CertificateAuthority({ certsDir, clock: setClock(), constraints: () => undefined, ...more })
}

/** A root of our own making, in memory. */
export function madeSigner(nowMs: number, constraints?: readonly string[]): Signer {
  const { certPem, keyPem } = makeRoot(nowMs, constraints)
  return readSigner({ certPath: 'root.pem', keyPath: 'root-key.pem', certText: certPem, keyText: keyPem }, nowMs)
}

export interface ForeignOptions {
  readonly name?: string
  readonly algorithm?: 'P-256' | 'P-384' | 'P-521' | 'RSA-1024' | 'RSA-2048'
  readonly isCa?: boolean
  readonly pathLength?: number
  readonly usages?: x509.KeyUsageFlags
  readonly notBeforeMs?: number
  readonly notAfterMs?: number
  readonly extensions?: readonly x509.Extension[]
  /** undefined: self-signed */
  readonly issuer?: Foreign
}

/** A certificate that @peculiar/x509 made, as somebody else's tools would. */
export interface Foreign {
  readonly certificate: x509.X509Certificate
  readonly certPem: string
  readonly keyPem: string
  readonly keys: webcrypto.CryptoKeyPair
  readonly signing: { readonly name: string; readonly hash: string }
}

export async function foreign(options: ForeignOptions = {}): Promise<Foreign> {
  const { name = 'CN=Example Corp CA', algorithm = 'P-256', isCa = true, issuer } = options
  const rsa = algorithm.startsWith('RSA')
  const signing = rsa
    ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: Number(algorithm.slice(4)), publicExponent: Uint8Array.of(1, 0, 1) }
    : { name: 'ECDSA', namedCurve: algorithm, hash: algorithm === 'P-256' ? 'SHA-256' : 'SHA-384' }
  const keys = await webcrypto.subtle.generateKey(signing, true, ['sign', 'verify']) as webcrypto.CryptoKeyPair
  const signer = issuer ?? { certificate: undefined, keys, signing }
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '1234',
    subject: name,
    issuer: signer.certificate?.subject ?? name,
    notBefore: new Date(options.notBeforeMs ?? Date.now() - hourMs),
    notAfter: new Date(options.notAfterMs ?? Date.now() + 200 * dayMs),
    signingAlgorithm: signer.signing,
    publicKey: keys.publicKey,
    signingKey: signer.keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(isCa, options.pathLength, true),
      options.usages === undefined ? new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true) : new x509.KeyUsagesExtension(options.usages, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(signer.keys.publicKey),
      ...(options.extensions ?? []),
    ],
  })
  const keyPem = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { certificate, certPem: `${certificate.toString('pem')}\n`, keyPem: `${keyPem}\n`, keys, signing }
}

export function putPair(dir: string, certPem: string, keyPem: string, mode = 0o600): void {
  writeFileSync(join(dir, 'root.pem'), certPem)
  writeFileSync(join(dir, 'root-key.pem'), keyPem, { mode })
}

export function ecKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

export interface Ran {
  readonly code: number
  readonly out: string
}

/** Runs a program to its end, whatever its exit code; output and errors together. */
export async function ran(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { env: { ...process.env, ...env }, timeout: 60_000 })
    return { code: 0, out: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number | string; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { code, out: `${stdout ?? ''}${stderr ?? ''}` }
  }
}

/** Whether a program is on this machine; for `skip`. */
export async function missing(program: string, ...args: readonly string[]): Promise<string | false> {
  try {
    return (await ran(program, args)).code === 0 ? false : `${program} does not work here`
  } catch {
    return `${program} is not installed`
  }
}

/** A TLS server on loopback that shows this leaf and greets. */
export async function serve(t: Test, { chainPem, keyPem }: Leaf): Promise<number> {
  const server: Server = createServer({ cert: chainPem, key: keyPem }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi'))
  })
  server.on('tlsClientError', () => undefined)
  // a browser keeps connections open that it may want later: nobody waits for those
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => new Promise<void>((resolve) => {
    for (const socket of open) socket.destroy()
    server.close(() => resolve())
  }))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Resolves to undefined when Node's client trusts the server, else to the error's code and message. */
export async function nodeVerdict(port: number, ca: string, host: string): Promise<string | undefined> {
  const isAddress = /^[\d.]+$|:/.test(host)
  const socket: TLSSocket = connect({ socket: connectTcp(port, '127.0.0.1'), ca, host, ...(isAddress ? {} : { servername: host }) })
  return new Promise((resolve) => {
    socket.once('secureConnect', () => { socket.destroy(); resolve(undefined) })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(`${error.code ?? ''}: ${error.message}`))
  })
}
