// One admitted request on its way through the shared cache (RFC 9111): answered from what is kept, confirmed, or forwarded
// with a copy of its answer kept. The decision is made and journaled before; here nothing is resolved or dialled but by
// `send`. Must never answer from what the request may not be answered from.
import type { CachedResponse, CacheKey } from '../cache/cached-response.ts'
import { isSafe, readAsked, type Asked } from '../cache/live/asked.ts'
import { cacheStatus, type CacheEvent, type Forwarded } from '../cache/live/cache-status.ts'
import { confirming, isConfirmedBy } from '../cache/live/conditional.ts'
import { singleValue } from '../cache/live/field-list.ts'
import { currentAgeMs, lifetimeMs } from '../cache/live/freshness.ts'
import type { Fill } from '../cache/live/fill.ts'
import { isSameContent, isTooLong, keptHead, namedByAnswer, refreshedHead, withoutOwnVia } from '../cache/live/keeping.ts'
import type { Found, LiveCache } from '../cache/live/live-cache.ts'
import { errorStatuses, judgeReuse, mayReplaceError, type Reuse } from '../cache/live/reuse.ts'
import { ProxyError, type ErrorCode } from '../errors.ts'
import type { ClientRequest, ClientResponse } from '../egress/client-leg.ts'
import { requestFields } from '../egress/field-rules.ts'
import type { ForwardResult } from '../egress/forward.ts'
import type { Admitted } from '../gate/admitted.ts'
import type { Refusal } from '../gate/refusal.ts'
import type { Obligations } from '../policy/decision.ts'
import { formatUri, sameOriginUri } from '../target/reference.ts'
import type { TargetUri } from '../target/target-uri.ts'
import { sendKept } from './kept-answer.ts'
import { SharedRequest } from './shared-request.ts'
import { SharedResponse, type Copy, type Treatment } from './shared-response.ts'

/** The two ends of a forwarded exchange, and who is told whether the end of the answer's content is beyond doubt. */
export interface Leg {
  readonly request: ClientRequest
  readonly response: ClientResponse
  readonly onFraming?: (isDelimited: boolean) => void
}

/** Reaches the origin and forwards. Rejects with ProxyError for what fails on the way there. */
export type Send = (leg: Leg) => Promise<ForwardResult | Refusal>

export interface Passage {
  readonly cache: LiveCache
  readonly request: ClientRequest
  readonly response: ClientResponse
  readonly admitted: Admitted
  readonly target: TargetUri
  readonly hasContent: boolean
  /** this proxy's name in Via */
  readonly pseudonym: string
  readonly send: Send
}

/** What became of it, and the response that a refusal is written on. */
export interface Through {
  readonly result: ForwardResult | Refusal
  readonly response: ClientResponse
}

const noAnswer: ForwardResult = { outcome: 'client_closed', status: undefined, headSent: false, error: undefined, bytesFromClient: 0, bytesFromOrigin: 0, peerAddress: undefined }
/** Faults of the way there that a kept answer may stand in for. */
const outages: ReadonlySet<ErrorCode> = new Set([
  'dns_failed', 'dns_timeout', 'connection_refused', 'connection_reset', 'connection_timeout', 'destination_unroutable', 'origin_timeout', 'origin_incomplete',
])

/** Takes the request through the cache where its decision says so, and tells the cache of what other requests change. */
export async function throughCache(passage: Passage): Promise<Through> {
  const { cache, request, response, admitted, send, hasContent } = passage
  const { obligations } = admitted.decision
  const { method = '' } = request
  // what a reviewer opened for one session is nobody else's
  const isObliged = obligations.sharedCache === true && admitted.decision.grant === undefined
  if (!isObliged && (isSafe(method) || !cache.isUsed)) return { result: await send({ request, response }), response }
  // what Connection names, the origin never sees: it chose nothing
  const { fields } = requestFields(method, request.rawHeaders, '', '')
  const asked = readAsked({ method, fields, hasContent, ...changesOf(obligations) })
  return new CachedExchange(passage, asked, isObliged).run()
}

