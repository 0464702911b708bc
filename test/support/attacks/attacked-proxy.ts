// What is attacked: a proxy in a process of its own, whose files, descriptors and listeners can be looked at.
// Two kinds, started with the same rules: sallyport, and http-mitm-proxy for comparison.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { keepLogs } from '../kept-logs.ts'
import { keptModules } from '../kept-modules.ts'
import type { Scope } from '../scope.ts'
import type { ChildRules } from './http-mitm-proxy-child.ts'

export interface AttackRules extends ChildRules {
  /** PEM of whom the origins' certificates come from */
  readonly originRoot: string
  /** names beside those, for plain requests */
  readonly plainHost: string
}

export interface AttackedProxy {
  readonly name: string
  readonly port: number
  readonly pid: number
  /** everything it may write is below */
  readonly dir: string
  /** of that, folders that it is told to write to */
  readonly own: readonly string[]
  /** PEM of its root, once it was made */
  readonly root: () => string
}

export type ProxyKind = 'sallyport' | 'http-mitm-proxy'

/** Starts one, under a umask of 022, and takes it down with its folder. */
export async function startAttacked(t: Scope, kind: ProxyKind, rules: AttackRules): Promise<AttackedProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-attack-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const certs = join(dir, 'a/b/certs')
  mkdirSync(certs, { recursive: true })
  const trusted = join(dir, 'origin-root.pem')
  writeFileSync(trusted, rules.originRoot)
  const before = process.umask(0o022)
  t.teardown(() => keepLogs(dir))
  const child = kind === 'sallyport' ? spawnSallyport(dir, certs, trusted, rules) : spawnBaseline(certs, trusted, rules)
  process.umask(before)
  const port = await portOf(t, child)
  const rootFile = kind === 'sallyport' ? join(certs, 'root.pem') : join(certs, 'certs/ca.pem')
  return { name: kind, port, pid: child.pid ?? 0, dir, own: [certs, join(dir, 'var')], root: () => readFileSync(rootFile, 'utf8') }
}

const bin = join(import.meta.dirname, '../../../bin/sallyport.js')

function spawnSallyport(dir: string, certs: string, trusted: string, rules: AttackRules): ChildProcess {
  const policies = join(dir, 'policies')
  mkdirSync(policies)
  const below = rules.hosts.flatMap((host) => (host.startsWith('[') ? [host] : [host, `*.${host}`]))
  const local = '["127.0.0.1/32", "::1/128"]'
  writeFileSync(join(policies, 'attack.toml'), `[network]
unknown = "deny"

[[network.rules]]
id = "inside"
hosts = ${JSON.stringify(below)}
methods = ["GET"]
paths = ["${rules.path}"]
local = ${local}
verdict = "allow"

[[network.rules]]
id = "plain"
hosts = ["${rules.plainHost}"]
local = ${local}
verdict = "allow"
`)
  const names = rules.hosts.flatMap((host) => host.startsWith('[') ? [] : [host.replace(/:\d+$/, '')])
  const hostNames = [...names, rules.plainHost.replace(/:\d+$/, ''), 'evil.test']
  writeFileSync(join(dir, 'hosts'), hostNames.map((name) => `127.0.0.1 ${name}\n`).join(''))
  writeFileSync(join(dir, 'sallyport.toml'), `[dns]\nhosts = "hosts"\n\n[limits]\nnew_names_per_minute = 100000\n\n[audit]\nrecords_per_session_per_minute = 100000000\n`)
  const argv = [
    bin, 'start', '--json', '--config', join(dir, 'sallyport.toml'), '--listen', '127.0.0.1:0', '--control', 'off', '--ops', 'off',
    '--policies', policies, '--data', join(dir, 'var'), '--certs', certs,
  ]
  return spawn(process.execPath, argv, { cwd: dir, env: { PATH: process.env['PATH'] ?? '', ...keptModules, NODE_EXTRA_CA_CERTS: trusted }, stdio: ['pipe', 'pipe', 'pipe'] })
}

function spawnBaseline(certs: string, trusted: string, rules: AttackRules): ChildProcess {
  const text = JSON.stringify({ hosts: [...rules.hosts, rules.plainHost], path: rules.path } satisfies ChildRules)
  const argv = [join(import.meta.dirname, 'http-mitm-proxy-child.ts'), certs, text]
  return spawn(process.execPath, argv, { cwd: certs, env: { PATH: process.env['PATH'] ?? '', ...keptModules, NODE_EXTRA_CA_CERTS: trusted }, stdio: ['pipe', 'pipe', 'pipe'] })
}

async function portOf(t: Scope, child: ChildProcess): Promise<number> {
  const ended = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = `${stderr}${text}`.slice(-4000)))
  if (child.stdout === null) throw new Error('it has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    child.stdout.resume()
    const said = JSON.parse(line) as { readonly proxy?: string; readonly port?: number }
    return said.port ?? Number(new URL(said.proxy ?? '').port)
  }
  throw new Error(`it ended before it was open: ${stderr}`)
}

/** Every file below a folder, the folders in `apart` left out. */
export function filesBelow(dir: string, apart: readonly string[] = []): readonly string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (apart.includes(path)) return []
    return entry.isDirectory() ? filesBelow(path, apart) : [path]
  })
}

/** Files with a private key in them that others than their owner may read. */
export function readableKeys({ dir }: AttackedProxy): readonly string[] {
  return filesBelow(dir).filter((path) => {
    const { mode } = statSync(path)
    return (mode & 0o077) !== 0 && readFileSync(path, 'latin1').includes('PRIVATE KEY-----')
  })
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** TCP ports that a process listens on, out of /proc/net/tcp and its descriptors. */
export function listeningPorts(pid: number): readonly number[] {
  const inodes = new Set<string>()
  for (const entry of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${entry}`))?.[1]
    if (inode !== undefined) inodes.add(inode)
  }
  const ports: number[] = []
  for (const table of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (fields[3] === '0A' && inodes.has(fields[9] ?? '')) ports.push(Number.parseInt(/:([0-9A-F]{4})$/.exec(fields[1] ?? '')?.[1] ?? '0', 16))
    }
  }
  return ports
}

/** What a descriptor is; '' for one that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

/** `MB` */
export function residentMegabytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0') / 1000
}
