// Starts work at a steady rate, or as fast as it goes, and says what it cost this process: CPU time of all its
// threads, wall time, and the longest that its event loop stood still.
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface Driven {
  readonly operations: number
  /** user and system time of the whole process */
  readonly cpuSeconds: number
  readonly wallSeconds: number
  /** longest time that the event loop was late, beyond the millisecond it is looked at in */
  readonly stallMs: number
}

/** When to stop: after so long, or after so many. */
export type Extent = { readonly seconds: number } | { readonly operations: number }

/** the histogram counts the interval itself as delay */
const resolutionMs = 1
/** started in one turn of the loop when nothing paces it: as many clients as one poll may find ready */
const perTurn = 32
const maxInFlight = 1024

/** How many operations should have been started after `elapsedMs`. */
export function due(elapsedMs: number, rate: number): number {
  return Math.floor((elapsedMs * rate) / 1000)
}

/** The longest delay of a histogram as a stall; `ns` in, `ms` out. */
export function stallOf(longestDelayNs: number): number {
  return Math.max(0, longestDelayNs / 1e6 - resolutionMs)
}

/**
 * Runs `work` at `rate` a second, or flat out without one; resolves when all of it is done, rejects with the
 * first that failed.
 */
export async function drive(rate: number | undefined, extent: Extent, work: (place: number) => Promise<void>): Promise<Driven> {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  await new Promise((resolve) => setTimeout(resolve, 20))
  delay.reset()
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const operations = await startAll(rate, extent, work, began)
  const wallSeconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  // a stall at the very end is seen one interval later
  await new Promise((resolve) => setTimeout(resolve, 5))
  delay.disable()
  return { operations, cpuSeconds: (user + system) / 1e6, wallSeconds, stallMs: stallOf(delay.max) }
}

function startAll(rate: number | undefined, extent: Extent, work: (place: number) => Promise<void>, began: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let started = 0
  let inFlight = 0
  let isOver = false
  const settled = (): void => {
    inFlight--
    if (isOver && inFlight === 0) resolve(started)
  }
  const wanted = (elapsedMs: number): number => {
    const most = 'operations' in extent ? extent.operations : Infinity
    const paced = rate === undefined ? started + Math.min(perTurn, maxInFlight - inFlight) : due(elapsedMs, rate)
    return Math.min(most, paced)
  }
  const turn = (): void => {
    const elapsedMs = performance.now() - began
    for (const target = wanted(elapsedMs); started < target; started++) {
      inFlight++
      work(started).then(settled, reject)
    }
    isOver = 'operations' in extent ? started >= extent.operations : elapsedMs >= extent.seconds * 1000
    if (isOver) {
      if (inFlight === 0) resolve(started)
    } else if (rate === undefined) setImmediate(turn)
    else setTimeout(turn, 1)
  }
  turn()
  return promise
}