function changesOf({ fieldChanges = [], originTrust }: Obligations): { readonly stripped: readonly string[]; readonly isChanged: boolean; readonly originRoots: readonly string[] } {
  return {
    stripped: fieldChanges.flatMap(({ strip }) => strip),
    isChanged: originTrust?.insecure === true || fieldChanges.some(({ set }) => set.length > 0),
    originRoots: originTrust?.caFiles ?? [],
  }
}

class CachedExchange {
  readonly #passage: Passage
  readonly #asked: Asked
  readonly #isObliged: boolean
  readonly #key: CacheKey
  #isDelimited = false
  #requestMs = 0
  /** fields of the 304 that confirmed what is kept */
  #confirmed: readonly string[] | undefined
  /** the answer was no client's: a 304 to us, or an error that is stood in for */
  #isOurs = false
  #wasError = false
  /** all of its content has gone into the copy */
  #isCopied = false
  /** why it is forwarded, for Cache-Status */
  #event: CacheEvent & { readonly kind: 'forwarded' } = { kind: 'forwarded', why: 'bypass' }

  constructor(passage: Passage, asked: Asked, isObliged: boolean) {
    const { admitted: { exchange }, target } = passage
    const { team } = exchange.facts.principal
    this.#passage = passage
    this.#asked = asked
    this.#isObliged = isObliged
    this.#key = { shelf: 'live', partition: team === undefined ? 'teamless' : `team:${team}`, url: formatUri(target) }
  }

  async run(): Promise<Through> {
    const { use } = this.#asked
    if (use === 'read') return this.#read()
    this.#event = { kind: 'forwarded', why: use === 'unsafe' || !['GET', 'HEAD'].includes(this.#asked.method) ? 'method' : 'bypass' }
    return this.#forward(undefined, undefined)
  }

  async #read(): Promise<Through> {
    const { cache, response } = this.#passage
    let found = cache.find(this.#key, this.#asked)
    let reuse = this.#judge(found)
    const first = await this.#answerFrom(found, reuse, undefined)
    if (first !== undefined) return { result: first, response }
    if (this.#asked.onlyIfCached) {
      const answered = new SharedResponse(response, (_status, _reason, fields) => ({ kind: 'pass', fields: [...fields, 'Cache-Status', cacheStatus({ kind: 'miss' })] }))
      return { result: { ...noAnswer, outcome: 'failed', error: new ProxyError('only_if_cached', '') }, response: answered }
    }
    const why = whyForwarded(found, reuse)
    this.#event = { kind: 'forwarded', why }
    const waited = this.#mayBeShared(why) ? cache.wait(this.#key, (left) => response.on('close', left)) : undefined
    if (waited !== undefined) {
      await waited
      if (response.destroyed) return { result: noAnswer, response }
      found = cache.find(this.#key, this.#asked)
      reuse = this.#judge(found)
      const collapsed = { ...this.#event, collapsed: true }
      const second = await this.#answerFrom(found, reuse, collapsed)
      if (second !== undefined) return { result: second, response }
    }
    const confirms = reuse?.kind === 'confirm' ? found.entry : undefined
    return this.#forward(confirms, waited === undefined && this.#asked.mayKeep ? cache.begin(this.#key, this.#by, this.#mayBeShared(why)) : undefined)
  }

  get #by(): string {
    return this.#passage.admitted.exchange.facts.principal.session
  }

  #judge({ entry }: Found): Reuse | undefined {
    return entry === undefined ? undefined : judgeReuse(entry, this.#asked, this.#passage.cache.clock.now())
  }

  /** One answer does for all who ask the same at once. */
  #mayBeShared(why: Forwarded): boolean {
    return this.#asked.mayKeep && this.#asked.range === undefined && (why === 'uri-miss' || why === 'vary-miss' || why === 'stale')
  }

