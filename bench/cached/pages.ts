// What the caches of W8 hold: three pages of one origin, which counts how often it is asked. Each peer is filled the way
// its operators would: a proxy that caches what passes by one request, sallyport by its own command.
import { spawn } from 'node:child_process'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CachedGround, Running } from '../peers/peer.ts'

const sizes: Readonly<Record<string, number>> = { '/1k': 1024, '/100k': 100 * 1024, '/10m': 10 * 2 ** 20 }
export const pagePaths: readonly string[] = Object.keys(sizes)

const maxTurns = 50

export interface Pages {
  readonly port: number
  readonly asked: () => number
  stop(): Promise<void>
}

export async function startPages(): Promise<Pages> {
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    const size = sizes[request.url ?? '']
    if (size === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': size, 'Cache-Control': 'public, max-age=86400', ETag: `"${size}"` }).end(Buffer.alloc(size, 'x'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { port, asked: () => asked, stop: () => new Promise((resolve) => server.close(() => resolve())) }
}

/** Puts the pages into a peer's cache. Throws when it does not answer one of them twice. */
export async function fillCache(running: Running, peer: string, { port, paths }: CachedGround): Promise<void> {
  const urls = paths.map((path) => `http://${running.host}:${port}${path}`)
  if (peer === 'sallyport') await ownCommand(running, urls)
  for (const url of [...urls, ...urls]) {
    let status = await ask(running.port('http'), url)
    // some listen before they know their hosts file
    for (let turn = 0; status >= 500 && turn < maxTurns; turn++) {
      await sleep(200)
      status = await ask(running.port('http'), url)
    }
    if (status !== 200) throw new Error(`${url} is answered with ${status}`)
  }
}

function ask(port: number, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: url, headers: { Host: new URL(url).host, Accept: '*/*' } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0)).on('error', reject)
    }).on('error', reject)
  })
}

function ownCommand({ dataDir }: Running, urls: readonly string[]): Promise<void> {
  if (dataDir === undefined) throw new Error('it has no data folder')
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../bin/sallyport.js'), 'cache', 'add', ...urls, '--data', dataDir], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`the pages were not put into the cache: ${said}`))))
  })
}
