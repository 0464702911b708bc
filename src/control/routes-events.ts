// The journal for auditors: pages by sequence number, and a stream that can be resumed where it broke off. It
// only reads; what retention removed is not there.
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'
import { eventsQuery, list, named, object, orNull, string } from './schemas.ts'

interface EventsQuery {
  readonly after?: string
  readonly last?: string
  readonly limit?: string
}

export function eventRoutes(context: ControlContext): readonly Route[] {
  const eventsRoute: Route<unknown, EventsQuery> = {
    method: 'GET',
    path: '/v1/events',
    name: 'listEvents',
    summary: 'Records of the journal by number. With `Accept: text/event-stream` those to come too, as server-sent events: `id` is the number, `Last-Event-ID` goes on from it.',
    needs: ['read_events'],
    headers: ['Last-Event-ID'],
    query: eventsQuery,
    answers: { 200: object({ items: list(named.Record), next_cursor: orNull(string) }) },
    mayStream: true,
    handle: (call) => {
      const { accept } = call.request.headers
      const wantsStream = call.request.method === 'GET' && accept?.toLowerCase().includes('text/event-stream') === true
      return wantsStream ? stream(call, context) : page(call, context)
    },
  }
  return [eventsRoute]
}

async function page({ query }: Call<unknown, EventsQuery>, { deps: { events } }: ControlContext): Promise<Answer> {
  const { after = '0', last, limit = '100' } = query
  if (last !== undefined) {
    if (query.after !== undefined || query.limit !== undefined) throw new ControlFault('invalid', 'the query is not what this call takes', { errors: [{ pointer: '/last', message: 'goes without `after` and `limit`' }] })
    return { body: { items: await events.latest(Number(last)), next_cursor: null } }
  }
  const items = await events.read(Number(after), Number(limit))
  const newest = items.at(-1)
  return { body: { items, next_cursor: newest !== undefined && items.length === Number(limit) ? String(newest.seq) : null } }
}

async function stream(call: Call<unknown, EventsQuery>, context: ControlContext): Promise<undefined> {
  const { events, onFault } = context.deps
  const from = resumeFrom(call)
  const open = await context.openStream(call)
  try {
    for await (const record of events.follow(from, open.signal)) {
      if (open.signal.aborted) break
      await open.send({ id: record.seq, event: record.name, data: record })
    }
  } catch (error) {
    onFault(error)
  } finally {
    open.end()
  }
  return undefined
}

/** A browser that reconnects sends the URL as it was first, and where it got to in Last-Event-ID. */
function resumeFrom({ request, query }: Call<unknown, EventsQuery>): number | undefined {
  const resumed = request.headers['last-event-id']
  if (resumed === undefined) return query.after === undefined ? undefined : Number(query.after)
  if (typeof resumed === 'string' && /^\d{1,15}$/.test(resumed)) return Number(resumed)
  throw new ControlFault('invalid', 'Last-Event-ID is not a number that this stream gave')
}
