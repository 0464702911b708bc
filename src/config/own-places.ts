// Where this process itself listens and what it itself reports to: agents may reach neither.
import { networkInterfaces } from 'node:os'
import type { Clock } from '../clock.ts'
import type { Settings } from './settings.ts'
import type { Surroundings } from '../policy/addresses.ts'
import { parseIp, type IpAddress } from '../target/address.ts'
import { parseAuthority } from '../target/authority.ts'

const interfacesMaxAgeMs = 5_000

export class OwnPlaces {
  readonly #clock: Clock
  readonly #ports: number[] = []
  #onlyLoopback = true
  #surroundings: Surroundings | undefined
  #readMs = 0

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

  surroundings(): Surroundings {
    const now = this.#clock.monotonic()
    if (this.#surroundings === undefined || now - this.#readMs > interfacesMaxAgeMs) {
      this.#surroundings = { ownPorts: [...this.#ports], ownAddresses: ownAddresses(), onlyLoopback: this.#onlyLoopback }
      this.#readMs = now
    }
    return this.#surroundings
  }
}

function ownAddresses(): readonly IpAddress[] {
  const found = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return found.flatMap(({ address }) => parseIp(address.split('%', 1)[0] ?? '') ?? [])
}

/** The collector and the parent proxy: what the proxy itself connects to. */
export function reservedDestinations(settings: Settings): readonly { readonly host: string; readonly port: number }[] {
  const urls = [settings.otel.exporter?.endpoint, settings.upstreamProxy?.url].filter((url) => url !== undefined)
  return urls.map((text) => {
    // settings were checked when they were loaded: this is a URL of http or https
    const [, scheme = '', authority = ''] = /^(https?):\/\/([^/?#]*)/i.exec(text) ?? []
    const { host, port } = parseAuthority(authority, scheme.toLowerCase() === 'https' ? 443 : 80)
    return { host: host.text, port }
  })
}
