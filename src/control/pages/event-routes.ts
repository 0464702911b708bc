// The page of events over HTTP: what is asked stands in the URL, as a form without script sends it.
import type { FastifyInstance, FastifyReply } from 'fastify'
import { SearchUnavailable } from '../../audit/journal-searcher.ts'
import { globFields, wordFields } from '../../audit/record-filter.ts'
import type { Search } from '../../audit/record-search.ts'
import { QueryFault, readEventQuery, type EventWords } from '../event-query.ts'
import { eventScope } from '../event-scope.ts'
import { eventsPage, isStory } from './events-page.ts'
import { look, send, type Door, type Visit } from './page-door.ts'

/** Records on a page. */
const shown = 100
const storyLength = 500

export function addEventRoutes(scope: FastifyInstance, door: Door): void {
  look(scope, door, '/events', 'events', (visit) => showEvents(door, visit))
}

async function showEvents({ deps }: Door, visit: Visit): Promise<FastifyReply> {
  const words = wordsOf(visit)
  const { actor, nowMs } = visit.view
  const nothing = { words, events: [], olderThan: undefined }
  try {
    const { question } = readEventQuery(words, nowMs)
    const before = /^\d{1,15}$/.exec(textOf(visit, 'before') ?? '')?.[0]
    const search: Search = { question, scope: eventScope(actor, deps.sessions), beforeSeq: before === undefined ? undefined : Number(before), ...(isStory(words) ? { from: 'oldest', limit: storyLength } : { from: 'newest', limit: shown }) }
    const { records, lookedTo } = await deps.search(search)
    return send(visit, eventsPage(isStory(words) ? { words, events: records, olderThan: undefined } : { words, events: records.toReversed(), olderThan: lookedTo }))
  } catch (error) {
    if (error instanceof QueryFault) return send(visit, eventsPage({ ...nothing, fault: `${error.word}: ${error.message}.` }), 400)
    if (error instanceof SearchUnavailable) return send(visit, eventsPage({ ...nothing, fault: 'The journal cannot be searched at this moment. Try again.' }), 503)
    throw error
  }
}

function wordsOf(visit: Visit): EventWords {
  return Object.fromEntries([...globFields, ...wordFields, 'since', 'until'].map((name) => [name, textOf(visit, name)]))
}

function textOf({ request }: Visit, name: string): string | undefined {
  const value = request.query[name]
  return typeof value === 'string' ? value.trim().slice(0, 257) : undefined
}
