// What the interception benchmarks stand on: a TLS origin with a root of its own that every proxy is told to
// trust, and names below one domain that all mean 127.0.0.1. Makes files in the run's folder only.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { launch, loadCore, stop } from '../launch.ts'
import type { InterceptGround } from '../peers/peer.ts'
import { benchRoot } from './certificates.ts'

/** the origin's issuer; the load generator takes a leaf of its for a tunnel that was not intercepted */
const rootName = 'bench origin root'
const freshHosts = 12_000

export interface InterceptPrograms {
  readonly origin: string
  readonly client: string
}

/** The name that stands for the `place`th host never seen; the load generator counts by the same form. */
export const freshForm = (host: string): string => `h%d.${host}`

/** Compiles both programs; throws, saying what is missing, when OpenSSL's headers or the compiler are not here. */
export function compileInterceptPrograms(dir: string): InterceptPrograms {
  const compile = (name: string): string => {
    const binary = join(dir, name)
    const run = spawnSync('cc', ['-O2', '-o', binary, join(import.meta.dirname, `../load/${name}.c`), '-lssl', '-lcrypto'], { encoding: 'utf8' })
    if (run.error !== undefined) throw new Error('it needs a C compiler named `cc`')
    if (run.status !== 0) throw new Error(/openssl\/\w+\.h: No such file/.test(run.stderr) ? 'it needs the headers of OpenSSL 3 (libssl-dev)' : `the load generator does not compile: ${run.stderr}`)
    return binary
  }
  return { origin: compile('tls-origin'), client: compile('tls-client') }
}

export interface TlsOrigin {
  readonly ground: InterceptGround
  stop(): Promise<void>
}

function portIn(line: string): number {
  const said: unknown = JSON.parse(line)
  if (typeof said === 'object' && said !== null && 'tls' in said && typeof said.tls === 'number') return said.tls
  throw new Error(`the TLS origin said: ${line}`)
}

/** The origin, running, and the files that say whom to trust and what names mean. */
export async function startTlsOrigin(programs: InterceptPrograms, dir: string, host: string): Promise<TlsOrigin> {
  const file = (name: string, text: string): string => {
    const path = join(dir, name)
    writeFileSync(path, text)
    return path
  }
  const root = await benchRoot(rootName)
  const { cert, key } = await root.issue([host, `*.${host}`])
  const rootFile = file('origin-root.pem', root.cert)
  const chain = file('origin.pem', cert)
  const keyFile = file('origin-key.pem', key)
  const names = Array.from({ length: freshHosts }, (_, place) => `127.0.0.1 ${freshForm(host).replace('%d', String(place))}\n`)
  const hostsFile = file('hosts-fresh', `127.0.0.1 localhost\n127.0.0.1 ${host}\n${names.join('')}`)
  const child = launch(programs.origin, [chain, keyFile], { core: loadCore, log: join(dir, 'tls-origin.log'), pipeOutput: true })
  if (child.stdout === null) throw new Error('the TLS origin has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    return { ground: { port: portIn(line), rootFile, hostsFile }, stop: () => stop(child) }
  }
  throw new Error('the TLS origin did not start')
}
