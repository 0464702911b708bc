// Kept-alive connections to origins, apart by session, host, port, vetted addresses, policy revision and how TLS
// is spoken: a connection never serves anybody it was not decided and vetted for. Must never dial by itself: it
// connects through the function that the exchange brings.
import { LRUCache } from 'lru-cache'
import { ProxyError } from '../errors.ts'
import { Http1Origin, type ConnectionParts } from './http1-origin.ts'
import { NegotiatedOrigin } from './negotiated-origin.ts'
import { NextTurn } from './next-turn.ts'
import type { Dial, OriginConnection } from './origin-connection.ts'
import type { TlsRequest } from './origin-tls.ts'
import { OriginWatch } from './origin-watch.ts'
import { ReadBuffers } from './read-buffers.ts'

/** What two exchanges must have in common to share a connection. */
export interface PoolKey {
  readonly session: string
  readonly host: string
  readonly port: number
  /** the vetted addresses as text, or a word for whoever resolves instead */
  readonly addresses: readonly string[]
  /** revision of the policy that decided */
  readonly revision: string
  /** https: what TLS is told, how far its certificate is trusted, and which credentials go on it, as one text; the forwarder's own */
  readonly tls?: string | undefined
}

export interface OriginPoolsOptions {
  /** `ms` that an unused connection is kept; default 4,000 */
  readonly keepAliveMs?: number
  /** pools at once, the least recently used is closed; default 1,024 */
  readonly maxPools?: number
  /** connections of one pool, further exchanges wait; default 256 */
  readonly connectionsPerPool?: number
  /** `ms` an exchange waits for a connection of a full pool before `origin_timeout`; default 30,000 */
  readonly waitTimeoutMs?: number
  /** `ms` of an origin's silence while an answer is owed */
  readonly originTimeoutMs: number
  /** bytes of an answer's field names and values; more is `origin_protocol_error` */
  readonly maxResponseHeaderBytes: number
  /** what connections read into; its own by default */
  readonly buffers?: ReadBuffers
}

type Settings = Required<Omit<OriginPoolsOptions, 'buffers'>>

/** Called once: with a connection, or with the reason why there is none. */
export type Taken = (connection: OriginConnection | undefined, error: ProxyError | undefined) => void

interface Waiter {
  readonly connect: Dial
  readonly taken: Taken
  readonly timer: NodeJS.Timeout
}

export class OriginPools {
  readonly #settings: Settings
  readonly #parts: ConnectionParts
  readonly #pools: LRUCache<string, OriginPool>
  #last: OriginPool | undefined

  constructor(options: OriginPoolsOptions) {
    this.#settings = { keepAliveMs: 4_000, maxPools: 1_024, connectionsPerPool: 256, waitTimeoutMs: 30_000, ...options }
    const { buffers = new ReadBuffers() } = options
    this.#parts = { buffers, nextTurn: new NextTurn(), watch: new OriginWatch(Math.min(this.#settings.keepAliveMs, this.#settings.originTimeoutMs)) }
    this.#pools = new LRUCache({ max: this.#settings.maxPools, dispose: (pool) => pool.close() })
  }

  /** pools now open; one without connections is none */
  get size(): number {
    return this.#pools.size
  }

  /**
   * Hands `taken` a free connection, a new one (`fresh` asks for that), or makes it wait while the pool
   * is full. Returns what cancels the wait.
   */
  take(key: PoolKey, connect: Dial, fresh: boolean, taken: Taken): () => void {
    const last = this.#last
    // the pool of the exchange before is the most recently used one already
    if (last !== undefined && !last.closed && isSameKey(last.key, key)) return last.take(connect, fresh, taken)
    const text = `${key.session}\n${key.host}\n${key.port}\n${key.addresses.join(' ')}\n${key.revision}\n${key.tls ?? ''}`
    let pool = this.#pools.get(text)
    if (pool === undefined) {
      const made = new OriginPool(key, this.#settings, this.#parts, () => {
        if (this.#pools.peek(text) === made) this.#pools.delete(text)
      })
      pool = made
      this.#pools.set(text, made)
    }
    this.#last = pool
    return pool.take(connect, fresh, taken)
  }

