// Which version of HTTP is offered to which origin. HTTP/1.1 first, which costs less; HTTP/2 where the client
// needs what only it has, and to origins that have shown to speak nothing else, which are remembered.
import { LRUCache } from 'lru-cache'
import type { Alpn } from './origin-tls.ts'

const http1: Alpn = ['http/1.1']
const http2: Alpn = ['h2']
const either: Alpn = ['h2', 'http/1.1']
const maxRemembered = 4_096

export class OriginProtocols {
  readonly #onlyHttp2 = new LRUCache<string, true>({ max: maxRemembered })

  offer(host: string, port: number, prefersHttp2: boolean): Alpn {
    if (this.#onlyHttp2.get(`${host}:${port}`) === true) return http2
    return prefersHttp2 ? either : http1
  }

  /** After the origin had none of `offered`: whether the next offer is another one. */
  disagreed(host: string, port: number, offered: Alpn): boolean {
    if (offered === http1) this.#onlyHttp2.set(`${host}:${port}`, true)
    else if (offered === http2) this.#onlyHttp2.delete(`${host}:${port}`)
    else return false
    return true
  }
}

/** Of a request in HTTP/2: gRPC, and whoever asks for trailers, which HTTP/1.1 would take from them. */
export function needsHttp2(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 12 && name.toLowerCase() === 'content-type') {
      if (/^application\/grpc/i.test(rawHeaders[i + 1] ?? '')) return true
    }
  }
  return takesTrailers(rawHeaders)
}

/** RFC 9110 section 10.1.4. */
export function takesTrailers(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 2 && name.toLowerCase() === 'te' && /(?:^|,)\s*trailers\s*(?:,|$)/i.test(rawHeaders[i + 1] ?? '')) return true
  }
  return false
}
