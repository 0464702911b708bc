// Puts pages into the cache by fetching them: an exchange of our own for each hop, which the gate decides and journals
// like any other, made without anything of an agent's and without credentials. INVARIANT: a page is found only when all
// of it came, was decoded within bounds and may be kept; what a redirect names is decided anew.
import { cacheFilledEvent, type CachedPlace } from '../audit/cache-events.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { Clock } from '../clock.ts'
import { errorEntry, ProxyError, type ErrorCode } from '../errors.ts'
import type { Forwarder, ForwardResult } from '../egress/forward.ts'
import { planOf } from '../egress/forward-plan.ts'
import { isRefusal, type Destination, type Reach } from '../egress/reach.ts'
import { Admitted } from '../gate/admitted.ts'
import type { Exchange } from '../gate/exchange.ts'
import type { Gate } from '../gate/gate.ts'
import { cacheSession } from '../policy/facts.ts'
import { defaultPortOf, formatAuthority } from '../target/authority.ts'
import { quoted } from '../target/quoted.ts'
import { parseUrl, type TargetUri } from '../target/target-uri.ts'
import { joinedValue, listMembers } from '../target/field-list.ts'
import { admit, type KeptAnswer } from './admission.ts'
import type { CacheStore } from './cache-store.ts'
import { cacheUrl } from './cache-url.ts'
import type { CachedResponse, CacheSource } from './cached-response.ts'
import { contentCoding, decoded, DecodingFault, type ContentCoding } from './decoding.ts'
import { FillRequest, FillResponse, type FilledHead } from './fill-client.ts'
import { maxRedirects, redirectOf } from './redirect.ts'

export interface FillerOptions {
  readonly gate: Gate
  readonly reach: Reach
  readonly forwarder: Forwarder
  readonly store: CacheStore
  readonly audit: AuditSink
  readonly redaction: Redaction
  readonly clock: Clock
  readonly nextId: () => string
  /** of a body, decoded */
  readonly maxBodyBytes: number
  /** of a page and its redirects */
  readonly fetchTimeoutMs: number
  /** of this program */
  readonly version: string
}

export interface FillOrder {
  readonly url: string
  readonly partition: string
  readonly source: CacheSource
  /** reviewer or admin: the principal of the exchange */
  readonly by: string
  readonly team: string | undefined
  readonly pinned: boolean
  readonly approvalId: string | undefined
  /** asked before a redirect is followed: why it is not, as a clause; undefined: it is */
  readonly follow?: (url: string) => Promise<string | undefined>
  /** aborted: what is under way is broken off */
  readonly signal?: AbortSignal
}

/** An answer that is looked at and not kept. */
export interface SeenAnswer {
  /** where it came from, after redirects */
  readonly url: string
  readonly status: number
  /** without content coding; throws where it broke off or is too large */
  readonly content: AsyncIterable<Uint8Array>
}

export interface FillFault {
  readonly url: string
  readonly code: ErrorCode
  /** one sentence */
  readonly reason: string
}

/** What became of an order: the pages that are kept, its own first, then those that redirects led to. */
export interface Fill {
  readonly kept: readonly CachedResponse[]
  /** why it went no further; undefined: all of it is there */
  readonly fault: FillFault | undefined
}

interface Hop {
  /** monotonic, `ms` */
  readonly untilMs: number
  /** a redirect led to another host or port than that of the order */
  readonly isLedTo: boolean
}

const noAnswer = 'the answer did not come in time, or broke off'

export class Filler {
  readonly #options: FillerOptions

  constructor(options: FillerOptions) {
    this.#options = options
  }

