// Which records of the journal an actor may read. Who has teams reads what is theirs: records that name one of the teams,
// and those of sessions that the actor may see. What is nobody's, such as the start of the proxy, is for those without.
import type { Actor } from '../approvals/actor.ts'
import { boundsOf, maySee } from '../approvals/review-rules.ts'
import type { Sessions } from '../approvals/session.ts'
import type { SearchScope } from '../audit/index-plan.ts'
import type { JournalRecord } from '../audit/record.ts'

/** Undefined: everything. */
export function eventScope(actor: Actor, sessions: Pick<Sessions, 'list'>): SearchScope | undefined {
  if (boundsOf(actor) === undefined) return undefined
  return { teams: actor.teams, sessions: sessions.list().filter(({ principal }) => maySee(principal, actor)).map(({ id }) => id) }
}

/** The same of one record, at this moment. */
export function mayRead({ attributes }: JournalRecord, actor: Actor, sessions: Pick<Sessions, 'get'>): boolean {
  if (boundsOf(actor) === undefined) return true
  const { 'sallyport.team': team, 'session.id': id } = attributes
  if (typeof team === 'string' && actor.teams.includes(team)) return true
  const session = typeof id === 'string' ? sessions.get(id) : undefined
  return session !== undefined && maySee(session.principal, actor)
}
