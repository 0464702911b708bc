// The door's answer where only the cache may answer: a page from it, or what the gate says of a miss. INVARIANT: nothing
// is resolved, dialled or revalidated here; only what the gate admits anew after a miss goes out live.
import { ageRulesOf, type CacheReader, type Hit, type WebCache } from '../cache/web-cache.ts'
import { cacheUrl } from '../cache/cache-url.ts'
import { planAnswer, type AnswerPlan } from '../cache/conditional.ts'
import { fieldsOfHit, statusOfMiss } from '../cache/page-source.ts'
import type { KnownHead } from '../egress/client-leg.ts'
import { Admitted } from '../gate/admitted.ts'
import { refusal } from '../gate/denial.ts'
import type { Presence } from '../gate/presence.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { TargetUri } from '../target/target-uri.ts'
import { pour } from './content.ts'
import type { IngressContext } from './context.ts'
import { refuse, type PlainArrival } from './plain.ts'
import { knownHead } from './plain-answer.ts'
import type { ReadExchange } from './read-request.ts'

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
export interface CachedPage {
  readonly kind: 'page'
  readonly found: Hit
  readonly plan: AnswerPlan
  /** of no bytes where the plan has none */
  readonly content: AsyncIterable<Uint8Array> | Uint8Array
  /** what the cache says of it, flat: Age, Cache-Status */
  readonly made: readonly string[]
  /** Journals that it was answered, with `bytes` of content. */
  answered(bytes: number): void
  /** It is not read any more. */
  release(): void
}

// a page that a reviewer had fetched is there at the second look
const maxLooks = 2

/** What every door answers with where only the cache may answer. Admitted: a reviewer lets the host be read live, and the
 * caller forwards. */
export async function lookUp(context: IngressContext, question: CacheQuestion): Promise<CachedPage | Admitted | Refusal> {
  const { webCache, gate } = context
  const { admitted, presence, target, fields } = question
  const { exchange, policy } = admitted
  const rules = ageRulesOf(policy)
  if (webCache === undefined) throw new Error('a web cache was promised and there is none')
  for (let look = 1; ; look++) {
    const found = await webCache.findAnywhere(cacheUrl(target), fields, exchange.facts.principal, rules)
    const page = found.kind === 'hit' ? await pageOf(webCache, found, question, context.onFault) : undefined
    if (page !== undefined) return page
    const detail = found.kind === 'hit' ? 'not-in-cache' : found.detail
    webCache.missed(readerOf(question), detail)
    const after = await gate.missed(admitted, missWords[detail], look < maxLooks ? presence : undefined)
    if (after instanceof Admitted) return after
    if (after === 'fetched' && look < maxLooks) continue
    const refused = after === 'fetched' ? refusal(exchange, 'cache_miss', 'what was fetched is no longer in the cache', undefined) : after
    return { ...refused, cacheStatus: statusOfMiss(detail) }
  }
}

const missWords = {
  'not-in-cache': 'is not in the cache', 'too-old': 'is too old in the cache', stale: 'is stale in the cache',
  'parent-unreachable': 'is not in the cache, and the parent cache cannot be asked', 'parent-doubtful': 'is not in the cache, and what the parent cache has of it is not fit to be read',
} as const
const nothing = new Uint8Array(0)

/** undefined: what was found cannot be read. */
async function pageOf(webCache: WebCache, found: Hit, question: CacheQuestion, onFault: (error: unknown) => void): Promise<CachedPage | undefined> {
  let content: CachedPage['content'] | undefined
  const release = (): void => {
    found.held?.release()
    // whoever left before its turn has not begun to read, and its file is open
    if (content !== undefined && !(content instanceof Uint8Array)) content[Symbol.asyncIterator]().return?.().catch(onFault)
  }
  try {
    const plan = planAnswer(question.method, question.fields, found.entry)
    content = plan.hasContent ? await webCache.open(found, plan.range) : nothing
    if (content === undefined) return undefined
    return { kind: 'page', found, plan, content, made: fieldsOfHit(found), answered: (bytes) => webCache.answered(readerOf(question), found, plan.status, bytes), release }
  } finally {
    if (content === undefined) release()
  }
}

/** Answers from the cache, or refuses. Admitted: the caller forwards. */
export async function serveCached(arrival: PlainArrival, context: IngressContext, read: ReadExchange, { admitted, presence }: Passed): Promise<Admitted | undefined> {
  const { method, rawHeaders } = arrival.request
  const answer = await lookUp(context, { admitted, presence, target: read.target, method: method === 'HEAD' ? 'HEAD' : 'GET', fields: rawHeaders })
  if (answer instanceof Admitted) return answer
  if (answer.kind === 'page') await answerPage(arrival, context, admitted, answer).finally(() => answer.release())
  else refuse(arrival, context, read.exchange, answer, false)
  return undefined
}

async function answerPage({ request, response, connection }: PlainArrival, { gate, pseudonym, onFault, idleDeadlines }: IngressContext, admitted: Admitted, page: CachedPage): Promise<void> {
  const { plan, content, made } = page
  const { status, reason, fields } = plan
  const live = gate.live.open(admitted, () => request.socket.destroy())
  const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
  let isSent = false
  try {
    // pipelined answers go out in order
    if (connection.owed > 1) await connection.turnOf(response)
    if (live.closedBy === undefined && !response.destroyed) {
      const ours = [...made, 'Via', `1.1 ${pseudonym}`]
      if (response.writeKnownHead === undefined) response.writeHead(status, reason, [...fields, ...ours])
      else response.writeKnownHead(headOf(plan), ours)
      // its head is out: what breaks off is cut
      const bytes = await pour({ response, deadlines: idleDeadlines }, content).catch((error: unknown) => {
        onFault(error)
        return 0
      })
      isSent = !response.destroyed || response.writableFinished
      page.answered(bytes)
    }
  } finally {
    live.done()
    const { closedBy } = live
    gate.ended(admitted.exchange, closedBy === undefined ? { outcome: isSent ? 'completed' : 'failed', status, ...none } : { outcome: 'expired', code: closedBy, status, ...none })
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

function readerOf({ admitted: { exchange: { id, facts: { principal, scheme, host, port } } }, target: { path, query } }: CacheQuestion): CacheReader {
  return { requestId: id, session: principal.session, agent: principal.agent, place: { scheme, host: host.text, port, path, query } }
}
