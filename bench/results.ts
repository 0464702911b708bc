// The result file: what was run, where, and every round of it. No host name and no path stands in it.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { JournalRuns } from './journal/figures.ts'
import type { ParkedRuns } from './parked/figures.ts'
import type { WorkloadName } from './workloads.ts'

/** One measurement; `cost` in the workload's unit, absent for what has no process of its own. */
export interface Round {
  readonly cost: number | undefined
  readonly rate: number
  /** of the times whose median is the cost, in its unit, where there are such */
  readonly p99?: number
  readonly operations: number
  /** share of the proxy's core that other work of the machine took meanwhile, 0 to 1 */
  readonly foreign: number
}

export interface Row {
  readonly workload: WorkloadName
  readonly peer: string
  /** null: the round failed */
  readonly rounds: (Round | null)[]
  /** what went wrong first, if anything did */
  error?: string
}

/** What a list of a million names costs before the first request. */
export interface ListCost {
  readonly peer: string
  /** start with the million minus start with ten, `seconds` */
  readonly loadSeconds: number
  /** resident with the million minus resident with ten, `bytes` */
  readonly addedBytes: number
}

/** Memory while the number of intercepted hosts grows, on a process that does nothing else. */
export interface HostMemory {
  readonly peer: string
  /** of the whole, memory not read meanwhile */
  readonly seconds: number
  /** the first entry before any of them; fewer than five: it was not done in time */
  readonly resident: readonly { readonly hosts: number; readonly bytes: number }[]
}

export interface PeerInfo {
  readonly name: string
  readonly version: string
  readonly note: string
}

export interface Results {
  readonly schema: 1
  /** ISO 8601, UTC */
  readonly date: string
  readonly machine: { readonly cores: number; readonly cpu: string; readonly memoryGiB: number; readonly kernel: string; readonly pinned: boolean }
  readonly node: string
  readonly options: { readonly quick: boolean; readonly rounds: number; readonly seconds: number }
  readonly peers: readonly PeerInfo[]
  /** name and why */
  readonly skipped: readonly { readonly peer: string; readonly why: string }[]
  readonly rows: readonly Row[]
  readonly lists: readonly ListCost[]
  /** memory of W4; absent: not run */
  readonly hosts?: readonly HostMemory[]
  /** the parked part of W6, which is sallyport's alone; absent: not run */
  readonly parked?: ParkedRuns
  /** W7, likewise */
  readonly journal?: JournalRuns
  /** where `parked` or `journal` came from another run: the workload, and its date */
  readonly ownRunsOf?: Readonly<Record<string, string>>
}

export const resultsDir: string = join(import.meta.dirname, 'results')

/** `part`: the workloads, where not all were measured, and the checkout's page is not to show them as if they were. */
export function writeResults(results: Results, part: string | undefined): string {
  const kind = part ?? (results.options.quick ? 'quick' : 'full')
  const name = `${results.date.slice(0, 16).replaceAll(/[-:]/g, '').replace('T', '-')}-${kind}.json`
  mkdirSync(resultsDir, { recursive: true })
  writeFileSync(join(resultsDir, name), `${JSON.stringify(results, undefined, 1)}\n`)
  return name
}

export function readResults(path: string): Results {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (!isResults(value)) throw new Error(`\`${basename(path)}\` is not a result file of this version`)
  return value
}

function isResults(value: unknown): value is Results {
  return typeof value === 'object' && value !== null && 'schema' in value && value.schema === 1
}

/** The newest result file, a full run before a quick one; undefined when there is none. */
export function newestResults(): string | undefined {
  if (!existsSync(resultsDir)) return undefined
  const names = readdirSync(resultsDir).filter((name) => name.endsWith('.json')).toSorted()
  const newest = names.findLast((name) => name.endsWith('-full.json')) ?? names.at(-1)
  return newest === undefined ? undefined : join(resultsDir, newest)
}

/** A result with what is sallyport's alone, where it was not part of the run: from the newest full run that has it. No
 * figure of these is set beside a peer's, so they need not be of one run. */
export function withOwnRuns(results: Results): Results {
  const names = existsSync(resultsDir) ? readdirSync(resultsDir).filter((name) => /-(?:full|w6|w7)\.json$/.test(name)).toSorted() : []
  const others = names.map((name) => readResults(join(resultsDir, name)))
  const parked = results.parked === undefined ? others.findLast((other) => other.parked !== undefined) : undefined
  const journal = results.journal === undefined ? others.findLast((other) => other.journal !== undefined) : undefined
  return {
    ...results,
    ...(parked?.parked === undefined ? {} : { parked: parked.parked }),
    ...(journal?.journal === undefined ? {} : { journal: journal.journal }),
    ownRunsOf: { ...(parked === undefined ? {} : { 'W6 parked': parked.date }), ...(journal === undefined ? {} : { W7: journal.date }) },
  }
}

export function rowOf(results: Results, workload: WorkloadName, peer: string): Row | undefined {
  return results.rows.find((row) => row.workload === workload && row.peer === peer)
}

export function costs(row: Row | undefined): readonly (number | undefined)[] {
  return (row?.rounds ?? []).map((round) => round?.cost)
}

/** What the second column of a workload's table shows: 99th percentiles of times, else rates. */
export function rateOrTail(row: Row | undefined): readonly (number | undefined)[] {
  return (row?.rounds ?? []).map((round) => round?.p99 ?? round?.rate)
}

export function known(values: readonly (number | undefined)[]): readonly number[] {
  return values.filter((value) => value !== undefined)
}
