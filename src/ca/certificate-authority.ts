// The certificate authority of one installation: its root is there on first need, its leaves are made when they are
// asked for, and a root that is replaced on the disk is taken up while the proxy runs. It never makes a root because
// one could not be read, nor goes on with one that has gone bad.
import { stat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import type { Host } from '../target/host.ts'
import type { Leaf, LeafSource } from './authority.ts'
import { type BundleParts, writeBundle } from './bundle.ts'
import { type LeafKey, LeafMaker, makeLeafKey } from './leaf.ts'
import { LeafCache } from './leaf-cache.ts'
import { makeRoot } from './root.ts'
import { folderOwner, keptRoots, loadSigner, placePair, type RootPaths, rootPaths, stampOf } from './root-files.ts'
import { day, type Signer, unavailable } from './signer.ts'

export interface CertificateAuthorityOptions {
  readonly certsDir: string
  readonly clock: Clock
  /** DNS names that a root made now may sign for, each with what is below it; undefined: for every host */
  readonly constraints: () => readonly string[] | undefined
  /** called once when this process has made a root */
  readonly onMade?: (info: RootInfo) => void
}

/** A root or another certificate that clients are to trust. */
export interface RootInfo {
  readonly path: string
  readonly subject: string
  /** SHA-256, 64 hexadecimal digits in lower case */
  readonly fingerprint: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** DNS names that it may sign for, each with what is below it; undefined: every name */
  readonly constraints: readonly string[] | undefined
}

export interface UsableCa extends RootInfo {
  readonly state: 'usable'
  readonly keyPath: string
  /** `EC P-256`, `EC P-384`, `RSA 2048` … */
  readonly keyKind: string
  /** by this program, or by somebody who put it there */
  readonly origin: 'made' | 'supplied'
  /** roots that were replaced and have not ended yet, and one that is prepared */
  readonly kept: readonly (RootInfo & { readonly role: 'previous' | 'next' })[]
  /** what its owner is to know: lower case, no final stop */
  readonly notices: readonly string[]
}

export type CaStatus =
  | UsableCa
  /** none yet */
  | { readonly state: 'absent'; readonly path: string; readonly keyPath: string }
  /** `detail` says what to do */
  | { readonly state: 'unusable'; readonly path: string; readonly keyPath: string; readonly detail: string }

const lookEveryMs = 1_000
const dayMs = 86_400_000
const warnBeforeMs = 30 * dayMs

interface Loaded {
  readonly signer: Signer
  readonly leaves: LeafCache
  readonly stamp: string
}

export class CertificateAuthority implements LeafSource {
  readonly #options: CertificateAuthorityOptions
  readonly #paths: RootPaths
  #leafKey: LeafKey | undefined
  #loaded: Loaded | undefined
  /** a root was loaded by this instance once: its absence is a fault from then on */
  #hadRoot = false
  #lookedMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined

  constructor(options: CertificateAuthorityOptions) {
    this.#options = options
    this.#paths = rootPaths(options.certsDir)
  }

  /** SHA-256 of the certificate that signs, 64 hexadecimal digits; undefined before `ready`. */
  get fingerprint(): string | undefined {
    return this.#loaded?.signer.certificate.fingerprint
  }

  ready(): Promise<void> {
    const nowMs = this.#options.clock.monotonic()
    if (this.#loaded !== undefined && nowMs - this.#lookedMs < lookEveryMs) return Promise.resolve()
    this.#looking ??= this.#look(nowMs).finally(() => { this.#looking = undefined })
    return this.#looking
  }

  leafFor(host: Host): Leaf {
    if (this.#loaded === undefined) throw unavailable('no root is loaded')
    return this.#loaded.leaves.leafFor(host, this.#options.clock.now())
  }

  /** What there is on the disk now. Makes nothing, and does not reject for what is wrong with it. */
  async status(): Promise<CaStatus> {
    const { cert: path, key: keyPath } = this.#paths
    try {
      const owner = await folderOwner(this.#paths.dir)
      const signer = await loadSigner(this.#paths, this.#options.clock, owner)
      return signer === undefined ? { state: 'absent', path, keyPath } : await this.#usable(signer, owner)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      return { state: 'unusable', path, keyPath, detail: error.detail }
    }
  }

  /** PEM of everything that clients are to trust: what signs with its chain, what it replaced, what is prepared. */
  async trusted(): Promise<readonly string[]> {
    return (await this.exported()).all
  }

  /** As `trusted`, one text, and there after this: for whoever is about to be served. */
  async readyPem(): Promise<string> {
    await this.ready()
    return (await this.trusted()).join('')
  }

  /** `all`: as `trusted`; `anchor`: DER of the top of the chain that signs. Rejects with ProxyError `ca_unavailable`. */
  async exported(): Promise<{ readonly anchor: Buffer; readonly all: readonly string[] }> {
    const owner = await folderOwner(this.#paths.dir)
    const signer = await loadSigner(this.#paths, this.#options.clock, owner)
    if (signer === undefined) throw unavailable(`${this.#paths.cert}: there is no root yet`)
    const { roots } = await keptRoots(this.#paths.dir, this.#options.clock.now(), owner)
    const all = new Set([...signer.chain, ...roots.map(({ certificate }) => certificate)].map(({ pem }) => pem))
    return { anchor: (signer.chain.at(-1) ?? signer.certificate).x509.raw, all: [...all] }
  }

  /** Writes the bundle of `trusted` and these, beside the root, and resolves to its path. */
  async bundle(parts: Omit<BundleParts, 'ours'>): Promise<string> {
    return writeBundle(this.#paths.dir, { ...parts, ours: await this.trusted() }, this.#options.clock)
  }

  async #look(nowMs: number): Promise<void> {
    try {
      const stamp = await stampOf(this.#paths)
      if (this.#loaded?.stamp !== stamp) this.#take(await this.#loadOrMake())
      else if (this.#options.clock.now() > this.#loaded.signer.notAfterMs) await loadSigner(this.#paths, this.#options.clock)
      this.#lookedMs = nowMs
    } catch (error) {
      this.#loaded = undefined
      throw error
    }
  }

  /** The stamp is from before the files were read: what changed in between is seen at the next look. */
  async #loadOrMake(): Promise<{ readonly signer: Signer; readonly stamp: string }> {
    const { clock, constraints, onMade } = this.#options
    const stamp = await stampOf(this.#paths)
    const found = await loadSigner(this.#paths, clock)
    if (found !== undefined) return { signer: found, stamp }
    if (this.#hadRoot) throw unavailable(`${this.#paths.cert} was there and is gone: put it back with its key, or start the proxy again to have a new root made`)
    const isOurs = await placePair(this.#paths, makeRoot(clock.now(), constraints()))
    const made = await stampOf(this.#paths)
    const signer = await loadSigner(this.#paths, clock)
    if (signer === undefined) throw unavailable(`${this.#paths.cert} was made and is gone again: what else writes to ${this.#paths.dir}?`)
    if (isOurs) onMade?.(infoOf(this.#paths.cert, signer))
    return { signer, stamp: made }
  }

  #take({ signer, stamp }: { readonly signer: Signer; readonly stamp: string }): void {
    this.#hadRoot = true
    this.#leafKey ??= makeLeafKey()
    const kept = this.#loaded !== undefined && isSame(this.#loaded.signer, signer) ? this.#loaded.leaves : undefined
    this.#loaded = { signer, leaves: kept ?? new LeafCache(new LeafMaker(signer, this.#leafKey)), stamp }
  }

  async #usable(signer: Signer, owner: number | undefined): Promise<UsableCa> {
    const nowMs = this.#options.clock.now()
    const { roots, notices } = await keptRoots(this.#paths.dir, nowMs, owner)
    return {
      state: 'usable',
      ...infoOf(this.#paths.cert, signer),
      keyPath: this.#paths.key,
      keyKind: signer.keyKind,
      origin: signer.origin,
      kept: roots.map(({ path, role, certificate }) => ({
        role,
        path,
        subject: certificate.subject,
        fingerprint: certificate.fingerprint,
        notBeforeMs: certificate.notBeforeMs,
        notAfterMs: certificate.notAfterMs,
        constraints: certificate.nameLimits?.permittedNames,
      })),
      notices: [...endNotices(this.#paths.cert, signer, nowMs), ...(await folderNotices(this.#paths)), ...notices],
    }
  }
}

function infoOf(path: string, { certificate, limits, notBeforeMs, notAfterMs }: Signer): RootInfo {
  const { subject, fingerprint } = certificate
  const names = limits.flatMap(({ permittedNames }) => permittedNames ?? [])
  return { path, subject, fingerprint, notBeforeMs, notAfterMs, constraints: names.length === 0 ? undefined : names }
}

function isSame(a: Signer, b: Signer): boolean {
  return a.chain.length === b.chain.length && a.chain.every(({ fingerprint }, at) => fingerprint === b.chain[at]?.fingerprint)
}

async function folderNotices({ dir, key }: RootPaths): Promise<string[]> {
  const ownUid = process.getuid?.()
  if (ownUid === undefined) return []
  const [{ mode }, { uid }] = await Promise.all([stat(dir), stat(key)])
  const notices: string[] = []
  if (uid !== ownUid && uid !== 0) notices.push(`${key} belongs to uid ${uid}: a proxy that runs as another user, as you do now, refuses it`)
  // with the sticky bit others can add files, not take ours away
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) notices.push(`${dir} can be written by other users, who can take the root away: \`chmod go-w\` it`)
  return notices
}

function endNotices(path: string, { notAfterMs, origin }: Signer, nowMs: number): string[] {
  if (notAfterMs - nowMs >= warnBeforeMs) return []
  const left = Math.floor((notAfterMs - nowMs) / dayMs)
  const remedy = origin === 'made' ? '`sallyport ca rotate` makes a new one, which clients have to be given' : 'supply a new one, and give it to the clients'
  return [`${path} ends on ${day(notAfterMs)}, in ${left === 1 ? '1 day' : `${left} days`}: ${remedy}`]
}
