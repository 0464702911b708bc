// sallyport itself, as it comes: policy, journal, address vetting, SNI check and limits on. Only the quota
// that would stop a benchmark, the records of one client in a minute, is raised; for hosts never seen, that of
// new names in a minute too.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { launch, proxyCore, ready, stop } from '../launch.ts'
import { probe, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

/** of node, in every way that the proxy is started; test/docker.test.ts holds them together */
export const startOptions: readonly string[] = ['--max-semi-space-size=16']

/** this checkout */
export const ownDir = join(import.meta.dirname, '../..')
const binaryOf = (dir: string): string => join(dir, 'bin/sallyport.js')

const settings = ({ intercept, hostsFile }: Ground): string => `[dns]
hosts = ${JSON.stringify(intercept?.hostsFile ?? hostsFile)}

[audit]
records_per_session_per_minute = 100000000
${intercept === undefined ? '' : '\n[limits]\nnew_names_per_minute = 100000\n'}`

/** How the denied names reach it: a feed file, or an array in the policy itself. */
export type DeniedForm = 'feed' | 'array'

/** The rule that a workload runs under: one that obliges to look at each request inside TLS, or one that does not. */
function rule({ host, origin, intercept, cached }: Ground): string {
  if (cached !== undefined) return `[[network.rules]]\nid = "bench"\nhosts = ["${host}:${cached.port}"]\nvia = "cache"\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`
  const ports = intercept === undefined ? Object.values(origin) : [intercept.port]
  const hosts = ports.flatMap((port) => (intercept === undefined ? [`${host}:${port}`] : [`${host}:${port}`, `*.${host}:${port}`]))
  return `[[network.rules]]
id = "bench"
hosts = ${JSON.stringify(hosts)}
${intercept === undefined ? '' : 'methods = ["GET"]\npaths = ["/bench"]\n'}local = ["127.0.0.1/32"]
verdict = "allow"
`
}

function policy(ground: Ground, form: DeniedForm): string {
  const denied = form === 'feed'
    ? 'denied_domains_files = [{ path = "feeds/denied.txt" }]'
    : `denied_domains = [\n${ground.denied.names.map((name) => `  "${name}",\n`).join('')}]`
  return `[network]
mode = "enforce"
unknown = "deny"
${denied}

${rule(ground)}`
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line
  throw new Error('it ended before it said where it listens')
}

function portOf(line: string): number {
  const said: unknown = JSON.parse(line)
  const proxy = typeof said === 'object' && said !== null && 'proxy' in said ? said.proxy : undefined
  const port = Number(/:(\d+)\/?$/.exec(typeof proxy === 'string' ? proxy : '')?.[1])
  if (!Number.isSafeInteger(port)) throw new Error(`no proxy port in its first line: ${line}`)
  return port
}

export interface SallyportOptions {
  readonly name: string
  readonly form: DeniedForm
  /** options of node itself */
  readonly nodeOptions: readonly string[]
  /** the checkout it runs from */
  readonly dir: string
}

/** Whom an origin's certificate may come from, beside whom it trusts as it comes. */
function trust({ intercept }: Ground): { readonly env?: Record<string, string> } {
  return intercept === undefined ? {} : { env: { NODE_EXTRA_CA_CERTS: intercept.rootFile } }
}

async function start(ground: Ground, options: SallyportOptions): Promise<Running> {
  const policies = join(ground.dir, 'policies')
  const data = join(ground.dir, 'data')
  for (const dir of [join(policies, 'feeds'), data]) mkdirSync(dir, { recursive: true })
  copyFileSync(ground.denied.file, join(policies, 'feeds/denied.txt'))
  writeConfig(policies, 'bench.toml', policy(ground, options.form))
  const config = writeConfig(ground.dir, 'sallyport.toml', settings(ground))
  const args = [
    ...startOptions, ...options.nodeOptions, binaryOf(options.dir), 'start', '--json', '--config', config, '--listen', '127.0.0.1:0', '--ops', 'off', '--control', 'off',
    '--policies', policies, '--data', data, '--certs', join(ground.dir, 'certs'),
  ]
  const log = join(ground.dir, 'log')
  const launchedMs = performance.now()
  const child = launch(process.execPath, args, { core: proxyCore, log, cwd: ground.dir, pipeOutput: true, ...trust(ground) })
  if (child.stdout === null) throw new Error('it has no standard output')
  const output = child.stdout
  let line: string
  try {
    line = await firstLine(output)
  } catch (error) {
    const said = readFileSync(log, 'utf8').trim().split('\n').slice(0, 3).join(' | ')
    throw new Error(`sallyport did not start: ${said}`, { cause: error })
  }
  output.resume()
  const port = portOf(line)
  await ready(child, port, probe(ground))
  return { pid: child.pid ?? 0, launchedMs, port: () => port, host: ground.host, forward: true, dataDir: data, stop: () => stop(child, 6000) }
}

function versionIn(dir: string): string | undefined {
  if (!existsSync(binaryOf(dir))) return undefined
  return /"version":\s*"([^"]+)"/.exec(readFileSync(join(dir, 'package.json'), 'utf8'))?.[1] ?? 'unknown version'
}

export function sallyport(options: SallyportOptions): Peer {
  return {
    name: options.name,
    note: options.form === 'feed' ? 'policy, journal, address vetting, SNI check and limits on' : 'the denied names as an array in the policy',
    does: options.form === 'feed' ? ['tunnel', 'bulk', 'get', 'refuse', 'refuseMany', 'idle', 'intercept', 'interceptH2', 'cached'] : ['refuseMany'],
    version: () => versionIn(options.dir),
    warmsSlowly: true,
    start: (ground) => start(ground, options),
  }
}
