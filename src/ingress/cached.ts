// The door's answer where only the cache may answer: a page from it, or what the gate says of a miss. INVARIANT: nothing
// is resolved, dialled or revalidated here; only what the gate admits anew after a miss goes out live.
import { ageRulesOf, type CacheReader, type Hit, type Miss, type WebCache } from '../cache/web-cache.ts'
import { cacheUrl } from '../cache/cache-url.ts'
import { planAnswer, type AnswerPlan } from '../cache/conditional.ts'
import { fieldsOfHit, statusOfMiss } from '../cache/page-source.ts'
import type { ClientResponse } from '../egress/client-leg.ts'
import { Admitted } from '../gate/admitted.ts'
import { refusal } from '../gate/denial.ts'
import type { Exchange } from '../gate/exchange.ts'
import type { LiveExchange } from '../gate/live-exchanges.ts'
import type { Presence } from '../gate/presence.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { TargetUri } from '../target/target-uri.ts'
import { endWith, isOnePiece, pour, watchEnd, type Content } from './content.ts'
import type { IngressContext } from './context.ts'
import { refuse, type PlainArrival } from './plain.ts'
import type { ReadExchange } from './read-request.ts'
import { headOf } from './rendered-pages.ts'

interface Passed {
  readonly admitted: Admitted
  readonly presence: Presence
}

/** What is looked for, and how it was asked for. */
export interface CacheQuestion extends Passed {
  readonly target: TargetUri
  readonly method: 'GET' | 'HEAD'
  /** of the request, flat */
  readonly fields: readonly string[]
}

/** A page that is there. */
export class CachedPage {
  readonly kind = 'page'
  readonly found: Hit
  readonly plan: AnswerPlan
  /** of no bytes where the plan has none */
  readonly content: Content
  readonly #context: IngressContext
  readonly #question: CacheQuestion

  constructor(found: Hit, plan: AnswerPlan, content: Content, context: IngressContext, question: CacheQuestion) {
    this.found = found
    this.plan = plan
    this.content = content
    this.#context = context
    this.#question = question
  }

  /** What the cache says of it, flat: Age, Cache-Status. */
  get made(): readonly string[] {
    return fieldsOfHit(this.found)
  }

  /** Journals that it was answered, with `bytes` of content. */
  answered(bytes: number): void {
    this.#context.webCache?.answered(readerOf(this.#question), this.found, this.plan.status, bytes)
  }

