// DNS as a channel: under a wildcard allow, an agent could spell data into names. Per session and domain
// as ICANN's suffixes bound it, names never asked for before are budgeted per minute. Below a private suffix
// (`github.io`) every label is somebody's own domain: a budget for each of them would be none.
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { icannDomain } from '../target/registrable-domain.ts'

const minuteMs = 60_000
const rememberedNames = 50_000
const rememberedDomains = 10_000

export class NameBudget {
  readonly #clock: Clock
  readonly #perMinute: number
  readonly #known = new LRUCache<string, true>({ max: rememberedNames })
  readonly #spent = new LRUCache<string, { minute: number; names: number }>({ max: rememberedDomains })

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock
    this.#perMinute = perMinute
  }

  /** The budget of a minute where policy leaves `limit`: the setting is the ceiling. */
  within(limit: number): number {
    return Math.min(this.#perMinute, limit)
  }

  /** Spends one name when it is new; false when the minute's budget, of `limit` names at most, is used up. */
  spend(session: string, name: string, limit = Infinity): boolean {
    const key = `${session} ${name}`
    if (this.#known.get(key) === true) return true
    const domain = `${session} ${icannDomain(name) ?? name}`
    const minute = Math.floor(this.#clock.monotonic() / minuteMs)
    const spent = this.#spent.get(domain)
    const names = spent?.minute === minute ? spent.names : 0
    if (names >= this.within(limit)) return false
    if (spent?.minute === minute) spent.names += 1
    else this.#spent.set(domain, { minute, names: 1 })
    this.#known.set(key, true)
    return true
  }
}