  /** Fetches a page and what its redirects lead to. Never rejects for a page's sake. */
  async fetch(order: FillOrder): Promise<Fill> {
    const kept: CachedResponse[] = []
    const fault = await this.#follow(order, async (target, hop) => {
      const entry = await this.#fetchOne(target, order, hop)
      kept.push(entry)
      return redirectOf(entry, cacheUrl(target))
    })
    return { kept, fault }
  }

  /** Fetches a page as `fetch` does, has `read` look at the answer that is no redirect, and keeps nothing of it. */
  async look<T>(order: FillOrder, maxBytes: number, read: (answer: SeenAnswer) => Promise<T>): Promise<{ readonly value: T } | { readonly fault: FillFault }> {
    let seen: { readonly value: T } | undefined
    const fault = await this.#follow(order, (target, hop) => this.#exchange(target, order, hop, async (_exchange, response) => {
      const head = await response.head
      if (head === undefined) throw new Refused('origin_timeout', noAnswer)
      const url = cacheUrl(target)
      const next = redirectOf(head, url)
      if (next === undefined) seen = { value: await readAnswer(url, head, response, { maxBytes, read }) }
      // what was not read is not wanted
      response.destroy()
      return next
    }))
    if (fault !== undefined) return { fault }
    if (seen === undefined) throw new Error('an answer was neither read nor refused')
    return seen
  }

  /** `visit` resolves to where a redirect leads. Resolves to why it went no further. */
  async #follow(order: FillOrder, visit: (target: TargetUri, hop: Hop) => Promise<string | undefined>): Promise<FillFault | undefined> {
    const { clock, fetchTimeoutMs } = this.#options
    let untilMs = clock.monotonic() + fetchTimeoutMs
    let url = order.url
    let first: string | undefined
    for (let hop = 0; ; hop++) {
      try {
        const target = parseUrl(url)
        url = cacheUrl(target)
        // the same host in TLS, where both have the port of their scheme, is the same
        const place = formatAuthority(target.authority, defaultPortOf(target.scheme))
        first ??= place
        const next = await visit(target, { untilMs, isLedTo: place !== first })
        if (next === undefined) return undefined
        url = next
        if (hop === maxRedirects) throw new NotFollowed(`more than ${maxRedirects} redirects`)
        const askedMs = clock.monotonic()
        const why = await order.follow?.(next)
        if (why !== undefined) throw new NotFollowed(why)
        // being asked costs a page nothing
        untilMs += clock.monotonic() - askedMs
      } catch (error) {
        return { url, ...faultOf(error) }
      }
    }
  }

  async #fetchOne(target: TargetUri, order: FillOrder, hop: Hop): Promise<CachedResponse> {
    const { audit, clock, redaction, store } = this.#options
    const { kept, body, exchange } = await this.#exchange(target, order, hop, async (made, response) => ({ exchange: made, ...(await this.#keep(made, response, clock.now())) }))
    const { source, by, pinned, partition, approvalId } = order
    // on record before anybody can read it
    await audit.append(cacheFilledEvent({
      place: placeOf(target), source, by, partition, status: kept.head.status, bytes: body?.bytes ?? 0, digest: body?.digest, requestId: exchange.id, approvalId,
    }, redaction))
    return store.put({ ...kept.head, key: { shelf: 'web', partition, url: cacheUrl(target) }, source, by, pinned, capturedMs: undefined }, body)
  }

  /** One exchange with the origin, decided, journaled and ended; what `receive` makes of the answer. */
  async #exchange<T>(target: TargetUri, order: FillOrder, { untilMs, isLedTo }: Hop, receive: (exchange: Exchange, response: FillResponse) => Promise<T>): Promise<T> {
    const { gate, reach } = this.#options
    if (order.signal?.aborted === true) throw new NotFollowed('interrupted')
    const exchange = this.#exchangeOf(target, order)
    const admitted = await gate.admitFill(exchange, order.approvalId, isLedTo)
    if (!(admitted instanceof Admitted)) {
      gate.ended(exchange, { outcome: 'refused', code: admitted.code, status: errorEntry(admitted.code).status, bytesFromClient: 0, bytesFromOrigin: 0 })
      throw new Refused(admitted.code, admitted.reason)
    }
    const response = new FillResponse()
    const breakOff = (): void => response.destroy()
    const live = gate.live.open(admitted, breakOff)
    const timer = setTimeout(breakOff, Math.max(0, untilMs - this.#options.clock.monotonic()))
    order.signal?.addEventListener('abort', breakOff)
    try {
      const destination = await this.#destinationOf(admitted)
      live.reached(reach.judgedAddresses(destination))
      const forwarded = this.#forward(admitted, target, destination, response)
      return await this.#settled(exchange, receive(exchange, response), { response, forwarded })
    } finally {
      order.signal?.removeEventListener('abort', breakOff)
      clearTimeout(timer)
      live.done()
    }
  }

  async #destinationOf(admitted: Admitted): Promise<Destination> {
    const { gate, reach } = this.#options
    const none = { bytesFromClient: 0, bytesFromOrigin: 0 }
    try {
      const destination = await reach.destination(admitted)
      if (!isRefusal(destination)) return destination
      gate.ended(admitted.exchange, { outcome: 'refused', code: destination.code, status: errorEntry(destination.code).status, ...none })
      throw new Refused(destination.code, destination.reason)
    } catch (error) {
      if (error instanceof ProxyError) gate.ended(admitted.exchange, { outcome: 'failed', code: error.code, status: errorEntry(error.code).status, ...none })
      throw error
    }
  }

  #forward(admitted: Admitted, target: TargetUri, destination: Destination, response: FillResponse): Promise<ForwardResult> {
    const { forwarder, reach } = this.#options
    const request = new FillRequest(cacheUrl(target), admitted.exchange.facts.fields ?? [])
    return forwarder.forward(request, response, planOf(admitted, target, destination, reach))
  }

  /** What became of the answer, once its exchange is over and on record. */
  async #settled<T>(exchange: Exchange, receiving: Promise<T>, { response, forwarded }: { readonly response: FillResponse; readonly forwarded: Promise<ForwardResult> }): Promise<T> {
    const { gate } = this.#options
    // what is not wanted is not read on
    receiving.catch(() => response.destroy())
    const result = await forwarded
    // where no head came nothing of it was written, and whoever reads would wait
    if (result.outcome !== 'completed') response.destroy()
    const { bytesFromClient, bytesFromOrigin, peerAddress, status } = result
    const ending = { status, bytesFromClient, bytesFromOrigin, peerAddress }
    try {
      const received = await receiving
      gate.ended(exchange, { outcome: 'completed', ...ending })
      return received
    } catch (error) {
      if (result.error !== undefined) {
        gate.ended(exchange, { outcome: 'failed', code: result.error.code, ...ending })
        throw new Refused(result.error.code, errorEntry(result.error.code).text)
      }
      if (result.outcome === 'completed') gate.ended(exchange, { outcome: 'completed', ...ending })
      else gate.ended(exchange, { outcome: 'failed', code: error instanceof NotKept ? undefined : 'origin_timeout', ...ending })
      throw error instanceof NotKept || result.outcome === 'completed' ? error : new Refused('origin_timeout', noAnswer)
    }
  }

  async #keep(exchange: Exchange, response: FillResponse, askedMs: number) {
    const { clock, store, maxBodyBytes } = this.#options
    const head = await response.head
    if (head === undefined) throw new Refused('origin_timeout', noAnswer)
    const kept = keepable(exchange, head, askedMs, clock.now())
    const writer = store.writeBody()
    try {
      let received = 0
      for await (const chunk of decoded(counted(response.body, (bytes) => (received += bytes)), kept.codings, { maxBytes: maxBodyBytes })) await writer.write(chunk)
      if (!response.isWhole) throw new NotKept('its answer broke off')
      if (kept.contentLength !== undefined && received !== kept.contentLength && kept.head.status !== 204) throw new NotKept(`${received} bytes came where its head promised ${kept.contentLength}`)
      return { kept, body: writer.bytes === 0 ? abandoned(writer) : await writer.finish() }
    } catch (error) {
      writer.abort()
      if (error instanceof DecodingFault) throw new NotKept(error.message)
      throw error
    }
  }

  #exchangeOf({ scheme, authority: { host, port }, path, query }: TargetUri, { by, team }: FillOrder): Exchange {
    const { nextId, clock, version } = this.#options
    const userAgent = `sallyport/${version}`
    const principal = { session: cacheSession, agent: 'sallyport', team, owner: by, trustsCa: true }
    const fields = ['User-Agent', userAgent, 'Accept', '*/*']
    return {
      id: nextId(), client: { address: 'local', port: 0, advisory: false }, protocol: 'http', userAgent, startedMs: clock.monotonic(),
      facts: { stage: 'request', scheme, host, port, method: 'GET', path, query, upgrade: undefined, fields, content: 0, principal },
    }
  }
}

