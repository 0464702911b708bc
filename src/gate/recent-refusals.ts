// The last refusals of each session, for `GET /` on the proxy listener: many clients show their user a number
// and nothing else. In memory and bounded; the journal has them all.
import { LRUCache } from 'lru-cache'
import { escapeText } from '../audit/escape.ts'
import type { Refusal } from './refusal.ts'

export interface RecentRefusal {
  /** wall clock, `ms` */
  readonly timeMs: number
  readonly code: string
  /** visible characters only */
  readonly reason: string
  readonly host: string
  readonly requestId: string
  readonly approvalId: string | undefined
}

const maxSessions = 1_000
const perSession = 10
const maxReason = 300

export class RecentRefusals {
  readonly #bySession = new LRUCache<string, RecentRefusal[]>({ max: maxSessions })

  note(session: string, timeMs: number, { code, reason, host, requestId, approvalId }: Refusal): void {
    const recent = this.#bySession.get(session) ?? []
    if (recent.length >= perSession) recent.shift()
    recent.push({ timeMs, code, reason: escapeText(reason, maxReason), host, requestId, approvalId })
    this.#bySession.set(session, recent)
  }

  /** Newest first. */
  of(session: string): readonly RecentRefusal[] {
    return (this.#bySession.get(session) ?? []).toReversed()
  }
}
