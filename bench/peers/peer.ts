// What a peer is to the benchmarks: something that can be started on a port of 127.0.0.1 with its
// configuration in a folder of its own, and stopped again.
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, chownSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { benchRoot } from '../intercept/certificates.ts'
import { nobody, stop, weAreRoot } from '../launch.ts'

export type OriginKind = 'hello' | 'download' | 'upload' | 'http'
export type OriginPorts = Readonly<Record<OriginKind, number>>

export interface DeniedNames {
  readonly count: number
  /** one name a line */
  readonly file: string
  readonly names: readonly string[]
}

/** What looking inside TLS needs. */
export interface InterceptGround {
  /** port of the TLS origin */
  readonly port: number
  /** PEM of the root that its certificate leads to */
  readonly rootFile: string
  /** hosts file of the host and of all that are never seen */
  readonly hostsFile: string
}

/** What answering from a cache needs. */
export interface CachedGround {
  /** port of the origin whose pages are put into it */
  readonly port: number
  readonly paths: readonly string[]
}

export interface Ground {
  /** this peer's own folder: configuration, logs, whatever it writes */
  readonly dir: string
  readonly origin: OriginPorts
  /** the name that stands for 127.0.0.1, where a peer can be told so */
  readonly host: string
  /** hosts file that says it */
  readonly hostsFile: string
  readonly denied: DeniedNames
  /** present for those that are to look inside TLS, and do nothing else */
  readonly intercept?: InterceptGround
  /** present for those that are to answer from their cache, and do nothing else */
  readonly cached?: CachedGround
}

export interface Running {
  readonly pid: number
  /** `performance.now()` when its process was started, its files having been written; absent: before `start` */
  readonly launchedMs?: number
  /** port for work that ends at this listener of the origin */
  port(kind: OriginKind): number
  /** host to ask for: the bench name, or 127.0.0.1 for peers that resolve by the system alone */
  readonly host: string
  /** whether the port is a forward proxy (CONNECT, absolute-form) or the origin's, one to one */
  readonly forward: boolean
  /** where its own commands reach it; undefined: it has none */
  readonly dataDir?: string
  stop(): Promise<void>
}

export interface Peer {
  readonly name: string
  /** what a reader must know to compare it */
  readonly note: string
  /** what it can do here; `refuse` with ten denied names, `refuseMany` with a million; `interceptH2` when its
   * clients may speak HTTP/2 inside TLS */
  readonly does: readonly ('tunnel' | 'bulk' | 'get' | 'refuse' | 'refuseMany' | 'idle' | 'intercept' | 'interceptH2' | 'cached')[]
  /** compiles as it runs, so it is warmed for longer */
  readonly warmsSlowly?: boolean
  /** undefined when this machine does not have it */
  version(): string | undefined
  start(ground: Ground): Promise<Running>
}

/** First match of `pattern` in what a command prints, or undefined when there is no such command. */
export function versionOf(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  const run = spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 })
  if (run.error !== undefined) return undefined
  return pattern.exec(`${run.stdout}${run.stderr}`)?.[1] ?? 'unknown version'
}

/** A folder below the peer's own that an unprivileged daemon may write. */
export function ownFolder(dir: string, name = ''): string {
  const path = join(dir, name)
  mkdirSync(path, { recursive: true })
  if (weAreRoot) chownSync(path, nobody, nobody)
  return path
}

export function writeConfig(dir: string, name: string, text: string): string {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

/** What most peers have in common: one process, one port. */
export function onePort(child: ChildProcess, port: number, host: string): Running {
  return { pid: child.pid ?? 0, port: () => port, host, forward: true, stop: () => stop(child) }
}

/** What those that look inside TLS were started for; throws when it was something else. */
export function interceptOf({ intercept }: Ground): InterceptGround {
  if (intercept === undefined) throw new Error('it looks inside TLS and does nothing else here')
  return intercept
}

/** A root for proxies that do not make their own: an ECDSA key on P-256, the usual choice where speed matters. */
export async function authorityFiles(dir: string, name: string): Promise<{ readonly cert: string; readonly key: string }> {
  const root = await benchRoot(name)
  const file = (place: string, text: string): string => {
    const path = writeConfig(dir, place, text)
    if (weAreRoot) chownSync(path, nobody, nobody)
    return path
  }
  return { cert: file('root.pem', root.cert), key: file('root-key.pem', root.key) }
}

/** For those that look inside TLS: a CONNECT gets an answer. */
export function interceptProbe(ground: Ground): string {
  const authority = `${ground.host}:${interceptOf(ground).port}`
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
}

/** The request that tells a peer is ready and its list is loaded. */
export function probe(ground: Ground): string {
  const name = `${ground.denied.names[0] ?? ground.host}:443`
  return `CONNECT ${name} HTTP/1.1\r\nHost: ${name}\r\n\r\n`
}