/** The gate or the origin said no. */
class Refused extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, reason: string) {
    super(reason)
    this.code = code
  }
}

/** It came, and may not be kept; the message is a clause. */
class NotKept extends Error {}

/** It is not gone to; the message is a clause. */
class NotFollowed extends Error {}

function keepable({ facts: { fields = [] } }: Exchange, head: FilledHead, askedMs: number, answeredMs: number): KeptAnswer {
  const admission = admit({ method: 'GET', fields, isCredentialed: false }, { ...head, askedMs, answeredMs })
  if ('refused' in admission) throw new NotKept(admission.refused)
  return admission.kept
}

function abandoned(writer: { abort(): void }): undefined {
  writer.abort()
}

async function* counted(source: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    count(chunk.length)
    yield chunk
  }
}

function faultOf(error: unknown): { readonly code: ErrorCode; readonly reason: string } {
  if (error instanceof Refused) return { code: error.code, reason: error.message }
  if (error instanceof NotKept) return { code: 'cache_failed', reason: `it cannot be kept: ${error.message}` }
  if (error instanceof NotFollowed) return { code: 'cache_failed', reason: error.message }
  if (error instanceof ProxyError) return { code: error.code, reason: error.message }
  throw error
}

/** The content without its coding, within bounds. */
async function readAnswer<T>(url: string, { status, fields }: FilledHead, response: FillResponse, { maxBytes, read }: { readonly maxBytes: number; readonly read: (answer: SeenAnswer) => Promise<T> }): Promise<T> {
  const codings: ContentCoding[] = []
  for (const member of listMembers(joinedValue(fields, 'content-encoding') ?? '')) {
    const coding = contentCoding(member)
    if (coding !== undefined) codings.push(coding)
    else if (member.toLowerCase() !== 'identity') throw new NotKept(`its Content-Encoding ${quoted(member)} is not known`)
  }
  try {
    return await read({ url, status, content: decoded(response.body, codings, { maxBytes }) })
  } catch (error) {
    throw error instanceof DecodingFault ? new NotKept(error.message) : error
  }
}

function placeOf({ scheme, authority: { host, port }, path, query }: TargetUri): CachedPlace {
  return { scheme, host: host.text, port, path, query }
}
