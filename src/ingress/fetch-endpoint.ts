// The fetch service: GET /fetch?url=… on the proxy listener, for agents' tools that call one. Each hop is an exchange of its
// own at the gate, judged as if its session had sent it through the proxy. INVARIANT: nothing but the URL and what answer
// is wanted reaches an origin; redirects are decided anew; who has no session gets nothing.
import { cacheUrl } from '../cache/cache-url.ts'
import { FillRequest, FillResponse, type FilledHead } from '../cache/fill-client.ts'
import { maxRedirects, redirectOf } from '../cache/redirect.ts'
import { digestOf } from '../approvals/question.ts'
import { errorEntry, ProxyError } from '../errors.ts'
import { requestFields } from '../egress/field-rules.ts'
import type { ForwardResult } from '../egress/forward.ts'
import { planOf } from '../egress/forward-plan.ts'
import { isRefusal } from '../egress/reach.ts'
import { Admitted } from '../gate/admitted.ts'
import { refusal } from '../gate/denial.ts'
import type { Exchange, Malformed } from '../gate/exchange.ts'
import type { LiveExchange } from '../gate/live-exchanges.ts'
import type { Presence } from '../gate/presence.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { Facts, Principal } from '../policy/facts.ts'
import { parseUrl, type TargetUri } from '../target/target-uri.ts'
import { valuesOf, onlyValue } from '../target/field-list.ts'
import { lookUp, type CachedPage } from './cached.ts'
import { anonymous, type IngressContext } from './context.ts'
import { answerFetched, plainContent, refuseFetch, type FetchedPage } from './fetch-answer.ts'
import { checkFetchFields, fetchFields, readFetchQuestion, type FetchQuestion } from './fetch-question.ts'
import { identify } from './identity.ts'
import { isNamedAsProxy } from './own-questions.ts'
import { UnreadablePage } from './page-job.ts'
import { PageReader } from './page-reader.ts'
import type { PlainArrival } from './plain.ts'
import { RequestPresence } from './presence.ts'
import { readHead } from './request-head.ts'
import { outcomeOf } from './refuse.ts'

/** What is asked, by whom. */
interface Asked extends FetchQuestion {
  readonly principal: Principal
  readonly userAgent: string | undefined
  /** what is sent, flat */
  readonly fields: readonly string[]
  /** for what is fetched live, `ms` */
  leftMs: number
}

/** One hop. */
interface Hop {
  readonly arrival: PlainArrival
  readonly asked: Asked
  readonly target: TargetUri
  readonly exchange: Exchange
  readonly isLast: boolean
}

const none = { bytesFromClient: 0, bytesFromOrigin: 0 } as const

export class FetchEndpoint {
  readonly #context: IngressContext
  readonly #pages = new PageReader()
  /** TLS to origins is ours here, whatever a session's clients trust; one for each, since much is kept by identity */
  readonly #trusting = new WeakMap<Principal, Principal>()

  constructor(context: IngressContext) {
    this.#context = context
  }

  close(): void {
    this.#pages.close()
  }

  async serve(arrival: PlainArrival): Promise<void> {
    const { request, connection } = arrival
    if (connection.lookup !== undefined) await connection.lookup
    if (connection.isClosing) return
    arrival.bodies.watch(request)
    let asked: Asked
    try {
      asked = this.#read(arrival)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      await this.#refuseUnread(arrival, error)
      return
    }
    let next: TargetUri | undefined = asked.target
    for (let hop = 0; next !== undefined; hop++) next = await this.#hop(arrival, asked, next, hop === maxRedirects)
  }

