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
  /** reasons as they came, of one character more than is shown where they are longer */
  readonly #bySession = new LRUCache<string, RecentRefusal[]>({ max: maxSessions })
  readonly #counts = new LRUCache<string, number>({ max: maxSessions })

  /** On the way of every refusal, while what it keeps is rarely read: texts are made safe by `of`. */
  note(session: string, timeMs: number, { code, reason, host, requestId, approvalId }: Refusal): void {
    const noted = { timeMs, code, reason: reason.length > maxReason ? reason.slice(0, maxReason + 1) : reason, host, requestId, approvalId }
    // told to come back is not refused
    if (code !== 'approval_pending') this.#counts.set(session, this.count(session) + 1)
    const recent = this.#bySession.get(session)
    if (recent === undefined) {
      this.#bySession.set(session, [noted])
      return
    }
    if (recent.length >= perSession) recent.shift()
    recent.push(noted)
  }

  /** Refusals so far, those told to wait for an approval aside; 0 too for a session that was quiet for very long. */
  count(session: string): number {
    return this.#counts.get(session) ?? 0
  }

  /** Newest first. */
  of(session: string): readonly RecentRefusal[] {
    return (this.#bySession.get(session) ?? []).map((noted) => ({ ...noted, reason: escapeText(noted.reason, maxReason) })).toReversed()
  }
}
