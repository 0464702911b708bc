// The journal for auditors: pages of records that fit, all of them as lines to download, and a stream that can be resumed
// where it broke off. It only reads; what retention removed is not there.
import { Readable } from 'node:stream'
import type { EventPage } from '../audit/event-search.ts'
import { escapeNonAscii } from '../audit/json-text.ts'
import { SearchUnavailable } from '../audit/journal-searcher.ts'
import type { JournalRecord } from '../audit/record.ts'
import type { RecordFilter } from '../audit/record-filter.ts'
import type { Search } from '../audit/record-search.ts'
import { isStillKnown } from './auth.ts'
import type { ControlContext } from './context.ts'
import { QueryFault, readEventQuery, type EventWords } from './event-query.ts'
import { eventsQuery } from './event-schemas.ts'
import { eventScope, mayRead } from './event-scope.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'
import { list, named, object, orNull, string } from './schemas.ts'

interface EventsQuery extends EventWords {
  readonly after?: string
  readonly last?: string
  readonly limit?: string
}

type EventsCall = Call<unknown, EventsQuery>

/** A search that has taken this long tells what it has, and where to go on. */
const budgetMs = 5000
const linesPage = 500

export function eventRoutes(context: ControlContext): readonly Route[] {
  const eventsRoute: Route<unknown, EventsQuery> = {
    method: 'GET',
    path: '/v1/events',
    name: 'listEvents',
    summary: 'Records of the journal that fit, by number. A page may hold fewer than `limit`, or none, and still have a `next_cursor`. With `Accept: application/x-ndjson` one record a line, all there are now. With `Accept: text/event-stream` those to come too, as server-sent events: `id` is the number, `Last-Event-ID` goes on from it.',
    needs: ['read_events'],
    headers: ['Last-Event-ID'],
    query: eventsQuery,
    answers: { 200: object({ items: list(named.Record), next_cursor: orNull(string) }) },
    faults: ['search_unavailable'],
    mayStream: true,
    mayBeLines: true,
    handle: async (call) => {
      const accept = call.request.method === 'GET' ? (call.request.headers.accept?.toLowerCase() ?? '') : ''
      const filter = filterOf(call.query, context.deps.clock.now())
      if (accept.includes('text/event-stream')) return stream(call, filter, context)
      return accept.includes('application/x-ndjson') ? lines(call, filter, context) : page(call, filter, context)
    },
  }
  return [eventsRoute]
}

function filterOf(query: EventsQuery, nowMs: number): RecordFilter {
  if (query.last !== undefined && (query.after !== undefined || query.limit !== undefined)) throw invalid('last', 'goes without `after` and `limit`')
  try {
    return readEventQuery(query, nowMs)
  } catch (error) {
    if (error instanceof QueryFault) throw invalid(error.word, error.message)
    throw error
  }
}

function invalid(word: string, message: string): ControlFault {
  return new ControlFault('invalid', 'the query is not what this call takes', { errors: [{ pointer: `/${word}`, message }] })
}

function searchOf({ query: { after = '0', last, limit = '100' }, actor }: EventsCall, { question }: RecordFilter, { deps }: ControlContext): Search {
  const scope = eventScope(actor, deps.sessions)
  if (last !== undefined) return { question, scope, from: 'newest', limit: Number(last) }
  return { question, scope, from: 'oldest', limit: Number(limit), afterSeq: Number(after), budgetMs }
}

async function page(call: EventsCall, filter: RecordFilter, context: ControlContext): Promise<Answer> {
  const { records, lookedTo } = await ask(searchOf(call, filter, context), context)
  return { body: { items: records, next_cursor: lookedTo === undefined || call.query.last !== undefined ? null : String(lookedTo) } }
}

async function ask(search: Search, { deps }: ControlContext): Promise<EventPage> {
  try {
    return await deps.search(search)
  } catch (error) {
    if (error instanceof SearchUnavailable) throw new ControlFault('search_unavailable', 'the journal cannot be searched at this moment', { headers: { 'retry-after': '2' } })
    throw error
  }
}

/** Page after page on one connection: whoever downloads goes on with `after` the number of the last line. */
async function lines(call: EventsCall, filter: RecordFilter, context: ControlContext): Promise<Answer> {
  const search = searchOf(call, filter, context)
  // what cannot be answered at all is a problem like any other, and no line
  const first = await ask({ ...search, limit: Math.min(search.limit, linesPage) }, context)
  const isAll = call.query.limit === undefined && call.query.last === undefined
  if (!isAll) return { headers: linesType, body: Readable.from(first.records.map(lineOf)) }
  const release = context.takeStream(call.actor)
  const body = Readable.from(allLines(call, { ...search, limit: linesPage }, first, context))
  body.once('close', release)
  return { headers: linesType, body }
}

const linesType = { 'content-type': 'application/x-ndjson; charset=utf-8', 'content-disposition': 'attachment; filename="events.jsonl"' }

async function* allLines({ actor, request }: EventsCall, search: Search, first: EventPage, context: ControlContext): AsyncGenerator<string> {
  let answer = first
  for (;;) {
    if (answer.records.length > 0) yield answer.records.map(lineOf).join('')
    if (answer.lookedTo === undefined) return
    // thrown here, it breaks the connection off: what was sent is not taken for all there is
    if (context.isClosing || !isStillKnown(actor, request.secret, context.deps)) throw new Error('whoever downloads may no longer read')
    answer = await ask({ ...search, afterSeq: answer.lookedTo }, context)
  }
}

function lineOf(record: JournalRecord): string {
  return `${escapeNonAscii(JSON.stringify(record))}\n`
}

async function stream(call: EventsCall, filter: RecordFilter, context: ControlContext): Promise<undefined> {
  const { events, onFault, sessions } = context.deps
  const from = resumeFrom(call)
  const open = await context.openStream(call)
  try {
    for await (const record of events.follow(from, open.signal)) {
      if (open.signal.aborted) break
      if (mayRead(record, call.actor, sessions) && filter.matches(record)) await open.send({ id: record.seq, event: record.name, data: record })
    }
  } catch (error) {
    onFault(error)
  } finally {
    open.end()
  }
  return undefined
}

/** A browser that reconnects sends the URL as it was first, and where it got to in Last-Event-ID. */
function resumeFrom({ request, query }: EventsCall): number | undefined {
  const resumed = request.headers['last-event-id']
  if (resumed === undefined) return query.after === undefined ? undefined : Number(query.after)
  if (typeof resumed === 'string' && /^\d{1,15}$/.test(resumed)) return Number(resumed)
  throw new ControlFault('invalid', 'Last-Event-ID is not a number that this stream gave')
}