  /** Throws ProxyError. */
  #read({ request, connection }: PlainArrival): Asked {
    const { limits, pseudonym, fetching, isDraining } = this.#context
    const { rawHeaders, method = '', url = '' } = request
    const head = readHead(request, limits)
    if (head.host === undefined || !isNamedAsProxy(head.host)) throw new ProxyError('host_mismatch', 'the fetch service is asked by an address or a name of one label')
    checkFetchFields(rawHeaders, pseudonym)
    // a client that takes the proxy's URL for an origin's sends them as an origin is sent them
    const principal = identify([...head.credentials, ...valuesOf(rawHeaders, 'authorization')], connection, this.#context)
    if (principal === anonymous) {
      throw new ProxyError('credentials_required', 'the fetch service always needs a session (`sallyport sessions create`), as Proxy-Authorization or Authorization: Basic, or by its own socket')
    }
    if (isDraining()) throw new ProxyError('draining', '')
    if (head.hasBody) throw new ProxyError('fetch_syntax', 'it has content')
    const question = readFetchQuestion(method, url)
    return { ...question, principal: this.#trustingOf(principal), userAgent: head.userAgent, fields: fetchFields(rawHeaders, fetching.userAgent), leftMs: fetching.fetchTimeoutMs }
  }

  #trustingOf(principal: Principal): Principal {
    if (principal.trustsCa === true) return principal
    const known = this.#trusting.get(principal)
    if (known !== undefined) return known
    const trusting: Principal = Object.freeze({ ...principal, trustsCa: true })
    this.#trusting.set(principal, trusting)
    return trusting
  }

