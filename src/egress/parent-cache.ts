// A parent HTTP cache as it is asked: a GET for an absolute URL with `only-if-cached` (RFC 9111 section 5.2.1.7), on
// connections of its own. What it answers is for the caller to judge. Must never send anything of an agent's but the URL
// and the fields it is handed, nor hand out an answer that broke off as if it were whole.
import { randomBytes } from 'node:crypto'
import { Pool, type buildConnector } from 'undici'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import { formatAuthority } from '../target/authority.ts'
import { valuesOf } from '../target/field-list.ts'
import { parentOf, reachParent, type Parent } from './parent-proxy.ts'
import type { Resolver } from './resolver.ts'

export interface ParentCacheSettings {
  readonly url: string
  /** `ms`, until an answer begins, and for a silence within one */
  readonly timeoutMs: number
  readonly username?: string
  readonly password?: string
  /** PEM; trusted instead of the default store */
  readonly caFile?: string
}

export interface ParentCacheDeps {
  readonly resolver: Resolver
  readonly clock: Clock
  readonly deadlines: Deadlines
}

export interface ParentAnswer {
  readonly status: number
  readonly reason: string
  /** flat name, value, name, value */
  readonly fields: readonly string[]
  /** as it comes, codings included; throws where it breaks off or falls silent */
  readonly content: AsyncIterable<Uint8Array>
  /** the rest is not wanted; whoever reads it hears of that */
  discard(): void
}

export interface ParentCache {
  /** `host:port`, for people */
  readonly text: string
  /** `url`: absolute, one that `canAskFor`. `fields`: further ones, flat. Throws ProxyError parent_unreachable, also when it answers too late. */
  ask(url: string, fields: readonly string[]): Promise<ParentAnswer>
  close(): void
}

const maxConnections = 32
const keepAliveMs = 30_000
const maxResponseHeaderBytes = 64 * 1024
// a short rest is read, so that its connection can serve on
const maxRestBytes = 64 * 1024
const maxTries = 2
const targetForm = /^https?:\/\/(?<authority>[\x21-\x22\x24-\x2e\x30-\x3e\x41-\x7e]+)\/[\x21-\x22\x24-\x7e]*$/

/** Whether a request can carry it. */
export function canAskFor(url: string): boolean {
  return targetForm.test(url)
}

/** Throws ProxyError parent_unreachable when the settings cannot be used; reads `caFile` once. */
export function openParentCache(settings: ParentCacheSettings, deps: ParentCacheDeps): ParentCache {
  return new PooledParentCache(parentOf(settings), settings.timeoutMs, deps)
}

class PooledParentCache implements ParentCache {
  readonly text: string
  readonly #parent: Parent
  readonly #timeoutMs: number
  readonly #deps: ParentCacheDeps
  readonly #pool: Pool

  constructor(parent: Parent, timeoutMs: number, deps: ParentCacheDeps) {
    this.text = formatAuthority(parent.authority)
    this.#parent = parent
    this.#timeoutMs = timeoutMs
    this.#deps = deps
    // undici wants a name; Host comes with every request, and the dial is ours
    this.#pool = new Pool('http://parent.invalid', {
      connect: (_options, callback) => void this.#connect(callback),
      connections: maxConnections,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      maxHeaderSize: maxResponseHeaderBytes,
      headersTimeout: 0,
      bodyTimeout: timeoutMs,
      allowH2: false,
    })
  }

  async ask(url: string, fields: readonly string[]): Promise<ParentAnswer> {
    const authority = targetForm.exec(url)?.groups?.['authority']
    if (authority === undefined) throw this.#unreachable('it cannot be asked for this URL', undefined)
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), this.#timeoutMs)
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#askOnce(url, authority, fields, late.signal)
        } catch (error) {
          // a kept connection may have been closed just then; asking twice changes nothing
          const mayTryAgain = isClosedSocket(error) && attempt < maxTries && !late.signal.aborted
          if (!mayTryAgain) throw late.signal.aborted ? this.#unreachable(`no answer in ${this.#timeoutMs} ms`, error) : error
        }
      }
    } catch (error) {
      throw error instanceof ProxyError ? error : this.#unreachable(error instanceof Error ? error.message : String(error), error)
    } finally {
      clearTimeout(timer)
    }
  }

  async #askOnce(url: string, authority: string, fields: readonly string[], signal: AbortSignal): Promise<ParentAnswer> {
    const { credentials } = this.#parent
    const headers = ['Host', authority, ...fields, ...(credentials === undefined ? [] : ['Proxy-Authorization', `Basic ${credentials}`])]
    const { statusCode, statusText, headers: raw, body } = await this.#pool.request({ method: 'GET', path: url, headers, signal, responseHeaders: 'raw' })
    // whoever reads the content hears of it; nobody may
    body.on('error', () => {})
    const flat: unknown = raw
    if (!Array.isArray(flat)) throw this.#unreachable('its fields cannot be read', undefined)
    return {
      status: statusCode,
      reason: statusText,
      fields: flat.map(String),
      content: body,
      discard: () => {
        if (body.bodyUsed) body.destroy()
        else body.dump({ limit: maxRestBytes }).catch(() => body.destroy())
      },
    }
  }

  async #connect(callback: buildConnector.Callback): Promise<void> {
    try {
      const socket = await reachParent(this.#parent, this.#deps.resolver, { ...this.#deps, connectTimeoutMs: this.#timeoutMs })
      callback(null, socket)
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), null)
    }
  }

  close(): void {
    // undici's promise settles when the sockets are closed and never rejects
    void this.#pool.destroy()
  }

  #unreachable(detail: string, cause: unknown): ProxyError {
    return new ProxyError('parent_unreachable', `${this.text}: ${detail}`, { cause })
  }
}

function isClosedSocket(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

/** What the test of a parent comes to: a sentence that says why it is not asked, for each scheme; undefined: it is. */
export interface ParentTrial {
  readonly http: string | undefined
  readonly https: string | undefined
}

/**
 * Asks for pages that nobody has, whose names cannot exist (RFC 6761 section 6.4): a cache that keeps to `only-if-cached`
 * answers 504 at once, and one that would fetch gives itself away, as does a proxy that is no cache. Throws ProxyError
 * parent_unreachable.
 */
export async function tryParentCache(parent: ParentCache): Promise<ParentTrial> {
  const [http, https] = await Promise.all(['http', 'https'].map(async (scheme) => faultOf(scheme, await probe(parent, scheme))))
  return { http, https }
}

interface Probed {
  readonly status: number
  readonly squidError: string | undefined
}

async function probe(parent: ParentCache, scheme: string): Promise<Probed> {
  const answer = await parent.ask(`${scheme}://sallyport-${randomBytes(12).toString('hex')}.invalid/`, onlyIfCached)
  answer.discard()
  const [squidError] = valuesOf(answer.fields, 'x-squid-error')
  return { status: answer.status, squidError }
}

function faultOf(scheme: string, { status, squidError }: Probed): string | undefined {
  if (status === 504 && squidError?.startsWith('ERR_ONLY_IF_CACHED_MISS') !== false) return undefined
  const said = squidError === undefined ? String(status) : `${status} (${squidError})`
  return `it answered ${said} where a cache that keeps to only-if-cached says 504, for an ${scheme} page that nobody has`
}

/** The fields of every question. */
export const onlyIfCached: readonly string[] = ['Cache-Control', 'only-if-cached']
