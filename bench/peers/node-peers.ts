// The two proxies for Node that others build on, each in a process of its own, asked for 127.0.0.1.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { launch, freePort, proxyCore, ready } from '../launch.ts'
import { interceptProbe, onePort, ownFolder, probe } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

function installedVersion(name: string): string | undefined {
  let entry: string
  try {
    entry = createRequire(import.meta.url).resolve(name)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
  const folder = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`))
  const text = readFileSync(`${folder}node_modules/${name}/package.json`, 'utf8')
  return /"version":\s*"([^"]+)"/.exec(text)?.[1] ?? 'unknown version'
}

function nodePeer(name: string, note: string, inside: Peer['does'] = []): Peer {
  return {
    name,
    note,
    warmsSlowly: true,
    does: ['tunnel', 'bulk', 'get', 'refuse', 'idle', ...inside],
    version: () => installedVersion(name),
    async start(ground: Ground): Promise<Running> {
      ownFolder(ground.dir)
      const port = await freePort()
      const script = join(import.meta.dirname, `${name}-server.ts`)
      const { intercept } = ground
      const args = [script, String(port), ground.denied.file, ground.dir, ...(intercept === undefined ? [] : ['intercept'])]
      const env = { NODE_ENV: 'production', ...(intercept === undefined ? {} : { NODE_EXTRA_CA_CERTS: intercept.rootFile }) }
      const child = launch(process.execPath, args, { core: proxyCore, log: `${ground.dir}/log`, cwd: ground.dir, env })
      await ready(child, port, intercept === undefined ? probe(ground) : interceptProbe(ground))
      if (intercept !== undefined) return onePort(child, port, ground.host)
      return onePort(child, port, '127.0.0.1')
    },
  }
}

export const proxyChain: Peer = nodePeer('proxy-chain', 'Node; the set of denied names is the benchmark\'s')
export const httpMitmProxy: Peer = nodePeer(
  'http-mitm-proxy', 'Node; tuned: keep-alive agent, tunnels opened in its CONNECT hook; a bound', ['intercept'],
)