  async #refuseUnread(arrival: PlainArrival, { code, detail }: ProxyError): Promise<void> {
    const { request: { method, rawHeaders }, connection: { client } } = arrival
    const { ids, clock, gate } = this.#context
    // what it asks for may be a secret, and is in no event that redaction does not know
    const malformed: Malformed = { id: ids.next(), client, protocol: 'http', rawTarget: '/fetch', method, userAgent: onlyValue(rawHeaders, 'user-agent'), startedMs: clock.monotonic() }
    this.#refuse(arrival, malformed, await gate.refuseMalformed(malformed, code, detail), true)
  }

  /** Where to go on; undefined: it is answered. */
  async #hop(arrival: PlainArrival, asked: Asked, target: TargetUri, isLast: boolean): Promise<TargetUri | undefined> {
    const { gate } = this.#context
    const exchange = this.#exchangeOf(arrival, asked, target)
    const presence = new FetchPresence(arrival, asked.fields)
    const admitted = await gate.admit(exchange, presence)
    if (!(admitted instanceof Admitted)) {
      this.#refuse(arrival, exchange, admitted, false)
      return undefined
    }
    const hop: Hop = { arrival, asked, target, exchange, isLast }
    const { host, scheme } = exchange.facts
    if (scheme === 'https' && admitted.decision.obligations.raw !== undefined) {
      this.#refuse(arrival, exchange, await gate.refuseLater(admitted, 'policy', 'obligation_conflict', `${host.text}: what a rule opens here is not TLS`, undefined), false)
      return undefined
    }
    try {
      if (admitted.decision.obligations.inspect !== 'cache') return await this.#live(hop, admitted)
      const { method, fields } = asked
      const found = await lookUp(this.#context, { admitted, presence, target, method, fields })
      if (found instanceof Admitted) return await this.#live(hop, found)
      if (found.kind === 'page') return await this.#cached(hop, admitted, found).finally(() => found.release())
      this.#refuse(arrival, exchange, found, false)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      this.#fail(hop, error, none)
    }
    return undefined
  }

  #exchangeOf({ connection: { client } }: PlainArrival, { principal, method, userAgent, fields }: Asked, { scheme, authority: { host, port }, path, query }: TargetUri): Exchange {
    const { ids, clock } = this.#context
    return {
      id: ids.next(), client, protocol: 'http', userAgent, startedMs: clock.monotonic(),
      facts: { stage: 'request', scheme, host, port, method, path, query, upgrade: undefined, principal, fields, content: 0 },
    }
  }

  async #cached(hop: Hop, admitted: Admitted, cached: CachedPage): Promise<TargetUri | undefined> {
    const { gate } = this.#context
    const { arrival: { request }, exchange, asked } = hop
    const { found: { entry, standing }, plan: { status }, content, made } = cached
    const live = gate.live.open(admitted, () => request.socket.destroy())
    try {
      const next = nextOf(entry, hop)
      const bytes = next === undefined ? await this.#answer(hop, live, {
        status, fields: entry.fields, content, length: entry.bodyBytes, made, ageS: Math.max(0, Math.floor(standing.ageMs / 1000)),
        url: cacheUrl(hop.target), requestId: exchange.id,
      }) : 0
      if (next !== undefined && asked.method === 'GET') await discard(content)
      if (bytes !== undefined) cached.answered(bytes)
      gate.ended(exchange, live.closedBy !== undefined ? { outcome: 'expired', code: live.closedBy, status, ...none } : { outcome: bytes === undefined ? 'failed' : 'completed', status, ...none })
      return next
    } catch (error) {
      const isTold = error instanceof ProxyError || error instanceof UnreadablePage
      if (!isTold) this.#context.onFault(error)
      this.#spoil(hop, isTold ? error : new ProxyError('cache_failed', 'a page of the cache broke off', { cause: error }), none)
      return undefined
    } finally {
      live.done()
    }
  }

  /** Bytes of content that were sent; undefined where nobody is left to answer. */
  async #answer({ arrival: { response, connection }, asked: { method, format, principal } }: Hop, live: LiveExchange, page: FetchedPage): Promise<number | undefined> {
    if (connection.owed > 1) await connection.turnOf(response)
    if (live.closedBy !== undefined || response.destroyed) return undefined
    const bytes = await answerFetched(page, { deadlines: this.#context.idleDeadlines, response, isHead: method === 'HEAD', format, session: principal.session, pages: this.#pages })
    return response.destroyed && !response.writableFinished ? undefined : bytes
  }

  async #live(hop: Hop, admitted: Admitted): Promise<TargetUri | undefined> {
    const { gate, reach, clock } = this.#context
    const { arrival: { request, response }, asked, exchange } = hop
    const startedMs = clock.monotonic()
    const answer = new FillResponse()
    const cut = (): void => {
      answer.destroy()
    }
    const live = gate.live.open(admitted, () => {
      cut()
      request.socket.destroy()
    })
    response.on('close', cut)
    const timer = setTimeout(cut, Math.max(0, asked.leftMs))
    try {
      const destination = await reach.destination(admitted)
      if (isRefusal(destination)) {
        this.#refuse(hop.arrival, exchange, destination, false)
        return undefined
      }
      live.reached(reach.judgedAddresses(destination))
      const fill = new FillRequest(cacheUrl(hop.target), asked.fields, asked.method)
      const forwarded = this.#context.forwarder.forward(fill, answer, planOf(admitted, hop.target, destination, reach))
      return await this.#receive(hop, live, answer, forwarded)
    } finally {
      clearTimeout(timer)
      response.off('close', cut)
      live.done()
      asked.leftMs -= clock.monotonic() - startedMs
    }
  }

  /** Answers with what comes, while it comes, or says where it leads. */
  async #receive(hop: Hop, live: LiveExchange, answer: FillResponse, forwarded: Promise<ForwardResult>): Promise<TargetUri | undefined> {
    const { gate } = this.#context
    const { arrival: { response }, asked, exchange } = hop
    let next: TargetUri | undefined
    let bytes: number | undefined
    let fault: unknown
    // it may fail before there is a head
    const headless = forwarded.then(() => {
      if (!answer.headersSent) answer.destroy()
    })
    try {
      const head = await answer.head
      next = head === undefined ? undefined : nextOf(head, hop)
      if (head !== undefined && next === undefined) bytes = await this.#answer(hop, live, this.#pageOf(hop, head, answer))
    } catch (error) {
      fault = error
    }
    // nothing more of it is wanted
    if (!answer.isWhole) answer.destroy()
    await headless
    const { error, status, bytesFromClient, bytesFromOrigin, peerAddress } = await forwarded
    const sizes = { bytesFromClient, bytesFromOrigin, peerAddress }
    if (live.closedBy !== undefined) gate.ended(exchange, { outcome: 'expired', code: live.closedBy, status, ...sizes })
    else if (next !== undefined || (bytes !== undefined && fault === undefined)) gate.ended(exchange, { outcome: 'completed', status, ...sizes })
    else if (fault instanceof ProxyError || fault instanceof UnreadablePage) this.#spoil(hop, fault, sizes)
    else if (error !== undefined) this.#fail(hop, error, sizes)
    else if (!response.destroyed || response.headersSent) this.#fail(hop, new ProxyError('origin_timeout', `more than ${asked.leftMs} ms`), sizes)
    else gate.ended(exchange, { outcome: 'failed', status, ...sizes })
    return live.closedBy === undefined && !response.destroyed ? next : undefined
  }

  #pageOf({ target, exchange, asked }: Hop, { status, fields }: FilledHead, answer: FillResponse): FetchedPage {
    const { maxBodyBytes } = this.#context.fetching
    // it would be ours to a client of ours
    if (status === 407) throw new ProxyError('origin_protocol_error', 'an origin asks for proxy credentials')
    const { content, isCoded } = plainContent(answer.body, fields, maxBodyBytes)
    const stated = isCoded ? undefined : onlyValue(fields, 'content-length')
    const length = stated !== undefined && /^\d{1,15}$/.test(stated) ? Number(stated) : undefined
    if (asked.method === 'GET' && length !== undefined && length > maxBodyBytes) throw new ProxyError('fetch_too_large', `${length} bytes`)
    return { status, fields, content, length, made: [], ageS: undefined, url: cacheUrl(target), requestId: exchange.id }
  }

  /** It came, or was there, and cannot be given. */
  #spoil(hop: Hop, fault: unknown, sizes: Sizes): void {
    const { gate } = this.#context
    const { arrival, exchange } = hop
    if (fault instanceof ProxyError) {
      this.#fail(hop, fault, sizes)
    } else if (fault instanceof UnreadablePage) {
      const code = 'fetch_format'
      this.#say(arrival, refusal(exchange, code, `${exchange.facts.host.text}: ${errorEntry(code).text}: ${fault.message}`, undefined), false)
      gate.ended(exchange, { outcome: 'failed', code, status: errorEntry(code).status, ...sizes })
    } else {
      gate.ended(exchange, { outcome: 'failed', code: 'internal_error', ...sizes })
      throw fault
    }
  }

  #fail({ arrival, exchange }: Hop, error: ProxyError, sizes: Sizes): void {
    const { gate } = this.#context
    const failure = gate.failure(exchange, error)
    this.#say(arrival, failure, false)
    gate.ended(exchange, { outcome: 'failed', code: error.code, status: errorEntry(failure.code).status, ...sizes })
  }

  #refuse(arrival: PlainArrival, about: Exchange | Malformed, refused: Refusal, close: boolean): void {
    this.#say(arrival, refused, close)
    this.#context.gate.ended(about, { outcome: outcomeOf(refused), code: refused.code, status: errorEntry(refused.code).status, ...none })
  }

  /** Cuts what is under way: nobody may take it for whole. */
  #say({ request, response, connection }: PlainArrival, refused: Refusal, close: boolean): void {
    if (response.headersSent) {
      response.destroy()
      return
    }
    if (close || !request.complete) connection.isClosing = true
    refuseFetch(request, response, refused, close)
  }
}

