// Pages of a parent cache that many proxies share. It knows no teams, so whatever it holds is common to all. INVARIANT:
// nothing is fetched for it: it is asked for what it holds, and what it does not plainly hold is a miss; nor does anything
// but the URL and what chooses between languages and types leave with the question.
import type { Clock } from '../clock.ts'
import { canAskFor, onlyIfCached, type ParentAnswer, type ParentCache } from '../egress/parent-cache.ts'
import type { Principal } from '../policy/facts.ts'
import { joinedValue } from '../target/field-list.ts'
import { admit, type KeptAnswer } from './admission.ts'
import type { CachedResponse } from './cached-response.ts'
import { decoded } from './decoding.ts'
import { standingOf, type AgeRules, type Standing } from './freshness.ts'
import { partOfStream, wholeBody, type Budget } from './held-body.ts'
import type { HeldPage, Hit, Miss, PageSource } from './page-source.ts'
import { doubtOf } from './parent-answer.ts'
import type { ParentWatch } from './parent-watch.ts'
import { commonPartition } from './web-cache.ts'

export interface ParentPagesOptions {
  readonly parent: ParentCache
  readonly watch: ParentWatch
  readonly clock: Clock
  /** of a body, decoded */
  readonly maxBodyBytes: number
  /** of a body that is held in memory: of unknown length, or coded */
  readonly maxHeldBytes: number
  /** of all bodies that are held at once */
  readonly budget: Budget
  /** for a body to come whole, and for it to be read */
  readonly bodyTimeoutMs: number
}

interface Wanted {
  readonly url: string
  readonly rules: AgeRules
  /** what was sent beside the URL, flat */
  readonly sent: readonly string[]
  readonly askedMs: number
}

// half of the connections to it
const maxStreams = 16
const maxChoiceBytes = 1024
const choices = ['Accept', 'Accept-Language'] as const

export class ParentPages implements PageSource {
  readonly #options: ParentPagesOptions
  #streams = 0

  constructor(options: ParentPagesOptions) {
    this.#options = options
  }

  async find(url: string, fields: readonly string[], _reader: Pick<Principal, 'team'>, rules: AgeRules): Promise<Hit | Miss> {
    const { parent, watch, clock } = this.#options
    const sent = choicesOf(fields)
    // another choice than the agent's would be another page
    if (sent === undefined || !canAskFor(url)) return missed('not-in-cache')
    const standing = await watch.standing(url.startsWith('https:') ? 'https' : 'http')
    if (standing !== 'on') return missed(standing === 'off' ? 'parent-unreachable' : 'not-in-cache')
    const askedMs = clock.now()
    let answer: ParentAnswer
    try {
      answer = await parent.ask(url, [...askingFields(rules), ...sent])
      watch.worked()
    } catch (error) {
      watch.failed(error)
      return missed('parent-unreachable')
    }
    const judged = await this.#judge({ url, rules, sent, askedMs }, answer)
    if (judged.kind === 'miss') answer.discard()
    return judged
  }

  async #judge(wanted: Wanted, answer: ParentAnswer): Promise<Hit | Miss> {
    if (answer.status === 504) return missed('not-in-cache')
    if (doubtOf(answer.fields) !== undefined) return missed('parent-doubtful')
    const { status, reason, fields } = answer
    const admission = admit({ method: 'GET', fields: wanted.sent, isCredentialed: false }, { status, reason, fields, askedMs: wanted.askedMs, answeredMs: this.#options.clock.now() })
    if ('refused' in admission) return missed('parent-doubtful')
    const { kept } = admission
    const standing = standingOf(entryOf(wanted.url, kept, 0), this.#options.clock.now(), wanted.rules)
    if (standing.refused !== undefined) return missed(standing.refused)
    const body = await this.#bodyOf(kept, answer)
    if (body === undefined) return missed('parent-doubtful')
    return { kind: 'hit', entry: entryOf(wanted.url, kept, body.bytes), standing, held: heldPage(body, standing) }
  }

  /** Undefined: it is too large, or not whole. */
  async #bodyOf(kept: KeptAnswer, answer: ParentAnswer): Promise<Body | undefined> {
    const { maxBodyBytes, maxHeldBytes, budget, bodyTimeoutMs } = this.#options
    const { codings, contentLength, head } = kept
    if (head.status === 204) return { bytes: 0, read: () => new Uint8Array(0), release: () => answer.discard() }
    if (contentLength !== undefined && contentLength > maxBodyBytes) return undefined
    if (codings.length === 0 && contentLength !== undefined && contentLength > maxHeldBytes) return this.#stream(answer, contentLength)
    const limits = { maxBytes: Math.min(maxHeldBytes, maxBodyBytes) }
    const held = await wholeBody(answer.content, { contentLength, decode: (coded) => decoded(coded, codings, limits), budget, timeoutMs: bodyTimeoutMs, onLate: () => answer.discard() })
    return held === undefined ? undefined : { bytes: held.length, read: (range) => held.read(range), release: () => held.release() }
  }

  /** As it comes. It has a connection to itself, so that few are handed on at once, and none for long. */
  #stream(answer: ParentAnswer, bytes: number): Body | undefined {
    if (this.#streams >= maxStreams) return undefined
    this.#streams += 1
    let isOver = false
    const end = (): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      this.#streams -= 1
      answer.discard()
    }
    const timer = setTimeout(end, this.#options.bodyTimeoutMs).unref()
    return { bytes, read: (range) => partOfStream(answer.content, range ?? { first: 0, last: bytes - 1 }), release: end }
  }
}

interface Body extends Pick<HeldPage, 'read' | 'release'> {
  readonly bytes: number
}

function heldPage({ read, release }: Body, { ttlMs }: Standing): HeldPage {
  const stale = ttlMs <= 0 ? '; detail=stale' : ''
  return { source: 'parent', status: `parent; hit; ttl=${Math.floor(ttlMs / 1000)}${stale}, sallyport; fwd=miss`, read, release }
}

/** A stale answer is sent only to those who say that they take one (RFC 9111 section 5.2.1.2). */
function askingFields({ staleOk }: AgeRules): readonly string[] {
  return staleOk ? onlyIfCached.map((text) => (text === 'only-if-cached' ? 'only-if-cached, max-stale' : text)) : onlyIfCached
}

/** The agent's choice of type and language; undefined where it is longer than a choice is. */
function choicesOf(fields: readonly string[]): readonly string[] | undefined {
  const sent: string[] = []
  for (const name of choices) {
    const value = joinedValue(fields, name.toLowerCase())
    if (value !== undefined) sent.push(name, value)
  }
  return sent.join('').length > maxChoiceBytes ? undefined : sent
}

/** As an entry of the own store would be; it has no number and no digest, for nobody looks it up again. */
function entryOf(url: string, { head }: KeptAnswer, bodyBytes: number): CachedResponse {
  return {
    ...head, key: { shelf: 'web', partition: commonPartition, url }, source: 'fetched', by: 'parent', pinned: false, capturedMs: undefined,
    id: 0, bodyDigest: '', bodyBytes,
  }
}

function missed(detail: Miss['detail']): Miss {
  return { kind: 'miss', detail }
}
