// http-mitm-proxy in a process of its own, with the policy that its pages suggest: hosts are judged in the
// CONNECT hook, methods and paths in the request hook. `node http-mitm-proxy-child.ts FOLDER RULES-AS-JSON`;
// says its port as a line of JSON and ends with its standard input.
import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import type { LookupFunction } from 'node:net'
import { Proxy } from 'http-mitm-proxy'

/** What the same rules are for the other proxy: hosts and everything below them, with the port; and the one request. */
export interface ChildRules {
  readonly hosts: readonly string[]
  readonly path: string
}

const [sslCaDir = '', rulesText = ''] = process.argv.slice(2)
const rules = JSON.parse(rulesText) as ChildRules
const said = console.log.bind(console)
// it tells every host it makes a certificate for
console.debug = () => undefined

function isAllowed(authority: string): boolean {
  return rules.hosts.some((host) => authority === host || authority.endsWith(`.${host}`))
}

const resolve: LookupFunction = (name, { all }, callback) => {
  const found = name === '::1' ? { address: '::1', family: 6 } : { address: '127.0.0.1', family: 4 }
  if (all === true) callback(null, [found])
  else callback(null, found.address, found.family)
}

const proxy = new Proxy()
proxy.onError((_context, error) => process.stderr.write(`${error?.message ?? 'an error'}\n`))
proxy.onConnect((request, _socket, _head, callback) => {
  const authority = request.url ?? ''
  callback(isAllowed(authority) ? undefined : new Error(`denied: ${authority}`))
})
proxy.onRequest((context, callback) => {
  const { method, url, headers } = context.clientToProxyRequest
  const isJudgedByConnect = (context as { connectRequest?: unknown }).connectRequest !== undefined
  if (method === 'GET' && url === rules.path && (isJudgedByConnect || isAllowed(headers.host ?? ''))) {
    callback()
    return
  }
  context.proxyToClientResponse.writeHead(403)
  context.proxyToClientResponse.end('denied\n')
})
const agents = { httpAgent: new Agent({ keepAlive: true, lookup: resolve }), httpsAgent: new TlsAgent({ keepAlive: true, lookup: resolve }) }
const options = { host: '127.0.0.1', port: 0, sslCaDir, keepAlive: true, ...agents }
proxy.listen(options, (error?: Error | null) => {
  if (error) throw error
  said(JSON.stringify({ port: proxy.httpPort }))
})
process.stdin.resume().once('end', () => process.exit(0))