  /** It is not read any more. */
  release(): void {
    const { found: { held }, content } = this
    held?.release()
    // whoever left before its turn has not begun to read, and its file is open
    if (!(content instanceof Uint8Array)) content[Symbol.asyncIterator]().return?.().catch(this.#context.onFault)
  }
}

/** A page, or why there is none. */
type Looked = CachedPage | Miss['detail']

// a page that a reviewer had fetched is there at the second look
const maxLooks = 2

/** What every door answers with where only the cache may answer; no promise where it is at hand. Admitted: a reviewer lets
 * the host be read live, and the caller forwards. */
export function lookUp(context: IngressContext, question: CacheQuestion): CachedPage | Promise<CachedPage | Admitted | Refusal> {
  const looked = look(context, question)
  return looked instanceof CachedPage ? looked : lookFurther(context, question, looked)
}

async function lookFurther(context: IngressContext, question: CacheQuestion, first: Looked | Promise<Looked>): Promise<CachedPage | Admitted | Refusal> {
  const { webCache, gate } = context
  const { admitted, presence } = question
  let looked = await first
  for (let looks = 1; ; looks++) {
    if (looked instanceof CachedPage) return looked
    webCache?.missed(readerOf(question), looked)
    const after = await gate.missed(admitted, missWords[looked], looks < maxLooks ? presence : undefined)
    if (after instanceof Admitted) return after
    if (after === 'fetched' && looks < maxLooks) {
      looked = await look(context, question)
      continue
    }
    const refused = after === 'fetched' ? refusal(admitted.exchange, 'cache_miss', 'what was fetched is no longer in the cache', undefined) : after
    return { ...refused, cacheStatus: statusOfMiss(looked) }
  }
}

function look(context: IngressContext, question: CacheQuestion): Looked | Promise<Looked> {
  const { admitted: { exchange, policy }, target, fields } = question
  const { webCache } = context
  if (webCache === undefined) throw new Error('a web cache was promised and there is none')
  const found = webCache.findAnywhere(cacheUrl(target), fields, exchange.facts.principal, ageRulesOf(policy))
  return found instanceof Promise ? found.then((later) => pageOf(webCache, later, context, question)) : pageOf(webCache, found, context, question)
}

const missWords = {
  'not-in-cache': 'is not in the cache', 'too-old': 'is too old in the cache', stale: 'is stale in the cache',
  'parent-unreachable': 'is not in the cache, and the parent cache cannot be asked', 'parent-doubtful': 'is not in the cache, and what the parent cache has of it is not fit to be read',
} as const
const nothing = new Uint8Array(0)

function pageOf(webCache: WebCache, found: Hit | Miss, context: IngressContext, question: CacheQuestion): Looked | Promise<Looked> {
  if (found.kind === 'miss') return found.detail
  try {
    const plan = planAnswer(question.method, question.fields, found.entry)
    const content = plan.hasContent ? webCache.open(found, plan.range) : nothing
    return content instanceof Promise ? pageWhenRead(content, found, plan, context, question) : new CachedPage(found, plan, content, context, question)
  } catch (error) {
    found.held?.release()
    throw error
  }
}

async function pageWhenRead(reading: Promise<Content | undefined>, found: Hit, plan: AnswerPlan, context: IngressContext, question: CacheQuestion): Promise<Looked> {
  let content: Content | undefined
  try {
    content = await reading
    // found, and gone or damaged
    return content === undefined ? 'not-in-cache' : new CachedPage(found, plan, content, context, question)
  } finally {
    if (content === undefined) found.held?.release()
  }
}

/** Answers from the cache, or refuses. Admitted: the caller forwards. A page that is at hand is answered at once. */
export function serveCached(arrival: PlainArrival, context: IngressContext, read: ReadExchange, { admitted, presence }: Passed): Promise<Admitted | undefined> | undefined {
  const { method, rawHeaders } = arrival.request
  const answer = lookUp(context, { admitted, presence, target: read.target, method: method === 'HEAD' ? 'HEAD' : 'GET', fields: rawHeaders })
  if (!(answer instanceof CachedPage) || !isOnePiece(answer.content) || arrival.connection.owed > 1) return serveLater(arrival, context, read.exchange, admitted, answer)
  answerNow(arrival, context, admitted, answer, answer.content)
  return undefined
}

async function serveLater(arrival: PlainArrival, context: IngressContext, exchange: Exchange, admitted: Admitted, looking: ReturnType<typeof lookUp>): Promise<Admitted | undefined> {
  const answer = await looking
  if (answer instanceof Admitted) return answer
  if (answer.kind === 'page') await answerLater(arrival, context, admitted, answer).finally(() => answer.release())
  else refuse(arrival, context, exchange, answer, false)
  return undefined
}

/** One piece that nobody has to wait for. */
function answerNow(arrival: PlainArrival, context: IngressContext, admitted: Admitted, page: CachedPage, content: Uint8Array): void {
  const { request, response } = arrival
  const live = context.gate.live.open(admitted, () => request.socket.destroy())
  let isSent = false
  try {
    if (live.closedBy === undefined && !response.destroyed) {
      const outlet = { response, deadlines: context.idleDeadlines }
      if (context.renderedPages.answer(response, page, content, viaOf(context))) {
        watchEnd(outlet)
      } else {
        writeHead(response, page, context)
        endWith(outlet, content)
      }
      isSent = !response.destroyed || response.writableFinished
      page.answered(content.length)
    }
  } finally {
    page.release()
    finish(context, admitted, live, page.plan, isSent)
  }
}

async function answerLater({ request, response, connection }: PlainArrival, context: IngressContext, admitted: Admitted, page: CachedPage): Promise<void> {
  const live = context.gate.live.open(admitted, () => request.socket.destroy())
  let isSent = false
  try {
    // pipelined answers go out in order
    if (connection.owed > 1) await connection.turnOf(response)
    if (live.closedBy === undefined && !response.destroyed) {
      writeHead(response, page, context)
      // its head is out: what breaks off is cut
      const bytes = await pour({ response, deadlines: context.idleDeadlines }, page.content).catch((error: unknown) => {
        context.onFault(error)
        return 0
      })
      isSent = !response.destroyed || response.writableFinished
      page.answered(bytes)
    }
  } finally {
    finish(context, admitted, live, page.plan, isSent)
  }
}

function finish({ gate }: IngressContext, { exchange }: Admitted, live: LiveExchange, { status }: AnswerPlan, isSent: boolean): void {
  live.done()
  const { closedBy } = live
  const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
  gate.ended(exchange, closedBy === undefined ? { outcome: isSent ? 'completed' : 'failed', status, ...none } : { outcome: 'expired', code: closedBy, status, ...none })
}

function writeHead(response: ClientResponse, { plan, made }: CachedPage, context: IngressContext): void {
  const { status, reason, fields } = plan
  const ours = [...made, 'Via', viaOf(context)]
  if (response.writeKnownHead === undefined) response.writeHead(status, reason, [...fields, ...ours])
  else response.writeKnownHead(headOf(plan), ours)
}

function viaOf({ pseudonym }: IngressContext): string {
  return `1.1 ${pseudonym}`
}

function readerOf({ admitted: { exchange: { id, facts: { principal, scheme, host, port } } }, target: { path, query } }: CacheQuestion): CacheReader {
  return { requestId: id, session: principal.session, agent: principal.agent, owner: principal.owner, place: { scheme, host: host.text, port, path, query } }
}
