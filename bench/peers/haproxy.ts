// haproxy: no forward proxy, so a bound and not a peer. Each of its ports goes to one listener of the
// origin, by TCP without CONNECT, or by HTTP for plain requests; once as it comes and once with splicing.
import { launch, freePort, proxyCore, ready, stop } from '../launch.ts'
import { ownFolder, versionOf, writeConfig } from './peer.ts'
import type { Ground, OriginKind, Peer, Running } from './peer.ts'

const kinds: readonly OriginKind[] = ['hello', 'download', 'upload', 'http']

function config(ground: Ground, ports: ReadonlyMap<OriginKind, number>, spliced: boolean): string {
  const listeners = kinds.map((kind) => `listen ${kind}
  mode ${kind === 'http' ? 'http' : 'tcp'}
  bind 127.0.0.1:${ports.get(kind)}
  server origin 127.0.0.1:${ground.origin[kind]}
`)
  return `global
  maxconn ${spliced ? 500 : 9000}
  nbthread 1
  log /dev/null local0 emerg
defaults
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  http-reuse always
${spliced ? '  option splice-request\n  option splice-response\n' : ''}${listeners.join('')}`
}

function haproxyPeer(name: string, note: string, does: Peer['does'], spliced: boolean): Peer {
  return {
    name,
    note,
    does,
    version: () => versionOf('haproxy', ['-v'], /version ([\d.]+)/),
    async start(ground: Ground): Promise<Running> {
      ownFolder(ground.dir)
      const ports = new Map<OriginKind, number>()
      for (const kind of kinds) ports.set(kind, await freePort())
      const file = writeConfig(ground.dir, 'haproxy.cfg', config(ground, ports, spliced))
      const child = launch('haproxy', ['-db', '-f', file], { core: proxyCore, log: `${ground.dir}/log`, unprivileged: true, cwd: ground.dir })
      for (const port of ports.values()) await ready(child, port)
      return { pid: child.pid ?? 0, port: (kind) => ports.get(kind) ?? 0, host: '127.0.0.1', forward: false, stop: () => stop(child) }
    },
  }
}

export const haproxy: Peer = haproxyPeer(
  'haproxy', 'no forward proxy: TCP or reverse to the origin, without CONNECT; a bound', ['tunnel', 'bulk', 'get', 'idle'], false,
)
export const haproxySpliced: Peer = haproxyPeer(
  'haproxy spliced', 'the same with splice(2)', ['bulk'], true,
)
