// A git server: git's own http-backend behind a request listener (CGI, RFC 3875), or, where this machine's
// git has none, the repository's files as they lie (the dumb protocol, which can be read only).
import { spawn } from 'node:child_process'
import { createReadStream, statSync } from 'node:fs'
import type http from 'node:http'
import { join } from 'node:path'

/** Serves the repositories in `folder`. Every caller may push. */
export function gitOrigin(folder: string, backend: string | undefined): http.RequestListener {
  return backend === undefined ? serveFiles(folder) : serveBackend(folder, backend)
}

function serveBackend(folder: string, backend: string): http.RequestListener {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://origin.test')
    const child = spawn(backend, [], {
      env: {
        PATH: process.env['PATH'] ?? '',
        GIT_PROJECT_ROOT: folder,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_NOSYSTEM: '1',
        REMOTE_USER: 'tester',
        REQUEST_METHOD: request.method ?? 'GET',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        // absent for a chunked body: then the backend reads until its input ends
        ...(request.headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: request.headers['content-length'] }),
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    child.stdin.on('error', () => request.unpipe(child.stdin))
    request.pipe(child.stdin)
    relayAnswer(child.stdout, response)
  }
}

/** A CGI answer is fields, an empty line and the body; `Status` is the status. */
function relayAnswer(output: NodeJS.ReadableStream, response: http.ServerResponse): void {
  let head: Buffer | undefined = Buffer.alloc(0)
  output.on('data', (chunk: Buffer) => {
    if (head === undefined) {
      response.write(chunk)
      return
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    const fields = head.toString('latin1', 0, end).split('\r\n').map((line) => line.split(/: */, 2))
    const status = fields.find(([name]) => name === 'Status')?.[1]
    response.statusCode = status === undefined ? 200 : Number.parseInt(status, 10)
    for (const [name = '', value = ''] of fields) if (name !== 'Status') response.setHeader(name, value)
    response.write(head.subarray(end + 4))
    head = undefined
  })
  output.on('end', () => response.end())
}

function serveFiles(folder: string): http.RequestListener {
  return (request, response) => {
    const file = join(folder, new URL(request.url ?? '/', 'http://origin.test').pathname)
    if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) response.writeHead(404).end()
    else createReadStream(file).pipe(response)
  }
}
