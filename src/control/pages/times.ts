// Times as people read them. The script counts on from what stands in `data-since`; without it the text
// stays what it was when the page was made. It must never show a time without its zone.
import { html, type Html } from './html.ts'

const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** `12 s`, `3 min`, `2 h`, `5 d`: rounded down; what is not yet is `0 s`. */
export function spanText(ms: number): string {
  if (ms < minuteMs) return `${Math.max(0, Math.floor(ms / secondMs))} s`
  if (ms < hourMs) return `${Math.floor(ms / minuteMs)} min`
  if (ms < 2 * dayMs) return `${Math.floor(ms / hourMs)} h`
  return `${Math.floor(ms / dayMs)} d`
}

/** `2026-11-20 14:32:05 UTC` */
export function dateText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `12 s ago`, with the date as its title. */
export function ago(ms: number, nowMs: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}" title="${dateText(ms)}" data-since="${ms}" data-suffix=" ago">${spanText(nowMs - ms)} ago</time>`
}

/** `12 s`: how long something has been so. */
export function since(ms: number, nowMs: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}" title="since ${dateText(ms)}" data-since="${ms}">${spanText(nowMs - ms)}</time>`
}

/** `2026-11-20 14:32:05 UTC, in 3 min` */
export function until(ms: number, nowMs: number): Html {
  const rest = ms <= nowMs ? 'now' : `in ${spanText(ms - nowMs)}`
  return html`<time datetime="${new Date(ms).toISOString()}">${dateText(ms)}</time>, ${rest}`
}

/** How long an answer may hold, as the forms offer it. */
export const durations: ReadonlyMap<string, { readonly ms: number; readonly text: string }> = new Map([
  ['15m', { ms: 15 * minuteMs, text: '15 minutes' }],
  ['1h', { ms: hourMs, text: '1 hour' }],
  ['8h', { ms: 8 * hourMs, text: '8 hours' }],
  ['24h', { ms: dayMs, text: '24 hours' }],
])
