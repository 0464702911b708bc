// The parked part of W6: what is parked, its figures, and how they come out of what was measured. Pure; nothing
// here measures.

/** How parked requests are spread. The product of the three is how many there are. */
export interface ParkedLoad {
  readonly name: 'shared' | 'own'
  readonly title: string
  readonly sessions: number
  /** that each session asks for */
  readonly hosts: number
  /** that each session opens to each host; equal ones share a question */
  readonly connections: number
}

export const parkedLoads: readonly ParkedLoad[] = [
  { name: 'shared', title: '10 on each question', sessions: 500, hosts: 2, connections: 10 },
  { name: 'own', title: 'each its own question', sessions: 500, hosts: 20, connections: 1 },
]

/** A smaller load of the same kind, for a first look. */
export function quickened(load: ParkedLoad): ParkedLoad {
  return { ...load, sessions: load.sessions / 5 }
}

export function parkedOf({ sessions, hosts, connections }: ParkedLoad): number {
  return sessions * hosts * connections
}

/** What one process was seen to do; times in `ms`. */
export interface ParkedMeasured {
  readonly parked: number
  readonly questions: number
  /** resident bytes of the proxy, with the first batch parked and with the second one too */
  readonly residentBefore: number
  readonly residentAfter: number
  /** from the first connection of the second batch until its last question was journaled */
  readonly parkMs: number
  /** requests that left when all clients closed, and how long it took until the last was seen to have */
  readonly left: number
  readonly leaveMs: number
  /** from the first decision being sent until the last client had its answer */
  readonly releaseMs: number
  /** from the answer to the last decision until then; 0 when the client was first */
  readonly lastReleaseMs: number
  /** from a decision being sent until its client had the first byte, one hold at a time */
  readonly latenciesMs: readonly number[]
}

export interface ParkedCost {
  readonly load: ParkedLoad['name']
  readonly parked: number
  readonly questions: number
  /** KiB that each parked request of the second batch adds */
  readonly residentKiB: number
  /** parked per second */
  readonly parkRate: number
  /** `s` */
  readonly leaveSeconds: number
  readonly left: number
  /** `s` */
  readonly releaseSeconds: number
  readonly lastReleaseMs: number
  /** `ms` */
  readonly latencyP50: number
  readonly latencyP99: number
}

export interface ParkedRound {
  readonly costs: readonly ParkedCost[]
  /** share of the proxy's core that other work of the machine took meanwhile, 0 to 1 */
  readonly foreign: number
}

/** The parked part of a run, round by round. */
export interface ParkedRuns {
  /** null: the round failed */
  readonly rounds: readonly (ParkedRound | null)[]
  /** what went wrong first, if anything did */
  readonly error?: string
}

/** The smallest value that is not below `share` (0 to 1) of all. Throws when there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
  if (value === undefined) throw new Error('there is nothing to take a percentile of')
  return value
}

/** Throws when the run was not what it should be. */
export function parkedCost(load: ParkedLoad, measured: ParkedMeasured): ParkedCost {
  const { parked, questions, residentBefore, residentAfter, parkMs, left, leaveMs, releaseMs, lastReleaseMs, latenciesMs } = measured
  if (parked !== parkedOf(load)) throw new Error(`${load.title}: ${parked} were parked, not ${parkedOf(load)}`)
  if (questions !== load.sessions * load.hosts) throw new Error(`${load.title}: ${questions} questions were open, not ${load.sessions * load.hosts}`)
  return {
    load: load.name,
    parked,
    questions,
    residentKiB: (residentAfter - residentBefore) / 1024 / parked,
    parkRate: parked / (parkMs / 1000),
    leaveSeconds: leaveMs / 1000,
    left,
    releaseSeconds: releaseMs / 1000,
    lastReleaseMs,
    latencyP50: percentile(latenciesMs, 0.5),
    latencyP99: percentile(latenciesMs, 0.99),
  }
}

/** One figure of one load over the rounds; a round that failed is undefined. */
export function parkedFigures(runs: ParkedRuns | undefined, load: ParkedLoad['name'], pick: (cost: ParkedCost) => number): readonly (number | undefined)[] {
  return (runs?.rounds ?? []).map((round) => {
    const cost = round?.costs.find((entry) => entry.load === load)
    return cost === undefined ? undefined : pick(cost)
  })
}
