// squid looking inside TLS (Debian's squid-openssl): one worker, no cache, no access log, certificates from
// its own helper. Once as it is usually set up, reading the origin's certificate before it makes one, and once
// making it from the CONNECT alone, which saves it a new connection to the origin for each of a client's.
import { existsSync, rmSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { launch, freePort, nobody, proxyCore, ready, weAreRoot } from '../launch.ts'
import { authorityFiles, interceptOf, interceptProbe, onePort, ownFolder, versionOf, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

const helper = ['/usr/lib/squid/security_file_certgen', '/usr/lib64/squid/security_file_certgen'].find((path) => existsSync(path))

function config(ground: Ground, port: number, authority: { readonly cert: string; readonly key: string }, steps: string): string {
  const { rootFile, hostsFile, port: originPort } = interceptOf(ground)
  return `http_port 127.0.0.1:${port} ssl-bump tls-cert=${authority.cert} tls-key=${authority.key} generate-host-certificates=on dynamic_cert_mem_cache_size=16MB
sslcrtd_program ${helper ?? ''} -s ${ground.dir}/leaves -M 64MB
tls_outgoing_options cafile=${rootFile}
${steps}
workers 1
acl bench_ports port ${originPort}
acl denied dstdomain "${ground.denied.file}"
http_access deny denied
http_access allow bench_ports
http_access deny all
cache deny all
access_log none
cache_log ${ground.dir}/cache.log
cache_store_log none
pid_filename none
coredump_dir ${ground.dir}
hosts_file ${hostsFile}
visible_hostname proxy.bench.test
pinger_enable off
max_filedescriptors 20000
shutdown_lifetime 0 seconds
`
}

/** The helper keeps its leaves in a database that has to be there. */
function makeLeafStore(dir: string): void {
  const path = join(dir, 'leaves')
  rmSync(path, { recursive: true, force: true })
  const run = spawnSync(helper ?? '', ['-c', '-s', path, '-M', '64MB'], { encoding: 'utf8', ...(weAreRoot ? { uid: nobody, gid: nobody } : {}) })
  if (run.status !== 0) throw new Error(`security_file_certgen made no database: ${run.stderr.trim()}`)
}

function bumping(name: string, note: string, steps: string): Peer {
  return {
    name,
    note,
    does: ['intercept'],
    version: () => (helper === undefined ? undefined : versionOf('squid', ['-v'], /Version ([\d.]+)/)),
    async start(ground: Ground): Promise<Running> {
      ownFolder(ground.dir)
      makeLeafStore(ground.dir)
      const authority = await authorityFiles(ownFolder(ground.dir, 'ca'), 'squid bench root')
      const port = await freePort()
      const file = writeConfig(ground.dir, 'squid.conf', config(ground, port, authority, steps))
      const child = launch('squid', ['-N', '-f', file], { core: proxyCore, log: `${ground.dir}/log`, unprivileged: true, cwd: ground.dir })
      await ready(child, port, interceptProbe(ground))
      return onePort(child, port, ground.host)
    },
  }
}

export const squidSslBump: Peer = bumping(
  'squid ssl-bump', 'no cache, no access log; an ECDSA root; reads the origin\'s certificate first, as is usual', 'ssl_bump stare all\nssl_bump bump all',
)
export const squidSslBumpEarly: Peer = bumping(
  'squid ssl-bump (by name)', 'the same; makes certificates from the CONNECT alone', 'ssl_bump bump all',
)
