// The door's answer where only the cache may answer: a page from it, or what the gate says of a miss. INVARIANT: nothing
// is resolved, dialled or revalidated here; only what the gate admits anew after a miss goes out live.
import { cacheUrl } from '../cache/cache-url.ts'
import { planAnswer, type AnswerPlan } from '../cache/conditional.ts'
import { fieldsOfHit, statusOfMiss } from '../cache/page-source.ts'
import { ageRulesOf, type CacheReader, type Hit, type WebCache } from '../cache/web-cache.ts'
import type { ClientResponse } from '../egress/client-leg.ts'
import { Admitted } from '../gate/admitted.ts'
import { refusal } from '../gate/denial.ts'
import type { IngressContext } from './context.ts'
import type { RequestPresence } from './presence.ts'
import { refuse, type PlainArrival } from './plain.ts'
import type { ReadExchange } from './read-request.ts'

interface Passed {
  readonly admitted: Admitted
  readonly presence: RequestPresence
}

// a page that a reviewer had fetched is there at the second look
const maxLooks = 2

/** Answers from the cache, or refuses. Admitted: a reviewer lets the host be read live, and the caller forwards. */
export async function serveCached(arrival: PlainArrival, context: IngressContext, read: ReadExchange, { admitted, presence }: Passed): Promise<Admitted | undefined> {
  const { webCache, gate } = context
  const { exchange, target } = read
  const rules = ageRulesOf(admitted.policy)
  const { rawHeaders } = arrival.request
  if (webCache === undefined) throw new Error('a web cache was promised and there is none')
  for (let look = 1; ; look++) {
    const looked = webCache.findAnywhere(cacheUrl(target), rawHeaders, exchange.facts.principal, rules)
    const found = looked instanceof Promise ? await looked : looked
    if (found.kind === 'hit' && await answerHit(arrival, context, read, { admitted, found, webCache })) return undefined
    const detail = found.kind === 'hit' ? 'not-in-cache' : found.detail
    webCache.missed(readerOf(read), detail)
    const after = await gate.missed(admitted, missWords[detail], look < maxLooks ? presence : undefined)
    if (after instanceof Admitted) return after
    if (after === 'fetched' && look < maxLooks) continue
    const refused = after === 'fetched' ? refusal(exchange, 'cache_miss', 'what was fetched is no longer in the cache', undefined) : after
    refuse(arrival, context, exchange, { ...refused, cacheStatus: statusOfMiss(detail) }, false)
    return undefined
  }
}

const missWords = {
  'not-in-cache': 'is not in the cache', 'too-old': 'is too old in the cache', stale: 'is stale in the cache',
  'parent-unreachable': 'is not in the cache, and the parent cache cannot be asked', 'parent-doubtful': 'is not in the cache, and what the parent cache has of it is not fit to be read',
} as const

interface Answered {
  readonly admitted: Admitted
  readonly found: Hit
  readonly webCache: WebCache
}

/** False: what was found cannot be read, and nothing was said. */
async function answerHit(arrival: PlainArrival, context: IngressContext, read: ReadExchange, answered: Answered): Promise<boolean> {
  const { request } = arrival
  const { found, webCache } = answered
  try {
    const plan = planAnswer(request.method === 'HEAD' ? 'HEAD' : 'GET', request.rawHeaders, found.entry)
    const body = plan.hasContent ? await webCache.open(found, plan.range) : nothing
    if (body === undefined) return false
    await answerWith(arrival, context, read, { ...answered, plan, body })
    return true
  } finally {
    found.held?.release()
  }
}

interface Answer extends Answered {
  readonly plan: AnswerPlan
  readonly body: AsyncIterable<Uint8Array> | Uint8Array
}

async function answerWith(arrival: PlainArrival, { gate, pseudonym, onFault }: IngressContext, read: ReadExchange, { admitted, found, webCache, plan, body }: Answer): Promise<void> {
  const { request, response, connection } = arrival
  const { status } = plan
  const live = gate.live.open(admitted, () => request.socket.destroy())
  const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
  let isSent = false
  try {
    // pipelined answers go out in order
    if (connection.owed > 1) await connection.turnOf(response)
    if (live.closedBy === undefined && !response.destroyed) {
      response.writeHead(status, plan.reason, [...plan.fields, ...fieldsOfHit(found), 'Via', `1.1 ${pseudonym}`])
      const bytes = await send(response, plan, body, onFault)
      isSent = !response.destroyed || response.writableFinished
      webCache.answered(readerOf(read), found, status, bytes)
    }
  } finally {
    live.done()
    const { closedBy } = live
    gate.ended(read.exchange, closedBy === undefined ? { outcome: isSent ? 'completed' : 'failed', status, ...none } : { outcome: 'expired', code: closedBy, status, ...none })
  }
}

const nothing = new Uint8Array(0)

/** Bytes of content that were sent. What breaks off is cut, so that nobody takes it for whole; its head is out by then. */
async function send(response: ClientResponse, { hasContent }: AnswerPlan, body: AsyncIterable<Uint8Array> | Uint8Array, onFault: (error: unknown) => void): Promise<number> {
  if (body instanceof Uint8Array) {
    if (hasContent && body.length > 0) response.end(body)
    else response.end()
    return body.length
  }
  let bytes = 0
  try {
    for await (const chunk of body) {
      if (response.destroyed) return bytes
      bytes += chunk.length
      if (!response.write(chunk)) await drained(response)
    }
    response.end()
  } catch (error) {
    response.destroy()
    onFault(error)
  }
  return bytes
}

function drained(response: ClientResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
    if (response.destroyed) done()
  })
}

function readerOf({ exchange: { id, facts: { principal, scheme, host, port } }, target: { path, query } }: ReadExchange): CacheReader {
  return { requestId: id, session: principal.session, agent: principal.agent, place: { scheme, host: host.text, port, path, query } }
}
