// mockttp: a proxy for tests, in Node. Too large to be a development dependency for one row of a table: npm
// puts it into a cache folder the first time it is measured, and where npm cannot, it is left out by name.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch, freePort, proxyCore, ready } from '../launch.ts'
import { authorityFiles, interceptOf, interceptProbe, onePort, ownFolder } from './peer.ts'
import type { Ground, Peer, Running } from './peer.ts'

const version = '4.6.5'
const folder = join(import.meta.dirname, `../../node_modules/.cache/bench/mockttp-${version}`)

function install(): void {
  if (existsSync(join(folder, 'node_modules/mockttp/package.json'))) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  try {
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `mockttp@${version}`], { cwd: folder, stdio: 'pipe', timeout: 300_000 })
  } catch (error) {
    throw new Error(`npm could not install mockttp@${version} into its cache folder`, { cause: error })
  }
}

export const mockttp: Peer = {
  name: 'mockttp',
  note: 'Node; an ECDSA root, records nothing; told that every name is 127.0.0.1',
  does: ['intercept', 'interceptH2'],
  warmsSlowly: true,
  version: () => version,
  async start(ground: Ground): Promise<Running> {
    install()
    ownFolder(ground.dir)
    const { rootFile } = interceptOf(ground)
    const authority = await authorityFiles(ownFolder(ground.dir, 'ca'), 'mockttp bench root')
    const port = await freePort()
    const args = [join(import.meta.dirname, 'mockttp-server.ts'), String(port), folder, authority.cert, authority.key, rootFile]
    const child = launch(process.execPath, args, { core: proxyCore, log: `${ground.dir}/log`, cwd: ground.dir, env: { NODE_ENV: 'production' } })
    await ready(child, port, interceptProbe(ground))
    return onePort(child, port, ground.host)
  },
}
