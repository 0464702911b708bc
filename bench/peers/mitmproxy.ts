// mitmproxy: mitmdump without output, its own root, names from an add-on of four lines.
import { join } from 'node:path'
import { launch, freePort, proxyCore, ready } from '../launch.ts'
import { interceptOf, interceptProbe, onePort, ownFolder, versionOf, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

// it asks the system for names and knows no hosts file of its own
const names = `import socket
resolve = socket.getaddrinfo
def loopback(host, *rest, **named):
    return resolve('127.0.0.1' if str(host).endswith('.test') else host, *rest, **named)
socket.getaddrinfo = loopback
`

export const mitmproxy: Peer = {
  name: 'mitmproxy',
  note: 'Python; mitmdump, quiet; told that every name is 127.0.0.1',
  // HTTP/2 only where the origin speaks it too, and this one does not
  does: ['intercept'],
  version: () => versionOf('mitmdump', ['--version'], /Mitmproxy: ([\d.]+)/),
  async start(ground: Ground): Promise<Running> {
    ownFolder(ground.dir)
    const port = await freePort()
    const settings = { confdir: join(ground.dir, 'ca'), ssl_verify_upstream_trusted_ca: interceptOf(ground).rootFile, flow_detail: '0', termlog_verbosity: 'error' }
    const args = ['-q', '--listen-host', '127.0.0.1', '-p', String(port), '-s', writeConfig(ground.dir, 'names.py', names)]
    for (const [name, value] of Object.entries(settings)) args.push('--set', `${name}=${value}`)
    const child = launch('mitmdump', args, { core: proxyCore, log: `${ground.dir}/log`, cwd: ground.dir, env: { HOME: ground.dir } })
    await ready(child, port, interceptProbe(ground))
    return onePort(child, port, ground.host)
  },
}
