// A real squid as a parent cache, on loopback and a free port, in a folder of its own. It never runs as root.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask } from './client-run.ts'
import type { Scope } from './scope.ts'

export interface Squid {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

export interface SquidOptions {
  /** names that it resolves, all of them to 127.0.0.1 */
  readonly names: readonly string[]
  /** PEM of the CA that it trusts origins by */
  readonly ca?: string
  /** further lines of its configuration */
  readonly more?: string
}

const program = ['/usr/sbin/squid', '/usr/local/sbin/squid'].find((path) => existsSync(path))

/** For a test that needs it: skipped by name where it is not on this machine. `tls`: one that fetches https. */
export function needsSquid(tls = false): { readonly skip?: string } {
  if (program === undefined) return { skip: 'squid is not on this machine' }
  if (tls && !/--with-(?:openssl|gnutls)/.test(ask(program, ['-v']) ?? '')) return { skip: 'the squid of this machine has no TLS' }
  return {}
}

export async function startSquid(t: Scope, { names, ca, more = '' }: SquidOptions): Promise<Squid> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-squid-'))
  const port = await freePort()
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o644 })
    return join(dir, name)
  }
  const config = file('squid.conf', [
    `http_port 127.0.0.1:${port}`, 'http_access allow localhost', 'http_access deny all', 'cache_mem 16 MB', 'access_log none', 'cache_store_log none',
    'cache_log /dev/null', 'pid_filename none', `coredump_dir ${dir}`, 'pinger_enable off', 'shutdown_lifetime 0 seconds', 'visible_hostname parent-cache', 'max_filedescriptors 1024',
    `hosts_file ${file('hosts', names.map((name) => `127.0.0.1 ${name}\n`).join(''))}`, 'dns_nameservers 127.0.0.1', 'dns_timeout 1 second',
    ...(ca === undefined ? [] : [`tls_outgoing_options cafile=${file('ca.pem', ca)}`]), more, '',
  ].join('\n'))
  const user = unprivileged()
  chmodSync(dir, 0o755)
  if (user !== undefined) chownSync(dir, user.uid, user.gid)
  // the name keeps the shared memory of several apart
  const child = spawn(program ?? 'squid', ['-N', '-d', '1', '-n', `sp${process.pid}x${port}`, '-f', config], { ...user, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  t.teardown(async () => {
    await stop()
    rmSync(dir, { recursive: true, force: true })
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
  // it says that it accepts before it does
  while (child.exitCode === null && !(await accepts(port))) await new Promise((resolve) => setTimeout(resolve, 20))
  if (child.exitCode !== null) throw new Error(`squid ended:\n${said}`)
  return { url: `http://127.0.0.1:${port}`, port, stop }
}

/** Whoever it runs as where the test is root; undefined: as the test does. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'))
  const [, , uid, gid] = users.find(([name]) => name === 'proxy') ?? users.find(([name]) => name === 'nobody') ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
