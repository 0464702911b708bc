// Times as people write and read them: `15m` in, `3 min` out. Pure.
import { UsageError } from './run.ts'

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `15m`, `8h`, `7d`: as the control API takes it. */
export function isDuration(text: string): boolean {
  return /^[1-9]\d{0,6}[smhd]$/.test(text)
}

/** The text itself, when it is a duration; throws UsageError. */
export function readDuration(option: string, text: string): string {
  if (!isDuration(text)) throw new UsageError(`\`${option} ${text}\` is not a time such as 30s, 15m, 8h or 7d`)
  return text
}

/** `ms` of a duration; throws UsageError. */
export function durationMs(option: string, text: string): number {
  const duration = readDuration(option, text)
  return Number(duration.slice(0, -1)) * (unitMs[duration.slice(-1)] ?? 0)
}

/** A point in time for the API, RFC 3339; a time without zone is this machine's. Throws UsageError. */
export function readPoint(option: string, text: string, nowMs: number): string {
  const ms = pointMs(text)
  if (Number.isNaN(ms)) throw new UsageError(`\`${option} ${text}\` is not a time such as 2027-01-31T18:00Z`)
  if (ms <= nowMs) throw new UsageError(`\`${option} ${text}\` is past`)
  return new Date(ms).toISOString()
}

function pointMs(text: string): number {
  return /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/i.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN
}

/** A point in the past, wall clock, `ms`: `2h` is two hours ago; a time without zone is this machine's. Throws UsageError. */
export function readPast(option: string, text: string, nowMs: number): number {
  if (isDuration(text)) return nowMs - durationMs(option, text)
  const ms = pointMs(text)
  if (Number.isNaN(ms)) throw new UsageError(`\`${option} ${text}\` is neither a time ago such as 15m, 8h or 7d nor a time such as 2027-01-31T18:00Z`)
  return ms
}

/** `12 s`, `3 min`, `5 h`, `2 d`; never negative. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  if (seconds < 100 * 60) return `${Math.floor(seconds / 60)} min`
  if (seconds < 100 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** `2027-01-31 18:00Z` */
export function point(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`
}