  /** Closes the pools of a policy revision that no longer answers; exchanges under way finish first. */
  closeRevision(revision: string): void {
    const old: string[] = []
    for (const [text, pool] of this.#pools.entries()) {
      if (pool.key.revision === revision) old.push(text)
    }
    for (const text of old) this.#pools.delete(text)
  }

  /** Closes every pool; exchanges under way finish first. */
  close(): void {
    this.#pools.clear()
  }
}

class OriginPool {
  readonly key: PoolKey
  readonly #settings: Settings
  readonly #parts: ConnectionParts
  readonly #onEmpty: () => void
  // the most recently used is last and is used first, so that the others can time out
  readonly #free: OriginConnection[] = []
  readonly #waiters = new Set<Waiter>()
  #connections = 0
  #closed = false

  /** it takes no more exchanges: the next one with its key gets a new pool */
  get closed(): boolean {
    return this.#closed
  }

  constructor(key: PoolKey, settings: Settings, parts: ConnectionParts, onEmpty: () => void) {
    this.key = key
    this.#settings = settings
    this.#parts = parts
    this.#onEmpty = onEmpty
  }

  take(connect: Dial, fresh: boolean, taken: Taken): () => void {
    if (fresh) this.#makeRoom()
    const free = fresh ? undefined : this.#free.pop()
    if (free !== undefined) {
      free.reused = true
      taken(free, undefined)
      return nothingToCancel
    }
    if (this.#connections < this.#settings.connectionsPerPool) {
      taken(this.#open(connect), undefined)
      return nothingToCancel
    }
    return this.#wait(connect, taken)
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#free.splice(0)) connection.destroy()
    // whoever waits was decided under this pool's key, and is served when a connection comes free
  }

  // a fresh connection where only idle ones fill the pool
  #makeRoom(): void {
    if (this.#connections >= this.#settings.connectionsPerPool) this.#free.shift()?.destroy()
  }

  #open(connect: Dial): OriginConnection {
    this.#connections += 1
    const Origin = this.key.tls === undefined ? Http1Origin : NegotiatedOrigin
    return new Origin(connect, this.#settings, this.#parts, {
      released: (connection) => this.#released(connection),
      gone: (connection) => this.#gone(connection),
    })
  }

  #wait(connect: Dial, taken: Taken): () => void {
    const timer = setTimeout(() => {
      this.#waiters.delete(waiter)
      taken(undefined, new ProxyError('origin_timeout', 'every connection to the origin is in use'))
    }, this.#settings.waitTimeoutMs)
    const waiter: Waiter = { connect, taken, timer }
    this.#waiters.add(waiter)
    return () => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  #nextWaiter(): Waiter | undefined {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter)
      clearTimeout(waiter.timer)
      return waiter
    }
    return undefined
  }

  #released(connection: OriginConnection): void {
    const waiter = this.#nextWaiter()
    if (waiter !== undefined) {
      connection.reused = true
      waiter.taken(connection, undefined)
    } else if (this.#closed) {
      connection.destroy()
    } else {
      this.#free.push(connection)
    }
  }

  #gone(connection: OriginConnection): void {
    this.#connections -= 1
    const index = this.#free.indexOf(connection)
    if (index >= 0) this.#free.splice(index, 1)
    const waiter = this.#nextWaiter()
    if (waiter !== undefined) waiter.taken(this.#open(waiter.connect), undefined)
    else if (this.#connections === 0 && !this.#closed) this.#onEmpty()
  }
}

/** `PoolKey.tls`: what two exchanges over TLS must have in common. `credentials`: names of those that are added. */
export function tlsKey({ alpn, trust }: TlsRequest, credentials: readonly string[]): string {
  const offered = alpn.join(' ')
  if (trust === undefined && credentials.length === 0) return offered
  return JSON.stringify([offered, trust?.insecure ?? false, trust?.caFiles ?? [], credentials])
}

function isSameKey(a: PoolKey, b: PoolKey): boolean {
  return a.session === b.session && a.host === b.host && a.port === b.port && a.revision === b.revision && a.tls === b.tls &&
    a.addresses.length === b.addresses.length && a.addresses.every((address, i) => address === b.addresses[i])
}

function nothingToCancel(): void {
  // a connection was handed over at once
}
