// A small npm registry: metadata, tarballs and the audit endpoint, for packages made on the spot.
import { createHash } from 'node:crypto'
import type http from 'node:http'
import { tarball } from './archives.ts'

export interface TestPackage {
  /** with its scope, as in package.json */
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

/** Answers as a registry that holds `packages`. Scoped metadata is asked for as `/@scope%2fname`. */
export function npmRegistry(packages: readonly TestPackage[]): http.RequestListener {
  const held = new Map(packages.map((entry) => [entry.name, { ...entry, archive: archiveOf(entry) }]))
  return (request, response) => {
    const path = decodeURIComponent((request.url ?? '/').slice(1).replace(/\?.*$/, ''))
    const sendJson = (status: number, body: object): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    }
    request.resume()
    if (request.method === 'POST') return sendJson(200, {})
    const [name = '', file] = path.split('/-/')
    const found = held.get(name)
    if (found === undefined) return sendJson(404, { error: 'not found' })
    if (file !== undefined) {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(found.archive)
      return
    }
    const base = `${'encrypted' in request.socket ? 'https' : 'http'}://${request.headers.host}`
    sendJson(200, metadata(found, base))
  }
}

function archiveOf({ name, version, dependencies }: TestPackage): Buffer {
  return tarball({
    'package/package.json': JSON.stringify({ name, version, dependencies, main: 'index.js' }),
    'package/index.js': `module.exports = ${JSON.stringify(`${name}@${version}`)}\n`,
  })
}

function metadata({ name, version, dependencies, archive }: TestPackage & { readonly archive: Buffer }, base: string): object {
  const dist = {
    tarball: `${base}/${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`,
    integrity: `sha512-${createHash('sha512').update(archive).digest('base64')}`,
    shasum: createHash('sha1').update(archive).digest('hex'),
  }
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { name, version, dependencies, dist } } }
}
