// squid: one worker, no access log, no cache but for the workload that is about it, names from our hosts file, denied names as a dstdomain file.
import { launch, freePort, proxyCore, ready } from '../launch.ts'
import { onePort, ownFolder, probe, versionOf, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

function config(ground: Ground, port: number): string {
  const ports = [...Object.values(ground.origin), ...(ground.cached === undefined ? [] : [ground.cached.port])].join(' ')
  return `http_port 127.0.0.1:${port}
workers 1
acl bench_ports port ${ports}
acl denied dstdomain "${ground.denied.file}"
http_access deny denied
http_access allow bench_ports
http_access deny all
${ground.cached === undefined ? 'cache deny all' : 'cache_mem 256 MB\nmaximum_object_size_in_memory 16 MB\nmaximum_object_size 64 MB'}
access_log none
cache_log ${ground.dir}/cache.log
cache_store_log none
pid_filename none
coredump_dir ${ground.dir}
hosts_file ${ground.hostsFile}
visible_hostname proxy.bench.test
pinger_enable off
max_filedescriptors 20000
shutdown_lifetime 0 seconds
`
}

export const squid: Peer = {
  name: 'squid',
  note: 'one worker, no access log; a cache in memory for W8 alone',
  does: ['tunnel', 'bulk', 'get', 'refuse', 'refuseMany', 'idle', 'cached'],
  version: () => versionOf('squid', ['-v'], /Version ([\d.]+)/),
  async start(ground: Ground): Promise<Running> {
    ownFolder(ground.dir)
    const port = await freePort()
    const file = writeConfig(ground.dir, 'squid.conf', config(ground, port))
    const child = launch('squid', ['-N', '-f', file], { core: proxyCore, log: `${ground.dir}/log`, unprivileged: true, cwd: ground.dir })
    await ready(child, port, probe(ground))
    return onePort(child, port, ground.host)
  },
}