  async #answerFrom({ entry }: Found, reuse: Reuse | undefined, event: CacheEvent | undefined): Promise<ForwardResult | undefined> {
    return entry === undefined || reuse?.kind !== 'usable' ? undefined : this.#send(entry, event ?? { kind: 'hit', ttlMs: reuse.ttlMs })
  }

  #send(entry: CachedResponse, event: CacheEvent): Promise<ForwardResult | undefined> {
    const { cache, response, pseudonym } = this.#passage
    return sendKept({ cache, entry, asked: this.#asked, event, response, pseudonym })
  }

  /** `confirms`: what is kept, if the origin says that it still holds. */
  async #forward(confirms: CachedResponse | undefined, fill: Fill | undefined): Promise<Through> {
    const { cache, request, response, send } = this.#passage
    const asks = confirms === undefined || this.#asked.method === 'HEAD' ? undefined : confirming(confirms, request.rawHeaders)
    const shared = new SharedResponse(response, (status, reason, fields) => this.#look({ status, reason, fields }, confirms, asks !== undefined, fill))
    this.#requestMs = cache.clock.now()
    this.#confirmed = undefined
    const leg = { request: asks === undefined ? request : new SharedRequest(request, asks), response: shared, onFraming: (isDelimited: boolean) => {
      this.#isDelimited = isDelimited
    } }
    let result: ForwardResult | Refusal
    try {
      result = await send(leg)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      result = { ...noAnswer, outcome: 'failed', error }
    } finally {
      // what is whole by now is put, whether or not its client has read it
      if (fill !== undefined && !this.#isCopied) fill.abort()
    }
    if (response.destroyed || response.headersSent || 'kind' in result) return { result, response: shared }
    const instead = await this.#instead(result, confirms)
    if (instead !== undefined) return { result: { ...instead, peerAddress: result.peerAddress }, response }
    if (!this.#isUnanswered(result)) return { result, response: shared }
    return this.#forward(undefined, this.#asked.mayKeep ? cache.begin(this.#key, this.#by, false) : undefined)
  }

  /** An answer came that was ours alone, and what it was about is gone. */
  #isUnanswered({ outcome, error }: ForwardResult): boolean {
    return error === undefined && outcome !== 'failed' && this.#isOurs
  }

  /** What the client gets in place of a 304 to us, or of an error. */
  async #instead(result: ForwardResult, confirms: CachedResponse | undefined): Promise<ForwardResult | undefined> {
    const { cache } = this.#passage
    if (confirms === undefined) return undefined
    const nowMs = cache.clock.now()
    if (this.#confirmed !== undefined) {
      const head = refreshedHead(confirms, this.#asked, this.#confirmed, { requestMs: this.#requestMs, responseMs: nowMs })
      const entry = head === undefined || !this.#asked.mayKeep ? undefined : cache.refresh(confirms, head)
      const sent = await this.#send(entry ?? confirms, { ...this.#event, status: 304 })
      if (head === undefined || sent === undefined) cache.remove(confirms)
      return sent
    }
    const isOutage = result.error === undefined ? this.#isOurs && this.#wasError : outages.has(result.error.code) && !result.headSent
    if (!isOutage || !mayReplaceError(confirms, this.#asked, nowMs)) return undefined
    return this.#send(confirms, { kind: 'hit', ttlMs: lifetimeMs(confirms) - currentAgeMs(confirms, nowMs), detail: 'stale-if-error' })
  }

  /** The head of the origin's answer. */
  #look(answer: { readonly status: number; readonly reason: string; readonly fields: readonly string[] }, confirms: CachedResponse | undefined, isConfirming: boolean, fill: Fill | undefined): Treatment {
    const { status, fields } = answer
    const { cache, pseudonym } = this.#passage
    const nowMs = cache.clock.now()
    this.#isOurs = false
    if (confirms !== undefined && isConfirming && status === 304) {
      this.#isOurs = true
      if (isConfirmedBy(confirms.fields, fields)) this.#confirmed = withoutOwnVia(fields, pseudonym)
      else cache.remove(confirms)
      return { kind: 'keep' }
    }
    this.#wasError = errorStatuses.has(status)
    if (confirms !== undefined && this.#wasError && mayReplaceError(confirms, this.#asked, nowMs)) {
      this.#isOurs = true
      return { kind: 'drop' }
    }
    const kept = this.#keep({ ...answer, fields: withoutOwnVia(fields, pseudonym) }, nowMs, fill)
    if (!kept) this.#settle(status, fields, confirms, nowMs)
    if (!this.#isObliged) return { kind: 'pass', fields: [...fields] }
    const event = { ...this.#event, ...(isConfirming ? { status } : {}), stored: kept }
    return { kind: 'pass', fields: [...fields, 'Cache-Status', cacheStatus(event)], copy: kept ? this.#copyInto(fill, singleValue(fields, 'content-length')) : undefined }
  }

  #copyInto(fill: Fill | undefined, declared: string | undefined): Copy {
    let bytes = 0
    return {
      write: (chunk) => {
        bytes += chunk.length
        fill?.write(chunk)
      },
      end: () => {
        this.#isCopied = true
        if (declared === undefined || Number(declared) === bytes) fill?.end()
        else fill?.abort()
      },
    }
  }

  #keep(answer: { readonly status: number; readonly reason: string; readonly fields: readonly string[] }, nowMs: number, fill: Fill | undefined): boolean {
    if (fill === undefined || fill.isOver) return false
    const isWhole = this.#isDelimited || answer.status === 204
    const head = isWhole && !isTooLong(answer.fields, this.#passage.cache.maxBodyBytes) ? keptHead(this.#asked, answer, { requestMs: this.#requestMs, responseMs: nowMs }) : undefined
    if (head === undefined) {
      fill.abort()
      return false
    }
    fill.open(head, lifetimeMs(head) > currentAgeMs(head, nowMs))
    return !fill.isOver
  }

  /** What an answer that is not kept says of what is. */
  #settle(status: number, fields: readonly string[], confirms: CachedResponse | undefined, nowMs: number): void {
    const { cache, target } = this.#passage
    const { method, use, speaksForAll } = this.#asked
    if (use === 'unsafe') {
      if (status < 200 || status >= 400) return
      const urls = namedByAnswer(fields).flatMap((reference) => sameOriginUri(target, reference) ?? [])
      cache.invalidate([this.#key.url, ...urls].map((url) => ({ ...this.#key, url })))
      return
    }
    // what a credential, or a field that no answer varies by, is shown says nothing of what everybody gets
    if (use !== 'read' || !speaksForAll) return
    if (method === 'HEAD') this.#refreshByHead(status, fields, nowMs)
    else if (confirms !== undefined && status !== 304 && (status < 400 || status === 404 || status === 410)) cache.remove(confirms)
  }

  /** RFC 9111 section 4.3.5 */
  #refreshByHead(status: number, fields: readonly string[], nowMs: number): void {
    const { cache, pseudonym } = this.#passage
    const { entry } = cache.find(this.#key, this.#asked)
    if (entry === undefined || status !== 200 || entry.status !== 200) return
    const head = isSameContent(entry, entry.bodyBytes, fields)
      ? refreshedHead(entry, this.#asked, withoutOwnVia(fields, pseudonym), { requestMs: this.#requestMs, responseMs: nowMs })
      : undefined
    if (head === undefined) cache.remove(entry)
    else cache.refresh(entry, head)
  }
}

function whyForwarded({ entry, isKnown }: Found, reuse: Reuse | undefined): Forwarded {
  if (reuse?.kind === 'confirm') return reuse.why
  if (reuse?.kind === 'forbidden') return 'request'
  if (reuse?.kind === 'usable') return 'uri-miss'
  return entry === undefined && isKnown ? 'vary-miss' : 'uri-miss'
}
