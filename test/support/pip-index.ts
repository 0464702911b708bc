// A small Python package index (the simple repository API) with one pure-Python wheel made on the spot.
import { createHash } from 'node:crypto'
import type http from 'node:http'
import { zip } from './archives.ts'

/** Answers as an index that holds `name` in `version`; `/simple/NAME/` and the wheel itself. */
export function pipIndex(name: string, version: string): http.RequestListener {
  const file = `${name}-${version}-py3-none-any.whl`
  const wheel = wheelOf(name, version)
  const digest = createHash('sha256').update(wheel).digest('hex')
  return (request, response) => {
    if (request.url === `/simple/${name}/`) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(`<!DOCTYPE html><html><body><a href="../../files/${file}#sha256=${digest}">${file}</a></body></html>`)
    } else if (request.url === `/files/${file}`) {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': wheel.length }).end(wheel)
    } else response.writeHead(404).end()
  }
}

function wheelOf(name: string, version: string): Buffer {
  const info = `${name}-${version}.dist-info`
  const files = {
    [`${name}.py`]: `version = "${version}"\n`,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  }
  const record = Object.entries(files).map(([path, text]) => `${path},sha256=${createHash('sha256').update(text).digest('base64url')},${Buffer.byteLength(text)}\n`)
  return zip({ ...files, [`${info}/RECORD`]: `${record.join('')}${info}/RECORD,,\n` })
}
