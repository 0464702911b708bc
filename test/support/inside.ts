// A client inside TLS that ends at the proxy: CONNECT, a handshake that trusts the proxy's root, and then
// exactly the bytes that a test says.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import type { TestProxy } from './proxy.ts'
import { openTunnel } from './raw-client.ts'
import type { Scope } from './scope.ts'
import { WireClient } from './wire-client.ts'

export interface InsideOptions {
  /** undefined: the host of the authority; '' sends none */
  readonly servername?: string
  /** default http/1.1 */
  readonly protocols?: readonly string[]
  /** value of Proxy-Authorization */
  readonly credentials?: string
}

/** The proxy's root, once it was made. */
export function rootOf(proxy: Pick<TestProxy, 'dir'>): string {
  return readFileSync(join(proxy.dir, 'certs', 'root.pem'), 'latin1')
}

/** what a TLS connection inside a tunnel runs over */
const carriers = new WeakMap<tls.TLSSocket, Socket>()

export function carrierOf(secured: tls.TLSSocket): Socket {
  return carriers.get(secured) ?? secured
}

/** A TLS connection to the proxy under the name of `authority`. Rejects when the handshake fails. */
export async function secureTunnel(t: Scope, proxy: Pick<TestProxy, 'dir' | 'port'>, authority: string, options: InsideOptions = {}): Promise<tls.TLSSocket> {
  const { socket, head } = await openTunnel(proxy.port, authority, options.credentials)
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head)
  const host = authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  const servername = options.servername ?? (isIP(host) === 0 ? host : '')
  const secured = tls.connect({
    socket, ca: rootOf(proxy), ALPNProtocols: [...(options.protocols ?? ['http/1.1'])],
    ...(servername === '' ? {} : { servername }),
    checkServerIdentity: (_name, certificate) => tls.checkServerIdentity(host, certificate),
  })
  carriers.set(secured, socket)
  t.teardown(() => socket.destroy())
  secured.on('error', () => secured.destroy())
  await Promise.race([once(secured, 'secureConnect'), once(secured, 'close').then(() => Promise.reject(new Error('closed within the handshake')))])
  return secured
}

/** HTTP/1.1 inside. */
export async function openInside(t: Scope, proxy: Pick<TestProxy, 'dir' | 'port'>, authority: string, options: InsideOptions = {}): Promise<WireClient> {
  const secured = await secureTunnel(t, proxy, authority, options)
  return WireClient.over(secured, carrierOf(secured))
}

export function insideRequest(host: string, path: string, { method = 'GET', fields = '', body = '' } = {}): string {
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}${length}\r\n${body}`
}
