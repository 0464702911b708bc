// The process of the http-mitm-proxy peer: `node http-mitm-proxy-server.ts PORT DENIED-FILE SSL-DIR [intercept]`.
// Without the last, tunnels are opened in its own CONNECT hook; plain requests, and those inside TLS, go
// through its forwarder with keep-alive agents: faster than it comes, so a bound on it. Ends with its standard
// input.
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import { connect } from 'node:net'
import type { LookupFunction } from 'node:net'
import { Proxy } from 'http-mitm-proxy'

const [port = '0', deniedFile = '', sslCaDir = '', intercept] = process.argv.slice(2)
const denied = new Set(readFileSync(deniedFile, 'utf8').split('\n').filter((name) => name !== ''))

// it asks the system for names and knows no hosts file of its own
const loopback: LookupFunction = (_name, { all }, callback) => (all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4))

const proxy = new Proxy()
proxy.onError((_context, error) => process.stderr.write(`${error?.message ?? 'an error'}\n`))
proxy.onConnect((request, socket, head, callback) => {
  const authority = request.url ?? ''
  const colon = authority.lastIndexOf(':')
  const name = authority.slice(0, colon)
  if (denied.has(name)) {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    return
  }
  if (intercept !== undefined) {
    callback()
    return
  }
  const upstream = connect({ host: name, port: Number(authority.slice(colon + 1)) }, () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    if (head.length > 0) upstream.write(head)
    upstream.pipe(socket)
    socket.pipe(upstream)
  })
  upstream.on('error', () => socket.destroy())
  socket.on('error', () => upstream.destroy())
  socket.on('close', () => upstream.destroy())
})
proxy.listen({
  host: '127.0.0.1',
  port: Number(port),
  sslCaDir,
  keepAlive: true,
  httpAgent: new Agent({ keepAlive: true, maxSockets: 256 }),
  httpsAgent: new TlsAgent({ keepAlive: true, maxSockets: 256, lookup: loopback }),
})
process.stdin.resume().once('end', () => process.exit(0))
