// Every destination's delivery, side by side: one that fails, waits or throws never touches another. All of them
// share a thread, because a thread each costs more memory than all that they hold (docs/decisions/020); what a
// thread each would keep apart, a fault in the code, is kept apart here by starting that delivery alone again.
import { setTimeout as delay } from 'node:timers/promises'
import { Delivery, type DeliveryReport } from './delivery.ts'
import { createFilter } from './destination-filter.ts'
import { addressOf, type Destination } from './destination.ts'
import type { OtlpResource } from './otlp-encoding.ts'
import type { JournalRecord } from './record.ts'
import { wordedDetail, type Sink } from './sink.ts'

export interface DeliveryWaits {
  readonly timeoutMs: number
  /** how long new records wait for company */
  readonly flushMs: number
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  /** how long a destination that was changed is tried to be told so */
  readonly farewellMs: number
}

export interface DeliveriesSettings {
  /** DATA/journal */
  readonly dir: string
  readonly destinations: readonly Destination[]
  /** told, in one last record, that they are destinations no longer; each before the one of its name begins */
  readonly farewells: readonly Farewell[]
  readonly resource: OtlpResource
  readonly waits: DeliveryWaits
}

export interface Farewell {
  readonly destination: Destination
  readonly record: JournalRecord
}

/** `told`: a farewell came to its end; `isTaken`: the old destination has it */
export type DestinationReport = { readonly destination: string } & (DeliveryReport | { readonly kind: 'told'; readonly isTaken: boolean; readonly detail: string })

export interface DeliveriesOptions extends DeliveriesSettings {
  readonly createSink: (destination: Destination) => Sink
  readonly report: (report: DestinationReport) => void
}

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #running = new Map<string, Delivery>()
  readonly #ending = new AbortController()
  #isDraining = false

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  /** Resolves when all of them have ended, which they do after `drain`. */
  async run(): Promise<void> {
    const { destinations, farewells } = this.#options
    const gone = farewells.filter(({ destination }) => !destinations.some(({ name }) => name === destination.name))
    await Promise.all([...gone.map((farewell) => this.#bidFarewell(farewell)), ...destinations.map((destination) => this.#keepDelivering(destination))])
  }

  /** Delivers what is there and then ends. */
  drain(): void {
    this.#isDraining = true
    this.#ending.abort()
    for (const delivery of this.#running.values()) delivery.drain()
  }

  async #keepDelivering(destination: Destination): Promise<void> {
    const { farewells, waits } = this.#options
    const { name } = destination
    for (const farewell of farewells) if (farewell.destination.name === name) await this.#bidFarewell(farewell)
    let before = { exported: 0, rejected: 0, retries: 0 }
    for (let failures = 0; ; failures++) {
      let reached = before
      try {
        await this.#deliver(destination, (report) => {
          if (report.kind !== 'progress') return this.#options.report({ destination: name, ...report })
          reached = { exported: before.exported + report.exported, rejected: before.rejected + report.rejected, retries: before.retries + report.retries }
          this.#options.report({ destination: name, ...report, ...reached })
        })
        return
      } catch (error) {
        before = { ...reached, retries: reached.retries + 1 }
        this.#options.report({ destination: name, kind: 'log', level: 'error', message: `the delivery failed and is started again; nothing is lost: ${String(error)}` })
        if (this.#isDraining) return
        await this.#pause(Math.min(waits.maxBackoffMs, waits.minBackoffMs * 2 ** Math.min(failures, 20)))
      }
    }
  }

  async #deliver(destination: Destination, report: (report: DeliveryReport) => void): Promise<void> {
    const { dir, createSink, waits } = this.#options
    const sink = createSink(destination)
    const delivery = new Delivery({ dir, name: destination.name, sink, passes: createFilter(destination.filter), ...waits, report })
    this.#running.set(destination.name, delivery)
    if (this.#isDraining) delivery.drain()
    try {
      await delivery.run()
    } finally {
      this.#running.delete(destination.name)
      sink.close()
    }
  }

  /** Best effort, and bounded: a collector that is gone for good must not keep records from the one that follows it. */
  async #bidFarewell({ destination, record }: Farewell): Promise<void> {
    const { createSink, waits, report } = this.#options
    const untilMs = Date.now() + waits.farewellMs
    let detail = 'the proxy was stopped'
    const sink = createSink(destination)
    try {
      const body = await sink.encode([record])
      for (let waitMs = waits.minBackoffMs; ; waitMs *= 2) {
        const outcome = await sink.send(body)
        const doubt = outcome.fate === 'accepted' ? await sink.settling?.settle() : wordedDetail(outcome.detail, outcome.words)
        if (doubt === undefined) return report({ destination: destination.name, kind: 'told', isTaken: true, detail: addressOf(destination) })
        detail = doubt
        if (outcome.fate === 'refused' || this.#isDraining || Date.now() + waitMs > untilMs) break
        await this.#pause(waitMs)
      }
    } catch (error) {
      detail = String(error)
    } finally {
      sink.close()
    }
    // when stopped in the middle of it, the next start tries again
    if (!this.#isDraining) report({ destination: destination.name, kind: 'told', isTaken: false, detail })
  }

  async #pause(ms: number): Promise<void> {
    // an end that comes meanwhile is seen by whoever waits
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => undefined)
  }
}
