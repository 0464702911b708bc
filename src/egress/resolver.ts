// Names to addresses: localhost by RFC 6761, the hosts file, then our own DNS client, with a cache within
// the TTL. It never uses the system's resolver (whose threads one dead name server can hold for everybody),
// never adds a search domain, and judges nothing: what an address may be used for is the gate's to say.
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { parseIp } from '../target/address.ts'
import type { IpAddress } from '../target/address.ts'
import { quoted } from '../target/quoted.ts'
import { createDnsClient, maxAttempts } from './dns-client.ts'
import type { AskSettings } from './dns-client.ts'
import { parseHostsFile } from './hosts-file.ts'
import { lookUp } from './look-up.ts'
import { parseNameServer } from './name-server.ts'
import { parseResolvConf, resolvConfDefaults } from './resolv-conf.ts'
import type { ResolvConf } from './resolv-conf.ts'
import { checkEveryMs, watchFile } from './watched-file.ts'

export interface Resolution {
  /** never empty; IPv4 first */
  readonly addresses: readonly IpAddress[]
  /** monotonic, `ms` */
  readonly expiresAtMs: number
  /** the aliases (CNAME) that led to the addresses, lower case; empty for none */
  readonly chain: readonly string[]
}

export interface Resolver {
  /**
   * The addresses of an absolute name; callers of one name share one lookup. With `fresh`, only an answer
   * that arrives after the call counts. Lookups count for the `owner` whose call began them; one that has 200 on
   * the way gets dns_failed. Throws ProxyError dns_not_found, dns_no_address, dns_failed, dns_timeout.
   */
  resolve(name: string, options?: { readonly fresh?: boolean; readonly owner?: string | undefined }): Promise<Resolution>
  /** ends what is outstanding, as dns_failed, and leaves no socket */
  close(): void
}

export interface ResolverOptions {
  /** `ip`, `ip:port` or `[ipv6]:port`; none: those of resolv.conf */
  readonly servers: readonly string[]
  readonly resolvConfPath: string
  readonly hostsPath: string
  /** `ms` for one name, all servers and attempts together */
  readonly timeoutMs: number
  readonly clock: Clock
}

interface Held {
  readonly expiresAtMs: number
  readonly resolution?: Resolution
  readonly fault?: { readonly code: ErrorCode; readonly detail: string }
}

const maxHeldNames = 10_000
const maxOutstandingNames = 10_000
// one agent that asks for names which nobody answers must not leave the others without any
const maxOutstandingPerOwner = 200
const maxTtlMs = 60_000
const maxNegativeTtlMs = 5000
const faultTtlMs = 1000
// a server is waited for alone no longer than this, whatever resolv.conf says: its silence is somebody's wait
const maxAttemptMs = 1000

export function createResolver(options: ResolverOptions): Resolver {
  const { clock, timeoutMs } = options
  const closing = new AbortController()
  const client = createDnsClient({ clock, timeoutMs, closed: closing.signal })
  const held = new LRUCache<string, Held>({ max: maxHeldNames })
  const outstanding = new Map<string, Promise<Held>>()
  const shares = new OwnerShares()
  const hosts = watchFile(options.hostsPath, clock, parseHostsFile)
  const fixed: ResolvConf = { ...resolvConfDefaults, servers: options.servers.map(configuredServer) }
  const resolvConf = watchFile(options.resolvConfPath, clock, parseResolvConf)

  function askSettings(): AskSettings {
    const conf = fixed.servers.length > 0 ? { ok: true as const, value: fixed } : resolvConf.current()
    if (!conf.ok) throw new ProxyError('dns_failed', conf.detail)
    const { servers, attempts } = conf.value
    if (servers.length === 0) {
      throw new ProxyError('dns_failed', `no name server: none is configured and ${options.resolvConfPath} names none`)
    }
    const evenMs = timeoutMs / Math.min(servers.length * attempts, maxAttempts)
    return { servers, attempts, attemptMs: Math.min(conf.value.timeoutMs, evenMs, maxAttemptMs) }
  }

  function local(name: string): readonly IpAddress[] | undefined {
    if (name === 'localhost' || name.endsWith('.localhost')) return loopback
    const literal = parseIp(name)
    if (literal !== undefined) return [literal]
    const known = hosts.current()
    // entries may be there to close a name: without them nothing is resolved
    if (!known.ok) throw new ProxyError('dns_failed', known.detail)
    return known.value.get(name)
  }

  async function ask(name: string): Promise<Held> {
    const result = await lookUp(client, name, askSettings(), closing.signal)
    const now = clock.monotonic()
    if (result.ok) {
      const expiresAtMs = now + Math.min(result.ttlMs, maxTtlMs)
      return { expiresAtMs, resolution: { addresses: result.addresses, chain: result.chain, expiresAtMs } }
    }
    const fault = { code: result.code, detail: `${quoted(name)}: ${result.detail}` }
    return { expiresAtMs: now + Math.min(result.ttlMs ?? faultTtlMs, maxNegativeTtlMs), fault }
  }

  function share(name: string, owner: string | undefined): Promise<Held> {
    const running = outstanding.get(name)
    if (running !== undefined) return running
    if (outstanding.size >= maxOutstandingNames) {
      throw new ProxyError('dns_failed', `${outstanding.size} names are being looked up already`)
    }
    const giveBack = shares.take(owner)
    const lookup = ask(name).then((answer) => {
      if (answer.expiresAtMs > clock.monotonic()) held.set(name, answer)
      else held.delete(name)
      return answer
    }).finally(() => {
      outstanding.delete(name)
      giveBack()
    })
    outstanding.set(name, lookup)
    return lookup
  }

  return {
    async resolve(name, { fresh = false, owner } = {}) {
      if (closing.signal.aborted) throw new ProxyError('dns_failed', 'the resolver is closed')
      const key = name.toLowerCase()
      const known = local(key)
      if (known !== undefined) return { addresses: known, expiresAtMs: clock.monotonic() + checkEveryMs, chain: [] }
      const cached = fresh ? undefined : held.get(key)
      const answer = cached !== undefined && cached.expiresAtMs > clock.monotonic() ? cached : await share(key, owner)
      if (answer.resolution !== undefined) return answer.resolution
      throw new ProxyError(answer.fault?.code ?? 'dns_failed', answer.fault?.detail ?? 'no answer')
    },
    close() {
      closing.abort()
      held.clear()
    },
  }
}

/** How many lookups each owner has on the way. */
class OwnerShares {
  readonly #taken = new Map<string, number>()

  /** Throws ProxyError dns_failed when the owner has its share; what is returned gives one back. */
  take(owner: string | undefined): () => void {
    if (owner === undefined) return () => undefined
    const taken = this.#taken.get(owner) ?? 0
    if (taken >= maxOutstandingPerOwner) throw new ProxyError('dns_failed', 'too many names of this session are being resolved')
    this.#taken.set(owner, taken + 1)
    return () => {
      const left = (this.#taken.get(owner) ?? 1) - 1
      if (left > 0) this.#taken.set(owner, left)
      else this.#taken.delete(owner)
    }
  }
}

const loopback = ['127.0.0.1', '::1'].flatMap((text) => parseIp(text) ?? [])

function configuredServer(text: string) {
  const server = parseNameServer(text)
  if (server === undefined) throw new ProxyError('dns_failed', `name server ${quoted(text)} is not ip, ip:port or [ipv6]:port`)
  return server
}
