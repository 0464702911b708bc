// How much memory a proxy of its own process takes while large bodies go through TLS that ends in it.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { residentBytes } from '../../bench/proc.ts'
import { testCertificates } from './certificates.ts'
import { startChildProxy } from './child-proxy.ts'
import { tlsOrigin } from './origins.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'
import { streamClient, versions, type Version } from './stream-client.ts'

export interface MemoryFigure {
  readonly version: Version
  readonly way: 'up' | 'down'
  readonly bytes: number
  readonly arrived: number
  /** resident bytes before, after a smaller body that warmed it up, and the most that were seen */
  readonly before: number
  readonly peak: number
  readonly ms: number
}

const sampleMs = 20
const piece = Buffer.alloc(64 * 1024, 'sallyport')

/** Sends `bytes` up and down in each version that clients speak, after `warmUp` bytes of each. */
export async function streamMemory(scope: Scope, bytes: number, warmUp: number): Promise<readonly MemoryFigure[]> {
  const certificates = await testCertificates()
  const { port } = await tlsOrigin(scope, ['127.0.0.1'], certificates, (request, response) => {
    let arrived = 0
    request.on('data', (chunk: Buffer) => (arrived += chunk.length))
    request.on('end', () => {
      if (request.method === 'PUT') response.end(String(arrived))
      else void pour(response, Number(request.url?.slice(1)))
    })
  })
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-memory-'))
  scope.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  const roots = join(dir, 'roots.pem')
  writeFileSync(roots, certificates.ca)
  const authority = `127.0.0.1:${port}`
  const policy = `[network]\nunknown = "deny"\n[[network.rules]]\nid = "large"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\norigin_ca = ["${roots}"]\nmethods = ["GET", "PUT"]\nverdict = "allow"\n`
  const proxy = await startChildProxy(scope, { dir, policy, flags: ['--certs', join(dir, 'certs')] })
  const first = await openTunnel(proxy.port, authority)
  first.socket.destroy()
  const pid = proxy.child.pid ?? 0
  const figures: MemoryFigure[] = []
  for (const version of versions) {
    const ask = await streamClient(scope, { dir, port: proxy.port }, authority, version)
    for (const way of ['down', 'up'] as const) {
      const transfer = async (total: number): Promise<number> => {
        const { answer, body } = ask(way === 'down' ? { path: `/${total}` } : { path: '/', method: 'PUT' })
        if (way === 'up') await pour(body, total)
        const { body: given } = await answer
        let arrived = 0
        let text = ''
        given.on('data', (chunk: Buffer) => {
          arrived += chunk.length
          if (way === 'up') text += String(chunk)
        })
        await once(given, 'end')
        return way === 'up' ? Number(text) : arrived
      }
      await transfer(warmUp)
      const before = residentBytes(pid)
      let peak = before
      const sampling = setInterval(() => (peak = Math.max(peak, residentBytes(pid))), sampleMs)
      const started = performance.now()
      const arrived = await transfer(bytes)
      clearInterval(sampling)
      figures.push({ version, way, bytes, arrived, before, peak: Math.max(peak, residentBytes(pid)), ms: Math.round(performance.now() - started) })
    }
  }
  return figures
}

async function pour(stream: NodeJS.WritableStream, total: number): Promise<void> {
  for (let left = total; left > 0; left -= piece.length) {
    if (!stream.write(piece.subarray(0, Math.min(left, piece.length)))) await once(stream, 'drain')
  }
  stream.end()
}
