// What a site says about crawling it, and how fast it is asked: robots.txt of each origin, read once a crawl by an exchange of
// its own and never kept, and one request at a time to each host. Where robots.txt cannot be read nothing is crawled.
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Filler, FillOrder } from './filler.ts'
import { readRobots, type Robots } from './robots.ts'

export interface SiteRulesOptions {
  readonly filler: Pick<Filler, 'look'>
  readonly clock: Clock
  /** of the crawl; its URL is left out of account */
  readonly order: Omit<FillOrder, 'url'>
  /** requests to one host in a second */
  readonly perSecond: number
  readonly ignoresRobots: boolean
  readonly signal: AbortSignal
  /** rejects when the signal says; a test's seam */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Why a URL is not fetched. */
export interface Stop {
  /** a clause */
  readonly reason: string
  /** the site could not be asked; false: it asks not to */
  readonly isFault: boolean
}

// RFC 9309 section 2.5 wants at least 500 KiB to be read
const robotsBytes = 512 * 1024
/** above what is read, so that a longer one is cut and not refused */
const robotsMaxBytes = 64 * 1024 * 1024

const interrupted: Stop = { reason: 'interrupted', isFault: false }

export class SiteRules {
  readonly #options: SiteRulesOptions
  readonly #robots = new Map<string, Promise<Robots | string>>()
  /** by host: when it may be asked again, monotonic `ms` */
  readonly #nextMs = new Map<string, number>()
  readonly #delaysMs = new Map<string, number>()

  constructor(options: SiteRulesOptions) {
    this.#options = options
  }

  /** Waits for the host's turn. Resolves to why the URL is not fetched; undefined: it may be now. */
  async enter(url: string): Promise<Stop | undefined> {
    const { ignoresRobots, signal } = this.#options
    const { origin, host } = new URL(url)
    if (!ignoresRobots) {
      const robots = await this.#robotsOf(origin)
      if (signal.aborted) return interrupted
      if (typeof robots === 'string') return { reason: `the robots.txt of ${origin} could not be read: ${robots}`, isFault: true }
      if (!robots.isAllowed(url)) return { reason: `the robots.txt of ${origin} asks not to crawl it`, isFault: false }
      if (robots.crawlDelay !== undefined) this.#delaysMs.set(host, robots.crawlDelay * 1000)
    }
    await this.#turn(host)
    return signal.aborted ? interrupted : undefined
  }

  async #turn(host: string): Promise<void> {
    const { clock, perSecond, signal, pause = pauseFor } = this.#options
    const nowMs = clock.monotonic()
    const atMs = Math.max(nowMs, this.#nextMs.get(host) ?? nowMs)
    this.#nextMs.set(host, atMs + Math.max(1000 / perSecond, this.#delaysMs.get(host) ?? 0))
    if (atMs <= nowMs || signal.aborted) return
    try {
      await pause(atMs - nowMs, signal)
    } catch (error) {
      // whoever waited sees that it is aborted
      if (!signal.aborted) throw error
    }
  }

  #robotsOf(origin: string): Promise<Robots | string> {
    const known = this.#robots.get(origin)
    if (known !== undefined) return known
    const read = this.#readRobots(origin)
    this.#robots.set(origin, read)
    return read
  }

  /** A sentence's end where it cannot be read. */
  async #readRobots(origin: string): Promise<Robots | string> {
    const { filler, order } = this.#options
    const url = `${origin}/robots.txt`
    await this.#turn(new URL(origin).host)
    const looked = await filler.look({ ...order, url }, robotsMaxBytes, async ({ status, content }) => readRobots(url, status, await textOf(content)))
    return 'fault' in looked ? looked.fault.reason : looked.value
  }
}

function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal })
}

/** As much of it as counts. */
async function textOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of content) {
    pieces.push(piece)
    bytes += piece.byteLength
    if (bytes > robotsBytes) break
  }
  return Buffer.concat(pieces).toString('utf8')
}
