// What sallyport owes, and whether a run shows it: for each budget a floor, below which no version may fall,
// and a goal. Computed from one result file; nothing here measures.
import { journalFigures, journalLoads } from './journal/figures.ts'
import { parkedFigures, parkedLoads } from './parked/figures.ts'
import { costs, known, rowOf } from './results.ts'
import type { ListCost, Results } from './results.ts'
import { median, ratio } from './statistics.ts'
import { ours } from './tables.ts'
import type { WorkloadName } from './workloads.ts'

export interface Verdict {
  readonly what: string
  readonly limit: string
  /** undefined: not measured in this run */
  readonly measured: number | undefined
  readonly met: boolean | undefined
}

export interface Budget {
  readonly workload: string
  readonly floor: readonly Verdict[]
  readonly goal: readonly Verdict[]
}

function verdict(what: string, limit: number, unit: string, measured: number | undefined): Verdict {
  const value = measured === undefined || Number.isNaN(measured) ? undefined : measured
  return { what, limit: `≤ ${limit}${unit}`, measured: value, met: value === undefined ? undefined : value <= limit }
}

function timesPeer(results: Results, workload: WorkloadName, peer: string): number {
  return ratio(costs(rowOf(results, workload, ours)), costs(rowOf(results, workload, peer)))
}

function against(results: Results, workload: WorkloadName, peer: string, limit: number): Verdict {
  return verdict(`CPU ÷ ${peer}`, limit, '', timesPeer(results, workload, peer))
}

/** Against the best of several: the largest of the quotients. */
function againstBest(results: Results, workload: WorkloadName, peers: readonly string[], limit: number): Verdict {
  const quotients = peers.map((peer) => timesPeer(results, workload, peer)).filter((value) => !Number.isNaN(value))
  return verdict(`CPU ÷ best of ${peers.join(', ')}`, limit, '', quotients.length === 0 ? undefined : Math.max(...quotients))
}

/** Looking inside TLS, against squid that reads the origin's certificate first, as is usual. */
function interception(results: Results): readonly Budget[] {
  const fresh = median(known(costs(rowOf(results, 'w4c', ours))))
  const seen = (times: number, limitMs: number): readonly Verdict[] => [
    verdict('median ÷ squid ssl-bump', times, '', timesPeer(results, 'w4c', 'squid ssl-bump')), verdict('median', limitMs, ' ms', fresh),
  ]
  return [
    {
      workload: 'W4a',
      floor: [against(results, 'w4a', 'squid ssl-bump', 0.85), against(results, 'w4a', 'http-mitm-proxy', 0.45)],
      goal: [against(results, 'w4a', 'squid ssl-bump', 0.6)],
    },
    {
      workload: 'W4b',
      floor: [against(results, 'w4b', 'http-mitm-proxy', 0.5), against(results, 'w4b', 'squid ssl-bump', 0.2)],
      goal: [against(results, 'w4b', 'http-mitm-proxy', 0.35)],
    },
    { workload: 'W4c', floor: seen(1, 4), goal: seen(0.4, 2) },
  ]
}

function listOf(results: Results, peer: string): ListCost | undefined {
  return results.lists.find((list) => list.peer === peer)
}

function bulk(results: Results, direction: 'download' | 'upload', tunnels: 1 | 32): Budget {
  const name: WorkloadName = `w2-${direction}-${tunnels}`
  return {
    workload: `W2 ${direction}, ${tunnels === 1 ? '1 tunnel' : '32 tunnels'}`,
    floor: [direction === 'download' ? againstBest(results, name, ['squid', 'trafficserver'], 0.85) : against(results, name, 'squid', 1)],
    goal: [against(results, name, 'haproxy spliced', 1)],
  }
}

function refusals(results: Results): Budget {
  const few = costs(rowOf(results, 'w5-10', ours))
  const growth = (): Verdict => verdict('1,000,000 names ÷ 10 names', 1.2, '', ratio(costs(rowOf(results, 'w5-1000000', ours)), few))
  const feed = listOf(results, ours)
  const megabytes = feed === undefined ? undefined : feed.addedBytes / 1e6
  return {
    workload: 'W5',
    floor: [
      against(results, 'w5-10', 'squid', 0.7),
      growth(),
      verdict('load from a feed file', 0.6, ' s', feed?.loadSeconds),
      verdict('added memory', 80, ' MB', megabytes),
      verdict('load from a TOML array', 1, ' s', listOf(results, 'sallyport (TOML array)')?.loadSeconds),
    ],
    goal: [
      against(results, 'w5-10', 'squid', 0.45),
      growth(),
      verdict('load from a feed file', 0.3, ' s', feed?.loadSeconds),
      verdict('added memory', 40, ' MB', megabytes),
    ],
  }
}

/** A decision's cost is the median over the rounds; a stall is the longest of all rounds at a steady rate, for
 * flat out the load itself stalls the loop. */
function journal(results: Results): Budget {
  const perDecision = (limit: number): readonly Verdict[] => journalLoads.map(({ name, title }) =>
    verdict(`CPU per decision, ${title}`, limit, ' µs', median(known(journalFigures(results.journal, name, (cost) => cost.decisionCpu)))))
  const stalls = journalLoads.filter((load) => load.rate !== undefined).flatMap(({ name }) => known(journalFigures(results.journal, name, (cost) => cost.stallMs)))
  const longest = verdict('longest stall', 10, ' ms', stalls.length === 0 ? undefined : Math.max(...stalls))
  return { workload: 'W7', floor: [...perDecision(15), longest], goal: perDecision(5) }
}

/** Each load by itself: many on one question, and a question for each. */
function parked(results: Results): Budget {
  const resident = (limit: number): readonly Verdict[] => parkedLoads.map(({ name, title }) =>
    verdict(`resident, ${title}`, limit, ' KiB', median(known(parkedFigures(results.parked, name, (cost) => cost.residentKiB)))))
  return { workload: 'W6 parked', floor: resident(12), goal: resident(7) }
}

/** Every budget of the workloads that exist, judged by one run. */
export function budgets(results: Results): readonly Budget[] {
  const idle = median(known(costs(rowOf(results, 'w6', ours))))
  return [
    { workload: 'W1', floor: [against(results, 'w1', 'squid', 1.15)], goal: [against(results, 'w1', 'trafficserver', 1)] },
    bulk(results, 'download', 1), bulk(results, 'download', 32), bulk(results, 'upload', 1), bulk(results, 'upload', 32),
    { workload: 'W3', floor: [against(results, 'w3', 'squid', 0.85)], goal: [against(results, 'w3', 'trafficserver', 1)] },
    ...interception(results),
    refusals(results),
    { workload: 'W6 idle tunnel', floor: [verdict('resident', 25, ' KiB', idle)], goal: [verdict('resident', 12, ' KiB', idle)] },
    parked(results),
    ...(['w8-1k', 'w8-100k', 'w8-10m'] as const).map((name) => ({ workload: `W8 ${name.slice(3)}`, floor: [against(results, name, 'squid', 1)], goal: [against(results, name, 'trafficserver', 1)] })),
    journal(results),
  ]
}
