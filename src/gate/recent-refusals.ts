// The last refusals of each session, for `GET /` on the proxy listener, because many clients show their user a
// number and nothing else; and how many there were. In memory and bounded; the journal has them all.
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
  readonly #counts = new LRUCache<string, number>({ max: maxSessions })

  note(session: string, timeMs: number, { code, reason, host, requestId, approvalId }: Refusal): void {
    const recent = this.#bySession.get(session) ?? []
    if (recent.length >= perSession) recent.shift()
    recent.push({ timeMs, code, reason: escapeText(reason, maxReason), host, requestId, approvalId })
    this.#bySession.set(session, recent)
    // told to come back is not refused
    if (code !== 'approval_pending') this.#counts.set(session, this.count(session) + 1)
  }

  /** Refusals so far, those told to wait for an approval aside; 0 too for a session that was quiet for very long. */
  count(session: string): number {
    return this.#counts.get(session) ?? 0
  }

  /** Newest first. */
  of(session: string): readonly RecentRefusal[] {
    return (this.#bySession.get(session) ?? []).toReversed()
  }
}
