// Who runs beside sallyport, in the order of the tables.
import type { Options } from '../options.ts'
import { haproxy, haproxySpliced } from './haproxy.ts'
import { mitmproxy } from './mitmproxy.ts'
import { mockttp } from './mockttp.ts'
import { httpMitmProxy, proxyChain } from './node-peers.ts'
import type { Peer } from './peer.ts'
import { ownDir, sallyport } from './sallyport.ts'
import { squid } from './squid.ts'
import { squidSslBump, squidSslBumpEarly } from './squid-ssl-bump.ts'
import { tinyproxy } from './tinyproxy.ts'
import { trafficserver } from './trafficserver.ts'

/** The origin with nothing before it: what the load generator can do at most. */
export const direct: Peer = {
  name: 'direct',
  note: 'no proxy: what the load generator can do at most',
  does: ['tunnel', 'bulk', 'get', 'intercept'],
  version: () => '',
  start: async (ground) => ({ pid: 0, port: (kind) => ground.intercept?.port ?? ground.origin[kind], host: '127.0.0.1', forward: false, stop: async () => {} }),
}

export function allPeers({ profileDir, nodeOptions, besideDir }: Pick<Options, 'profileDir' | 'nodeOptions' | 'besideDir'>): readonly Peer[] {
  const profiled = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]
  const own = { form: 'feed', nodeOptions: [], dir: ownDir } as const
  return [
    sallyport({ ...own, name: 'sallyport', nodeOptions: profiled }),
    sallyport({ ...own, name: 'sallyport (TOML array)', form: 'array' }),
    ...(nodeOptions.length === 0 ? [] : [sallyport({ ...own, name: `sallyport (${nodeOptions.join(' ')})`, nodeOptions })]),
    ...(besideDir === undefined ? [] : [sallyport({ ...own, name: 'sallyport (beside)', dir: besideDir })]),
    squid, trafficserver, tinyproxy, haproxy, haproxySpliced, proxyChain, httpMitmProxy,
    squidSslBump, squidSslBumpEarly, mockttp, mitmproxy, direct,
  ]
}
