// Where this process itself listens and what it itself reports to: agents may reach neither.
import { networkInterfaces } from 'node:os'
import { addressOf, type Destination } from '../audit/destination.ts'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { destinationsOf } from './destinations.ts'
import type { Settings } from './settings.ts'
import type { Surroundings } from '../policy/addresses.ts'
import { parseIp, type IpAddress } from '../target/address.ts'
import { parseAuthority } from '../target/authority.ts'

const interfacesMaxAgeMs = 5_000
const followEveryMs = 30_000

export interface ReservedDestination {
  readonly host: string
  readonly port: number
}

export class OwnPlaces {
  readonly #clock: Clock
  readonly #ports: number[] = []
  #onlyLoopback = true
  /** by `host:port` of a reserved destination */
  readonly #reserved = new Map<string, readonly { readonly address: IpAddress; readonly port: number }[]>()
  #surroundings: Surroundings | undefined
  /** as they could last be read */
  #interfaces: readonly IpAddress[] | undefined
  #readMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Adds a listener of ours. */
  own(listener: { readonly address: string; readonly port: number }): void {
    const { address, port } = listener
    this.#ports.push(port)
    if (!(address.startsWith('127.') || address === '::1' || address === '[::1]' || address === 'localhost')) this.#onlyLoopback = false
    this.#surroundings = undefined
  }

  /** Follows the names of what the proxy itself connects to from now on, for they may move; agents reach them by no
   * name. Resolves when they were followed once; what fails goes to `onFailed`. */
  async keepFollowing(reserved: readonly ReservedDestination[], resolve: (name: string) => Promise<readonly IpAddress[]>, onFailed: (error: unknown) => void): Promise<void> {
    if (reserved.length === 0) return
    const once = async (): Promise<void> => {
      await this.follow(reserved, resolve).catch(onFailed)
    }
    this.#timer = setInterval(() => void once(), followEveryMs).unref()
    await once()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Where the names of what the proxy itself connects to lead now; a name that does not resolve keeps
   * what it led to before. Rejects, when all were followed, with the first that did not resolve. */
  async follow(reserved: readonly ReservedDestination[], resolve: (name: string) => Promise<readonly IpAddress[]>): Promise<void> {
    const followed = await Promise.allSettled(reserved.map(async ({ host, port }) => {
      const ip = parseIp(host)
      const addresses = ip === undefined ? await resolve(host) : [ip]
      this.#reserved.set(`${host}:${port}`, addresses.map((address) => ({ address, port })))
    }))
    this.#surroundings = undefined
    const failed = followed.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** Throws ProxyError `internal_error` when the addresses of this machine were never read. */
  surroundings(): Surroundings {
    const now = this.#clock.monotonic()
    if (this.#surroundings === undefined || now - this.#readMs > interfacesMaxAgeMs) {
      this.#interfaces = ownAddresses() ?? this.#interfaces
      if (this.#interfaces === undefined) throw new ProxyError('internal_error', 'the addresses of this machine cannot be read')
      this.#surroundings = { ownPorts: [...this.#ports], ownAddresses: this.#interfaces, onlyLoopback: this.#onlyLoopback, reserved: [...this.#reserved.values()].flat() }
      this.#readMs = now
    }
    return this.#surroundings
  }
}

/** Undefined when they cannot be read now, such as when no file descriptor is left. */
function ownAddresses(): readonly IpAddress[] | undefined {
  let interfaces: ReturnType<typeof networkInterfaces>
  try {
    interfaces = networkInterfaces()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
  const found = Object.values(interfaces).flatMap((list) => list ?? [])
  return found.flatMap(({ address }) => parseIp(address.split('%', 1)[0] ?? '') ?? [])
}

/** Where records go, the parent proxy, the parent cache and whoever is notified: what the proxy itself connects to. */
export function reservedDestinations(settings: Settings): readonly ReservedDestination[] {
  const { webhook, slack } = settings.notifications
  const urls = [...destinationsOf(settings).map(reachedAt), settings.upstreamProxy?.url, settings.cache.parent?.url, webhook?.url, slack?.url].filter((url) => url !== undefined)
  return urls.map((text) => {
    // settings were checked when they were loaded: this is a URL with one of these schemes
    const [, scheme = '', authority = ''] = /^(https?|tls|tcp):\/\/([^/?#]*)/i.exec(text) ?? []
    const { host, port } = parseAuthority(authority, scheme.toLowerCase() === 'https' ? 443 : 80)
    return { host: host.text, port }
  })
}

function reachedAt(destination: Destination): string | undefined {
  return destination.type === 'file' ? undefined : addressOf(destination)
}
