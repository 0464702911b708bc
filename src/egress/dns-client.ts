// One record type of one name, asked of several name servers: the next server joins in when one is silent
// or fails, the first useful answer wins, and everything ends at the deadline. A query shares nothing with
// another but what is known of the servers, so no name waits for another name.
import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { askServer } from './dns-exchange.ts'
import type { Answered } from './dns-exchange.ts'
import type { RecordType } from './dns-message.ts'
import type { NameServer } from './name-server.ts'
import { createServerHealth } from './server-health.ts'
import type { ServerHealth } from './server-health.ts'

export type Outcome =
  | Exclude<Answered, { readonly kind: 'unreachable' }>
  | { readonly kind: 'timeout'; readonly detail: string }

export interface AskSettings {
  readonly servers: readonly NameServer[]
  /** how often the list is gone through */
  readonly attempts: number
  /** how long one server is waited for alone, `ms` */
  readonly attemptMs: number
}

export interface DnsClient {
  /** never rejects: the first answer that a server has, else what went wrong with each; `failed` once aborted */
  ask(name: string, type: RecordType, settings: AskSettings, signal: AbortSignal): Promise<Outcome>
}

// each attempt holds a socket until the query ends
export const maxAttempts = 8

export function createDnsClient(options: { readonly clock: Clock; readonly timeoutMs: number; readonly closed: AbortSignal }): DnsClient {
  const { clock, timeoutMs, closed } = options
  const health = createServerHealth(clock)

  /** Lets a silent server show that it is back; nobody waits for it. */
  async function probe(server: NameServer, name: string, type: RecordType, settings: AskSettings): Promise<void> {
    const reply = await askServer(server, name, type, AbortSignal.any([closed, AbortSignal.timeout(settings.attemptMs)]))
    if (reply !== undefined && reply.kind !== 'unreachable') health.answered(server)
  }

  return {
    ask(name, type, settings, signal) {
      const due = health.dueForProbe(settings.servers)
      if (due !== undefined) void probe(due, name, type, settings)
      return new Query(name, type, { settings, timeoutMs, clock, health }).run(signal)
    },
  }
}

interface QueryOptions {
  readonly settings: AskSettings
  readonly timeoutMs: number
  readonly clock: Clock
  readonly health: ServerHealth
}

class Query {
  readonly #name: string
  readonly #type: RecordType
  readonly #options: QueryOptions
  readonly #plan: NameServer[]
  readonly #stop = new AbortController()
  readonly #failures = new Map<string, string>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #done = Promise.withResolvers<Outcome>()
  #outstanding = 0

  constructor(name: string, type: RecordType, options: QueryOptions) {
    this.#name = name
    this.#type = type
    this.#options = options
    const { servers, attempts } = options.settings
    const order = options.health.order(servers)
    this.#plan = Array.from({ length: attempts }, () => order).flat().slice(0, maxAttempts)
  }

  async run(signal: AbortSignal): Promise<Outcome> {
    const abandon = (): void => this.#done.resolve({ kind: 'failed', detail: 'abandoned' })
    if (signal.aborted) return { kind: 'failed', detail: 'abandoned' }
    signal.addEventListener('abort', abandon)
    this.#after(this.#options.timeoutMs, () => this.#expire())
    this.#launch()
    try {
      return await this.#done.promise
    } finally {
      signal.removeEventListener('abort', abandon)
      for (const timer of this.#timers) clearTimeout(timer)
      this.#stop.abort()
    }
  }

  /** Asks the next server of the plan; one that answered with a failure is not asked twice. */
  #launch(): void {
    const server = this.#plan.shift()
    if (server === undefined) {
      if (this.#outstanding === 0) this.#done.resolve({ kind: 'failed', detail: this.#describe() })
    } else if (this.#failures.has(server.text)) this.#launch()
    else this.#attempt(server).catch((error: unknown) => this.#done.reject(error))
  }

  async #attempt(server: NameServer): Promise<void> {
    const { clock, health, settings } = this.#options
    const sentAtMs = clock.monotonic()
    let hasLaunchedNext = false
    // spread, so that a burst of which the server's queue dropped a part does not come back as one
    const patienceMs = settings.attemptMs * (randomInt(75, 126) / 100)
    const patience = this.#after(patienceMs, () => {
      health.silent(server, sentAtMs)
      hasLaunchedNext = true
      this.#launch()
    })
    this.#outstanding++
    const reply = await askServer(server, this.#name, this.#type, this.#stop.signal)
    if (reply === undefined) return
    clearTimeout(patience)
    this.#outstanding--
    if (reply.kind === 'unreachable') health.silent(server, sentAtMs)
    else health.answered(server)
    if (reply.kind !== 'unreachable' && reply.kind !== 'failed') return this.#done.resolve(reply)
    this.#failures.set(server.text, reply.detail)
    // a late failure has its successor already; but it may have been the last one waited for
    if (!hasLaunchedNext || this.#outstanding === 0) this.#launch()
  }

  #expire(): void {
    if (this.#failures.size > 0) return this.#done.resolve({ kind: 'failed', detail: this.#describe() })
    const servers = this.#options.settings.servers.map((server) => server.text).join(', ')
    this.#done.resolve({ kind: 'timeout', detail: `no answer from ${servers} within ${this.#options.timeoutMs} ms` })
  }

  #describe(): string {
    return this.#options.settings.servers
      .map((server) => `${server.text}: ${this.#failures.get(server.text) ?? 'no answer'}`)
      .join('; ')
  }

  #after(delayMs: number, run: () => void): NodeJS.Timeout {
    const timer = setTimeout(run, delayMs)
    this.#timers.add(timer)
    return timer
  }
}
