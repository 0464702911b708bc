// The figures of W7 and how they come out of what was measured. Pure; nothing here measures.
import type { Driven } from './drive.ts'

/** Exchanges a second, or as many as go. */
export interface JournalLoad {
  readonly name: 'steady-2000' | 'steady-8000' | 'flat-out'
  readonly title: string
  /** undefined: flat out */
  readonly rate: number | undefined
  /** of the run with small segments: a second of it begins many and removes as many */
  readonly smallSegmentBytes: number
}

export const journalLoads: readonly JournalLoad[] = [
  { name: 'steady-2000', title: '2,000 exchanges/s', rate: 2000, smallSegmentBytes: 256 * 1024 },
  { name: 'steady-8000', title: '8,000 exchanges/s', rate: 8000, smallSegmentBytes: 1024 * 1024 },
  { name: 'flat-out', title: 'flat out', rate: undefined, smallSegmentBytes: 8 * 1024 * 1024 },
]

/** The same load five times: what one takes above `idle` is what it costs. */
export interface Variants {
  /** an exchange is counted and gets its request id, and that is all */
  readonly idle: Driven
  /** both events of each exchange are built, for a sink that does nothing */
  readonly built: Driven
  /** the decision is built and appended; nothing else is */
  readonly decision: Driven
  /** decision and end are built and appended */
  readonly exchange: Driven
  /** the same into a journal of small segments that is full, so that each new one removes an old one */
  readonly turning: Driven
}

/** What the journals held and did in the variants that use them. */
export interface JournalShape {
  /** records and bytes of `exchange` and its write(2) calls */
  readonly records: number
  readonly bytes: number
  readonly writes: number
  /** segments that were begun during `turning` */
  readonly segmentsBegun: number
  /** records that were removed during `turning` */
  readonly recordsRemoved: number
}

/** One round of one load. */
export interface JournalCost {
  readonly load: JournalLoad['name']
  /** CPU `µs` of the process for one decision, built and in the file, above the same load with nothing journaled */
  readonly decisionCpu: number
  /** the same for the two records of an exchange, its decision and its end */
  readonly exchangeCpu: number
  /** the part of `exchangeCpu` that is spent on building the events, before the journal sees them */
  readonly buildingCpu: number
  /** longest event-loop stall while exchanges were journaled, the run with small segments included, `ms` */
  readonly stallMs: number
  /** longest stall of the same load with nothing journaled, `ms`: the driver's own, and the machine's */
  readonly idleStallMs: number
  /** exchanges journaled per second */
  readonly rate: number
  readonly bytesPerRecord: number
  /** records that one write(2) took */
  readonly recordsPerWrite: number
  /** in the run with small segments: segments begun per second, and as many removed */
  readonly segmentsPerSecond: number
}

/** One round of the exporter delivering what stands in the journal to a collector on this machine. */
export interface CatchUp {
  readonly records: number
  /** records delivered per second */
  readonly rate: number
  /** CPU `µs` of the whole process per record, the collector's not included */
  readonly recordCpu: number
}

export interface JournalRound {
  readonly costs: readonly JournalCost[]
  readonly catchUp: CatchUp
  /** share of the proxy's core that other work of the machine took meanwhile, 0 to 1 */
  readonly foreign: number
}

/** W7 of a run, round by round. */
export interface JournalRuns {
  /** null: the round failed */
  readonly rounds: readonly (JournalRound | null)[]
  /** what went wrong first, if anything did */
  readonly error?: string
}

const microsEach = ({ cpuSeconds, operations }: Driven): number => (cpuSeconds / operations) * 1e6

/** Throws when the run was not what it should be: a load that was not kept up, or no segment begun or removed. */
export function costOf(load: JournalLoad, variants: Variants, shape: JournalShape): JournalCost {
  const { idle, built, decision, exchange, turning } = variants
  for (const driven of [idle, built, decision, exchange, turning]) {
    if (driven.operations === 0) throw new Error(`${load.title}: nothing was done`)
    const rate = driven.operations / driven.wallSeconds
    if (load.rate !== undefined && rate < load.rate * 0.9) throw new Error(`${load.title}: only ${Math.round(rate)} a second were kept up`)
  }
  if (shape.segmentsBegun === 0 || shape.recordsRemoved === 0) throw new Error(`${load.title}: no segment was begun and removed, so the stall says nothing of that`)
  return {
    load: load.name,
    decisionCpu: microsEach(decision) - microsEach(idle),
    exchangeCpu: microsEach(exchange) - microsEach(idle),
    buildingCpu: microsEach(built) - microsEach(idle),
    stallMs: Math.max(decision.stallMs, exchange.stallMs, turning.stallMs),
    idleStallMs: Math.max(idle.stallMs, built.stallMs),
    rate: exchange.operations / exchange.wallSeconds,
    bytesPerRecord: shape.bytes / shape.records,
    recordsPerWrite: shape.records / shape.writes,
    segmentsPerSecond: shape.segmentsBegun / turning.wallSeconds,
  }
}

/** One figure of one load over the rounds; a round that failed is undefined. */
export function journalFigures(runs: JournalRuns | undefined, load: JournalLoad['name'], pick: (cost: JournalCost) => number): readonly (number | undefined)[] {
  return (runs?.rounds ?? []).map((round) => {
    const cost = round?.costs.find((entry) => entry.load === load)
    return cost === undefined ? undefined : pick(cost)
  })
}
