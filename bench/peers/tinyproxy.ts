// tinyproxy: a thread a connection, no log below critical, denied names as a filter file of expressions.
// It resolves by the system alone, so it is asked for 127.0.0.1.
import { writeFileSync } from 'node:fs'
import { launch, freePort, proxyCore, ready } from '../launch.ts'
import { onePort, ownFolder, probe, versionOf, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

function config(ground: Ground, port: number): string {
  const connectPorts = [443, ...Object.values(ground.origin)].map((value) => `ConnectPort ${value}`).join('\n')
  return `Port ${port}
Listen 127.0.0.1
Timeout 600
MaxClients 9000
Allow 127.0.0.1
LogLevel Critical
LogFile "${ground.dir}/tinyproxy.log"
Filter "${ground.dir}/filter"
FilterURLs Off
FilterExtended On
FilterDefaultDeny No
${connectPorts}
`
}

export const tinyproxy: Peer = {
  name: 'tinyproxy',
  note: 'a thread a connection, no log; asked for 127.0.0.1',
  does: ['tunnel', 'bulk', 'get', 'refuse', 'refuseMany', 'idle'],
  version: () => versionOf('tinyproxy', ['-v'], /tinyproxy ([\d.]+)/),
  async start(ground: Ground): Promise<Running> {
    ownFolder(ground.dir)
    const port = await freePort()
    writeFileSync(`${ground.dir}/filter`, ground.denied.names.map((name) => `^${name.replaceAll('.', '\\.')}$\n`).join(''))
    const file = writeConfig(ground.dir, 'tinyproxy.conf', config(ground, port))
    const child = launch('tinyproxy', ['-d', '-c', file], { core: proxyCore, log: `${ground.dir}/log`, unprivileged: true, cwd: ground.dir })
    await ready(child, port, probe(ground))
    return onePort(child, port, '127.0.0.1')
  },
}
