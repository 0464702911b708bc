// What both forms of a report say in the same words: sections of names and figures. Pure.
import type { Report } from '../audit/report.ts'
import { totalOf, type Counts, type Ranked } from '../audit/report-counts.ts'
import { plural } from './plural.ts'
import { point, span } from './time-words.ts'

export interface Slice {
  readonly label: string
  readonly counts: Counts
}

const hourMs = 3_600_000
const dayMs = 86_400_000
const maxHours = 48

/** The time line: hours where there are few, days where there are many; empty ones are drawn too. */
export function timeSlices({ byHour }: Report): readonly Slice[] {
  const first = byHour[0]?.atMs
  const last = byHour.at(-1)?.atMs
  if (first === undefined || last === undefined) return []
  const stepMs = last - first < maxHours * hourMs ? hourMs : dayMs
  const slices = new Map<number, { allowed: number; asked: number; denied: number; bytesFromClient: number; bytesFromOrigin: number }>()
  for (let at = Math.floor(first / stepMs) * stepMs; at <= last; at += stepMs) slices.set(at, { allowed: 0, asked: 0, denied: 0, bytesFromClient: 0, bytesFromOrigin: 0 })
  for (const { atMs, allowed, asked, denied } of byHour) {
    const slice = slices.get(Math.floor(atMs / stepMs) * stepMs)
    if (slice === undefined) continue
    slice.allowed += allowed
    slice.asked += asked
    slice.denied += denied
  }
  return [...slices].map(([at, counts]) => ({ label: labelOf(at, stepMs), counts }))
}

function labelOf(atMs: number, stepMs: number): string {
  const time = new Date(atMs).toISOString()
  return stepMs === hourMs ? `${time.slice(5, 13).replace('T', ' ')}h` : time.slice(0, 10)
}

/** The first line: when, how many, of how many sessions. */
export function headline({ first, last, totals, sessions, byAgent }: Report, asked: string): string {
  const when = first === undefined || last === undefined ? '' : `${shortTime(first)} to ${shortTime(last)}: `
  const what = asked === '' ? '' : ` (${asked})`
  return `${when}${plural(totalOf(totals), 'decision')} of ${plural(byAgent.length, 'agent')} in ${plural(sessions, 'session')}${what}`
}

/** How questions ended and how long they waited, a line each. */
export function questionLines({ questions }: Report): readonly string[] {
  const { asked, allowed, denied, expired, withdrawn, waitedMs } = questions
  if (asked + allowed + denied + expired + withdrawn === 0) return []
  const lines = [`${plural(asked, 'question')}: ${allowed} allowed, ${denied} denied, ${expired} expired, ${withdrawn} withdrawn`]
  const median = waitedMs.quantile(0.5)
  const most = waitedMs.quantile(0.9)
  if (median !== undefined && most !== undefined) lines.push(`answered after ${span(median)} (median), 9 of 10 within ${span(most)}, the longest after ${span(waitedMs.longestMs)}`)
  return lines
}

const waitBounds = [
  { ms: 10_000, label: 'under 10 s' }, { ms: 60_000, label: 'under 1 min' }, { ms: 300_000, label: 'under 5 min' },
  { ms: 900_000, label: 'under 15 min' }, { ms: 3_600_000, label: 'under 1 h' },
] as const

export function waitBars({ questions }: Report): readonly { readonly label: string; readonly count: number }[] {
  const { waitedMs } = questions
  if (waitedMs.count === 0) return []
  return waitedMs.below(waitBounds.map(({ ms }) => ms)).map((count, at) => ({ label: waitBounds[at]?.label ?? 'longer', count }))
}

/** Groups as they are shown: the first `limit`, and the sum of the rest. */
export function shownGroups(groups: readonly Ranked[], limit: number): readonly Ranked[] {
  if (groups.length <= limit) return groups
  const rest = groups.slice(limit)
  const sum = (of: (counts: Counts) => number): number => rest.reduce((total, each) => total + of(each), 0)
  const others: Ranked = {
    name: plural(rest.length, 'other'),
    allowed: sum(({ allowed }) => allowed), asked: sum(({ asked }) => asked), denied: sum(({ denied }) => denied),
    bytesFromClient: sum(({ bytesFromClient }) => bytesFromClient), bytesFromOrigin: sum(({ bytesFromOrigin }) => bytesFromOrigin),
  }
  return [...groups.slice(0, limit), others]
}

/** A figure that has no teams has nothing to tell them apart by. */
export function hasTeams({ byTeam }: Report): boolean {
  return byTeam.some(({ name }) => name !== '(no team)')
}

/** A time of a record, as people read it. */
export function shortTime(time: string): string {
  return point(Date.parse(time))
}
