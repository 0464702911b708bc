// The door's answer where only the cache may answer: a page from it, or what the gate says of a miss. INVARIANT: nothing
// is resolved, dialled or revalidated here; only what the gate admits anew after a miss goes out live.
import { cacheUrl } from '../cache/cache-url.ts'
import { planAnswer, type AnswerPlan } from '../cache/conditional.ts'
import { madeFields, missStatus } from '../cache/freshness.ts'
import type { CacheReader, Hit, WebCache } from '../cache/web-cache.ts'
import type { KnownHead } from '../egress/client-leg.ts'
import { Admitted } from '../gate/admitted.ts'
import { refusal } from '../gate/denial.ts'
import type { LiveExchange } from '../gate/live-exchanges.ts'
import { endWith, isOnePiece, pour, type Outlet } from './content.ts'
import type { IngressContext } from './context.ts'
import { knownHead } from './plain-answer.ts'
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
  const { webFetch } = admitted.policy
  const rules = { maxAgeMs: webFetch?.maxAgeMs, staleOk: webFetch?.staleOk ?? true }
  const { rawHeaders } = arrival.request
  if (webCache === undefined) throw new Error('a web cache was promised and there is none')
  for (let look = 1; ; look++) {
    const found = webCache.find(cacheUrl(target), rawHeaders, exchange.facts.principal, rules)
    if (found.kind === 'hit') {
      const isAnswered = answerHit(arrival, context, read, { admitted, found, webCache })
      if (isAnswered === true || await isAnswered) return undefined
    }
    const detail = found.kind === 'hit' ? 'not-in-cache' : found.detail
    webCache.missed(readerOf(read), detail)
    const after = await gate.missed(admitted, missWords[detail], look < maxLooks ? presence : undefined)
    if (after instanceof Admitted) return after
    if (after === 'fetched' && look < maxLooks) continue
    const refused = after === 'fetched' ? refusal(exchange, 'cache_miss', 'what was fetched is no longer in the cache', undefined) : after
    refuse(arrival, context, exchange, { ...refused, cacheStatus: missStatus(detail) }, false)
    return undefined
  }
}

const missWords = { 'not-in-cache': 'is not in the cache', 'too-old': 'is too old in the cache', stale: 'is stale in the cache' } as const

interface Answered {
  readonly admitted: Admitted
  readonly found: Hit
  readonly webCache: WebCache
}

/** False: what was found cannot be read, and nothing was said. Whoever need not wait is answered before this returns. */
function answerHit(arrival: PlainArrival, context: IngressContext, read: ReadExchange, answered: Answered): boolean | Promise<boolean> {
  const { request, connection } = arrival
  const { found: { entry }, webCache } = answered
  const plan = planAnswer(request.method === 'HEAD' ? 'HEAD' : 'GET', request.rawHeaders, entry)
  const content = plan.hasContent ? webCache.readHot(entry, plan.range) : nothing
  if (content === undefined || !isOnePiece(content) || connection.owed > 1) return answerInTurn(arrival, context, read, answered, { plan, content })
  const answer = new HitAnswer(arrival, context, read, answered, plan)
  try {
    if (answer.open()) {
      endWith(answer.outlet, content)
      answer.sent(content.length)
    }
  } finally {
    answer.over()
  }
  return true
}

async function answerInTurn(arrival: PlainArrival, context: IngressContext, read: ReadExchange, answered: Answered, { plan, content }: { readonly plan: AnswerPlan; readonly content: Uint8Array | undefined }): Promise<boolean> {
  const body = content ?? await answered.webCache.read(answered.found.entry, plan.range)
  if (body === undefined) return false
  const answer = new HitAnswer(arrival, context, read, answered, plan)
  try {
    // pipelined answers go out in order
    if (arrival.connection.owed > 1) await arrival.connection.turnOf(arrival.response)
    if (answer.open()) answer.sent(await pour(answer.outlet, body))
  } finally {
    answer.over()
  }
  return true
}

const nothing = new Uint8Array(0)

/** One answer, from the moment its content is at hand: it is judged again when the policy changes, and its end is journaled. */
class HitAnswer {
  readonly outlet: Outlet
  readonly #context: IngressContext
  readonly #read: ReadExchange
  readonly #answered: Answered
  readonly #plan: AnswerPlan
  readonly #live: LiveExchange
  #isSent = false

  constructor({ request, response }: PlainArrival, context: IngressContext, read: ReadExchange, answered: Answered, plan: AnswerPlan) {
    this.outlet = { response, deadlines: context.idleDeadlines }
    this.#context = context
    this.#read = read
    this.#answered = answered
    this.#plan = plan
    this.#live = context.gate.live.open(answered.admitted, () => request.socket.destroy())
  }

  /** Writes the head; false: it was closed, or the client has left. */
  open(): boolean {
    const { response } = this.outlet
    if (this.#live.closedBy !== undefined || response.destroyed) return false
    const { entry, standing } = this.#answered.found
    const made = [...madeFields(entry, standing), 'Via', `1.1 ${this.#context.pseudonym}`]
    if (response.writeKnownHead === undefined) response.writeHead(this.#plan.status, this.#plan.reason, [...this.#plan.fields, ...made])
    else response.writeKnownHead(headOf(this.#plan), made)
    return true
  }

  /** The connection took `bytes` of content. */
  sent(bytes: number): void {
    const { response } = this.outlet
    const { found, webCache } = this.#answered
    this.#isSent = !response.destroyed || response.writableFinished
    webCache.answered(readerOf(this.#read), found, this.#plan.status, bytes)
  }

  over(): void {
    const { gate } = this.#context
    const { closedBy } = this.#live
    this.#live.done()
    const { status } = this.#plan
    const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
    gate.ended(this.#read.exchange, closedBy === undefined ? { outcome: this.#isSent ? 'completed' : 'failed', status, ...none } : { outcome: 'expired', code: closedBy, status, ...none })
  }
}

/** A page that is asked for plainly has one plan for all of its hits. */
function headOf(plan: AnswerPlan): KnownHead {
  const known = heads.get(plan)
  if (known !== undefined) return known
  const head = knownHead(plan.status, plan.reason, plan.fields)
  // in one piece it is copied faster
  const made = { ...head, text: Buffer.from(head.text, 'latin1').toString('latin1') }
  heads.set(plan, made)
  return made
}

const heads = new WeakMap<AnswerPlan, KnownHead>()

function readerOf({ exchange: { id, facts: { principal, scheme, host, port } }, target: { path, query } }: ReadExchange): CacheReader {
  return { requestId: id, session: principal.session, agent: principal.agent, place: { scheme, host: host.text, port, path, query } }
}
