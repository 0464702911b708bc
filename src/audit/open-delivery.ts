// Starts the export of a journal: says what changed about its destinations since the last start, tells the old ones,
// follows what the new ones have taken, and lets the heart beat. One of these for a running proxy.
import type { Clock } from '../clock.ts'
import { destinationChangedEvent, heartbeatEvent } from './delivery-events.ts'
import { compareDestinations, readDestinations, writeDestinations, type DestinationDifference } from './destination-record.ts'
import { describeDestination, type Destination } from './destination.ts'
import type { AuditEvent } from './event.ts'
import { startExporter, type DestinationStats, type Exporter, type ExporterOptions } from './exporter.ts'
import type { Farewell } from './deliveries.ts'
import { findRecords } from './journal-query.ts'
import type { Journal } from './journal.ts'

export interface DeliveryOptions extends Pick<ExporterOptions, 'dir' | 'destinations' | 'environment' | 'version' | 'waits' | 'onLog'> {
  readonly journal: Journal
  readonly clock: Clock
  /** 0: never */
  readonly heartbeatMs: number
  /** decisions since the start */
  readonly decisions: () => Readonly<Record<'allow' | 'deny' | 'ask', number>>
  /** an old destination as it can be reached now, with the secrets of the environment */
  readonly revive: (destination: Destination) => Destination
  /** journals what nobody waits for */
  readonly onEvent: (event: AuditEvent) => void
}

/** A destination as it stands now. */
export interface DestinationState extends DestinationStats {
  readonly undelivered: number
  /** age of the oldest record that it has not taken, `ms` */
  readonly oldestMs: number
  readonly isFailing: boolean
}

export interface DeliveryRoom {
  states(): readonly DestinationState[]
  close(deadlineMs: number): Promise<void>
}

/** Resolves when every change is journaled; rejects where that is not possible, and nothing is sent anywhere then. */
export async function openDelivery(options: DeliveryOptions): Promise<DeliveryRoom> {
  const { dir, destinations, journal, onLog } = options
  const before = await readDestinations(dir)
  const differences = before === undefined ? [] : compareDestinations(before, destinations)
  const farewells = await journalChanges(options, differences)
  // whoever has still to be told stays on record, so that a start that is cut short tells it the next time
  const untold = new Map(farewells.map(({ destination }) => [destination.name, before?.find(({ name }) => name === destination.name) ?? destination]))
  const save = async (): Promise<void> => {
    await writeDestinations(dir, [...destinations.filter(({ name }) => !untold.has(name)), ...untold.values()])
  }
  await save()
  const exporter = destinations.length === 0 && farewells.length === 0 ? undefined : startExporter({
    ...options,
    farewells,
    onDelivered: (seq) => journal.delivered(seq),
    onTold: (name) => {
      untold.delete(name)
      save().catch((error: unknown) => onLog('error', `the destinations could not be kept on record: ${String(error)}`))
    },
  })
  return new Delivering(options, exporter)
}

async function journalChanges({ dir, journal, revive }: DeliveryOptions, differences: readonly DestinationDifference[]): Promise<readonly Farewell[]> {
  const from = journal.lastSeq
  for (const { name, change, was, is } of differences) {
    await journal.append(destinationChangedEvent({ name, change, was: was === undefined ? undefined : describeDestination(was), is: is === undefined ? undefined : describeDestination(is) }))
  }
  const leaving = differences.filter(({ change }) => change === 'moved' || change === 'removed')
  if (leaving.length === 0) return []
  const { records } = await findRecords(dir, differences.length, ({ name, seq }) => name === 'sallyport.destination.changed' && seq > from)
  return leaving.flatMap(({ name, was }) => {
    const record = records.find(({ attributes }) => attributes['sallyport.destination'] === name)
    return record === undefined || was === undefined ? [] : [{ destination: revive(was), record }]
  })
}

class Delivering implements DeliveryRoom {
  readonly #options: DeliveryOptions
  readonly #exporter: Exporter | undefined
  readonly #startedMs: number
  readonly #timer: NodeJS.Timeout | undefined
  #last: { readonly atMs: number; readonly seq: number; readonly allow: number; readonly deny: number; readonly ask: number }

  constructor(options: DeliveryOptions, exporter: Exporter | undefined) {
    const { clock, journal, heartbeatMs, decisions } = options
    this.#options = options
    this.#exporter = exporter
    this.#startedMs = clock.monotonic()
    this.#last = { atMs: this.#startedMs, seq: journal.lastSeq, ...decisions() }
    if (heartbeatMs > 0) this.#timer = setInterval(() => this.#beat(), heartbeatMs).unref()
  }

  states(): readonly DestinationState[] {
    const { journal, clock } = this.#options
    const now = clock.now()
    return (this.#exporter?.stats() ?? []).map((stats) => ({
      ...stats,
      undelivered: Math.max(0, journal.lastSeq - stats.deliveredSeq),
      oldestMs: stats.pendingSinceMs === undefined ? 0 : Math.max(0, now - stats.pendingSinceMs),
      isFailing: stats.trouble !== undefined,
    }))
  }

  async close(deadlineMs: number): Promise<void> {
    clearInterval(this.#timer)
    await this.#exporter?.close(deadlineMs)
  }

  #beat(): void {
    const { clock, journal, decisions, onEvent } = this.#options
    const { atMs, seq, allow, deny, ask } = this.#last
    const now = { atMs: clock.monotonic(), seq: journal.lastSeq, ...decisions() }
    this.#last = now
    const destinations = this.states()
    onEvent(heartbeatEvent({
      sinceMs: now.atMs - atMs,
      records: now.seq - seq,
      allowed: now.allow - allow,
      denied: now.deny - deny,
      asked: now.ask - ask,
      destinations,
      oldestUndeliveredMs: destinations.reduce((max, { oldestMs }) => Math.max(max, oldestMs), 0),
      uptimeMs: now.atMs - this.#startedMs,
    }))
  }
}
