// What the pages are given. They see the domain through these and nothing else.
import type { Actor, ControlTokens } from '../../approvals/actor.ts'
import type { Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import type { Desk } from '../../approvals/desk.ts'
import type { EventSearch } from '../../audit/event-search.ts'
import type { Sessions } from '../../approvals/session.ts'
import type { Clock } from '../../clock.ts'

export interface PageDeps {
  readonly desk: Desk
  card(approval: Approval, actor: Actor): Card
  readonly sessions: Sessions
  readonly tokens: ControlTokens
  /** of the journal; rejects with SearchUnavailable where no answer came in time */
  readonly search: EventSearch
  /** `sallyport_` and 8 hex digits of the instance */
  readonly cookieName: string
  readonly clock: Clock
  /** where pages asked for by an address of this machine, or as `localhost`, are sent: a cookie of those would go to every
   * port, a web server of the agent's too. Absent: nowhere */
  readonly ownHost?: string | undefined
  /** the listener speaks TLS */
  readonly isSecure: boolean
  /** 32 random bytes; with other ones every open form ends */
  readonly csrfKey: Uint8Array
  /** Called with what no page expected; the reader sees one sentence. */
  onFault?(error: unknown, requestId: string): void
}