interface Sizes {
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
  readonly peerAddress?: string | undefined
}

/** Where a redirect leads; undefined: it is none. Throws ProxyError `fetch_redirects`. */
function nextOf(head: { readonly status: number; readonly fields: readonly string[] }, { target, isLast }: Hop): TargetUri | undefined {
  const url = redirectOf(head, cacheUrl(target))
  if (url === undefined) return undefined
  if (isLast) throw new ProxyError('fetch_redirects', `more than ${maxRedirects}`)
  try {
    return parseUrl(url)
  } catch (error) {
    if (error instanceof ProxyError) throw new ProxyError('fetch_redirects', error.message, { cause: error })
    throw error
  }
}

/** What is kept beside a redirect is let go of. */
async function discard(content: AsyncIterable<Uint8Array> | Uint8Array): Promise<void> {
  if (!(content instanceof Uint8Array)) await content[Symbol.asyncIterator]().return?.()
}

/** What is approved is what would be sent, and nothing of it is the client's but the URL. */
class FetchPresence implements Presence {
  readonly #client: RequestPresence
  readonly #fields: readonly string[]

  constructor({ request, response, bodies }: PlainArrival, fields: readonly string[]) {
    this.#client = new RequestPresence(request, response, false, bodies)
    this.#fields = fields
  }

  watch(onLeft: () => void): () => void {
    return this.#client.watch(onLeft)
  }

  async requestDigest(facts: Facts): Promise<string> {
    return digestOf(facts, requestFields(facts.method ?? '', this.#fields, '', '').fields, new Uint8Array(0))
  }
}
