// Apache Traffic Server: forward proxy, no log, one event thread, no cache but for the workload that is about it, a root folder of its own.
import { launch, freePort, proxyCore, ready, weAreRoot } from '../launch.ts'
import { onePort, ownFolder, versionOf, writeConfig } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

function records(ground: Ground, port: number): string {
  const settings: readonly (readonly [string, 'INT' | 'STRING', string | number])[] = [
    ['proxy.config.http.server_ports', 'STRING', `${port}:ip-in=127.0.0.1`],
    ['proxy.config.http.connect_ports', 'STRING', `443 ${Object.values(ground.origin).join(' ')}`],
    ['proxy.config.reverse_proxy.enabled', 'INT', 0],
    ['proxy.config.url_remap.remap_required', 'INT', 0],
    ['proxy.config.url_remap.pristine_host_hdr', 'INT', 1],
    ['proxy.config.http.cache.http', 'INT', ground.cached === undefined ? 0 : 1],
    ['proxy.config.cache.ram_cache.size', 'INT', 256 * 2 ** 20],
    ['proxy.config.cache.ram_cache_cutoff', 'INT', 16 * 2 ** 20],
    ['proxy.config.log.logging_enabled', 'INT', 0],
    ['proxy.config.exec_thread.autoconfig', 'INT', 0],
    ['proxy.config.exec_thread.limit', 'INT', 1],
    ['proxy.config.accept_threads', 'INT', 0],
    ['proxy.config.task_threads', 'INT', 1],
    ['proxy.config.net.connections_throttle', 'INT', 18_000],
    ['proxy.config.net.max_connections_in', 'INT', 9000],
    ['proxy.config.hostdb.host_file.path', 'STRING', ground.hostsFile],
    ['proxy.config.hostdb.host_file.interval', 'INT', 86_400],
    ['proxy.config.dns.nameservers', 'STRING', '127.0.0.1'],
    ['proxy.config.dns.resolv_conf', 'STRING', 'NULL'],
    ['proxy.config.disable_configuration_modification', 'INT', 1],
    ['proxy.config.core_limit', 'INT', 0],
    ['proxy.config.crash_log_helper', 'STRING', 'NULL'],
    ['proxy.config.admin.user_id', 'STRING', weAreRoot ? '#65534' : '#-1'],
  ]
  return settings.map(([name, type, value]) => `CONFIG ${name} ${type} ${value}\n`).join('')
}

const ipAllow = `ip_allow:
  - apply: in
    ip_addrs: 127.0.0.1
    action: allow
    methods: ALL
`

export const trafficserver: Peer = {
  name: 'trafficserver',
  note: 'one event thread, no log; a cache with 256 MiB in memory for W8 alone',
  does: ['tunnel', 'bulk', 'get', 'idle', 'cached'],
  version: () => versionOf('traffic_server', ['-V'], /Traffic Server ([\d.]+)/),
  async start(ground: Ground): Promise<Running> {
    ownFolder(ground.dir)
    const port = await freePort()
    const folders = { sysconfdir: 'etc', localstatedir: 'var', runtimedir: 'run', logdir: 'log', cachedir: 'cache', datadir: 'share' }
    for (const folder of Object.values(folders)) ownFolder(ground.dir, folder)
    const runroot = [
      `prefix: ${ground.dir}`, `exec_prefix: ${ground.dir}`, 'bindir: /usr/bin', 'sbindir: /usr/sbin',
      ...Object.entries(folders).map(([key, folder]) => `${key}: ${ground.dir}/${folder}`),
      'includedir: /usr/include', 'libdir: /usr/lib', 'mandir: /usr/share', 'infodir: /usr/share', 'libexecdir: /usr/lib/trafficserver/modules',
    ]
    writeConfig(ground.dir, 'runroot.yaml', `${runroot.join('\n')}\n`)
    writeConfig(ground.dir, 'etc/records.config', records(ground, port))
    writeConfig(ground.dir, 'etc/ip_allow.yaml', ipAllow)
    writeConfig(ground.dir, 'etc/storage.config', ground.cached === undefined ? '' : `${ground.dir}/cache 256M\n`)
    for (const name of ['remap.config', 'plugin.config', 'hosting.config', 'parent.config', 'cache.config', 'volume.config', 'ssl_multicert.config', 'splitdns.config', 'socks.config', 'logging.yaml', 'sni.yaml', 'strategies.yaml']) {
      writeConfig(ground.dir, `etc/${name}`, '')
    }
    const child = launch('traffic_server', [`--run-root=${ground.dir}/runroot.yaml`], {
      core: proxyCore, log: `${ground.dir}/log.txt`, unprivileged: true, cwd: ground.dir,
    })
    await ready(child, port, `CONNECT ${ground.host}:1 HTTP/1.1\r\nHost: ${ground.host}:1\r\n\r\n`)
    return onePort(child, port, ground.host)
  },
}
