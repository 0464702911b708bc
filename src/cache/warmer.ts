// Fills the cache with many pages: a list, what a sitemap names, and what those pages link to on their own site. Each is an
// exchange of its own that policy decides; a page or a sitemap can widen a crawl only within the origins that a person named,
// and nothing is fetched that its robots.txt asks not to fetch, unless an admin says so.
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import { valuesOf } from '../target/field-list.ts'
import { parseUrl } from '../target/target-uri.ts'
import type { CacheStore } from './cache-store.ts'
import { readCacheUrl } from './cache-url.ts'
import type { CachedResponse } from './cached-response.ts'
import { decoded, DecodingFault } from './decoding.ts'
import type { Filler, FillFault, FillOrder } from './filler.ts'
import { sameOriginLinks } from './links.ts'
import { readSitemap, type UrlList } from './sitemap.ts'
import { SiteRules, type Stop } from './site-rules.ts'

export interface WarmOrder {
  /** pages to begin with */
  readonly urls: readonly string[]
  /** sitemaps, or indexes of them */
  readonly sitemaps: readonly string[]
  readonly partition: string
  readonly team: string | undefined
  readonly by: string
  readonly pinned: boolean
  /** links that are followed from a page that was named; 0: none */
  readonly depth: number
  /** pages that are fetched at most */
  readonly limit: number
  /** requests to one host in a second */
  readonly perSecond: number
  /** what sitemaps name and redirects lead to on other origins is fetched too */
  readonly otherOrigins: boolean
  readonly ignoresRobots: boolean
}

export type WarmEvent =
  | { readonly kind: 'sitemap'; readonly url: string; readonly pages: number; readonly sitemaps: number }
  | { readonly kind: 'kept'; readonly entry: CachedResponse }
  | ({ readonly kind: 'failed' } & FillFault)
  | { readonly kind: 'skipped'; readonly url: string; readonly reason: string }
  | ({ readonly kind: 'progress' } & WarmCounts)

export interface WarmCounts {
  /** pages that are kept, those that redirects led to included */
  readonly kept: number
  readonly failed: number
  /** by robots.txt, or of another origin */
  readonly skipped: number
  /** pages that were taken up so far */
  readonly visited: number
  /** pages that are known and wait */
  readonly waiting: number
  /** of content */
  readonly bytes: number
}

export interface WarmResult extends WarmCounts {
  /** the limit was reached before all of it was fetched */
  readonly isCut: boolean
  readonly isInterrupted: boolean
}

export interface WarmerOptions {
  readonly filler: Filler
  readonly store: CacheStore
  readonly clock: Clock
}

const maxKnown = 50_000
const maxSitemaps = 500
const maxLinks = 1000
const sitemapBytes = 50 * 1024 * 1024

export class Warmer {
  readonly #options: WarmerOptions

  constructor(options: WarmerOptions) {
    this.#options = options
  }

  /** Rejects with what `tell` rejects with, and with faults of the store; never for a page's sake. */
  run(order: WarmOrder, signal: AbortSignal, tell: (event: WarmEvent) => Promise<void>): Promise<WarmResult> {
    return new Crawl(this.#options, order, signal, tell).run()
  }
}

/** One order under way. */
class Crawl {
  readonly #options: WarmerOptions
  readonly #order: WarmOrder
  readonly #signal: AbortSignal
  readonly #tell: (event: WarmEvent) => Promise<void>
  readonly #rules: SiteRules
  readonly #fill: Omit<FillOrder, 'url'>
  /** of what a person named */
  readonly #origins = new Set<string>()
  readonly #known = new Set<string>()
  readonly #waiting: { readonly url: string; readonly depth: number }[] = []
  readonly #counts = { kept: 0, failed: 0, skipped: 0, visited: 0, bytes: 0 }
  #next = 0
  #isCut = false

  constructor(options: WarmerOptions, order: WarmOrder, signal: AbortSignal, tell: (event: WarmEvent) => Promise<void>) {
    this.#options = options
    this.#order = order
    this.#signal = signal
    this.#tell = tell
    const { partition, by, team, pinned } = order
    const fill = { partition, by, team, pinned, source: 'warmed', approvalId: undefined, signal } as const
    this.#rules = new SiteRules({ filler: options.filler, clock: options.clock, order: fill, perSecond: order.perSecond, ignoresRobots: order.ignoresRobots, signal })
    this.#fill = { ...fill, follow: async (url) => this.#foreign(url) ?? (await this.#rules.enter(url))?.reason }
  }

  async run(): Promise<WarmResult> {
    const { urls, sitemaps, limit } = this.#order
    const pages = await this.#readUrls(urls)
    const lists = await this.#readUrls(sitemaps)
    for (const url of [...pages, ...lists]) this.#origins.add(new URL(url).origin)
    for (const url of pages) this.#add(url, 0)
    await this.#readSitemaps(lists)
    for (let next = this.#waiting[this.#next]; next !== undefined && !this.#signal.aborted; next = this.#waiting[this.#next]) {
      if (this.#counts.visited === limit) {
        this.#isCut = true
        break
      }
      this.#next += 1
      this.#counts.visited += 1
      await this.#visit(next.url, next.depth)
      await this.#tell({ kind: 'progress', ...this.#sofar() })
    }
    return { ...this.#sofar(), isCut: this.#isCut, isInterrupted: this.#signal.aborted }
  }

  #sofar(): WarmCounts {
    return { ...this.#counts, waiting: this.#waiting.length - this.#next }
  }

  /** As the cache writes them. */
  async #readUrls(texts: readonly string[]): Promise<string[]> {
    const urls: string[] = []
    for (const text of texts) {
      try {
        urls.push(readCacheUrl(text))
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error
        await this.#failed({ url: text, code: error.code, reason: error.detail })
      }
    }
    return urls
  }

  #add(url: string, depth: number): void {
    if (this.#known.has(url)) return
    if (this.#known.size >= maxKnown) {
      this.#isCut = true
      return
    }
    this.#known.add(url)
    this.#waiting.push({ url, depth })
  }

  async #readSitemaps(urls: readonly string[]): Promise<void> {
    const waiting = [...new Set(urls)]
    const known = new Set(waiting)
    for (let at = 0; at < waiting.length && !this.#signal.aborted; at++) {
      const url = waiting[at] ?? ''
      const list = await this.#readSitemap(url)
      if (list === undefined) continue
      await this.#tell({ kind: 'sitemap', url, pages: list.pages.length, sitemaps: list.sitemaps.length })
      for (const further of list.sitemaps) {
        if (known.has(further)) continue
        const why = this.#foreign(further) ?? (known.size >= maxSitemaps ? `there are more than ${maxSitemaps} sitemaps` : undefined)
        if (why !== undefined) await this.#skipped(further, why)
        else waiting.push(further)
        known.add(further)
      }
      for (const page of list.pages) {
        const why = this.#known.has(page) ? undefined : this.#foreign(page)
        if (why === undefined) this.#add(page, 0)
        else await this.#skipped(page, why)
      }
      if (list.isCut) this.#isCut = true
    }
  }

  async #readSitemap(url: string): Promise<UrlList | undefined> {
    const stop = await this.#rules.enter(url)
    if (stop !== undefined) {
      await this.#stopped(url, stop)
      return undefined
    }
    const looked = await this.#options.filler.look({ ...this.#fill, url }, sitemapBytes, async ({ status, content }) => {
      if (status !== 200) throw new ProxyError('cache_failed', `its status is ${status}`)
      return readSitemap(withoutGzip(content))
    })
    if (!('fault' in looked)) return looked.value
    await this.#failed({ ...looked.fault, url })
    return undefined
  }

  async #visit(url: string, depth: number): Promise<void> {
    const stop = await this.#rules.enter(url)
    if (stop !== undefined) return this.#stopped(url, stop)
    const { kept, fault } = await this.#options.filler.fetch({ ...this.#fill, url })
    for (const entry of kept) {
      this.#known.add(entry.key.url)
      this.#counts.kept += 1
      this.#counts.bytes += entry.bodyBytes
      await this.#tell({ kind: 'kept', entry })
    }
    if (fault !== undefined && !this.#signal.aborted) await this.#failed(fault)
    const page = kept.at(-1)
    if (fault === undefined && page !== undefined && depth < this.#order.depth) await this.#follow(page, depth + 1)
  }

  async #follow(page: CachedResponse, depth: number): Promise<void> {
    const [type = ''] = valuesOf(page.fields, 'content-type')
    if (page.status !== 200 || !/^(?:text\/html|application\/xhtml\+xml)\b/i.test(type)) return
    const content = await this.#options.store.read(page)
    if (content === undefined) return
    const links = await sameOriginLinks(parseUrl(page.key.url), content instanceof Uint8Array ? piecesOf(content) : content, maxLinks)
    for (const link of links) this.#add(link, depth)
  }

  /** Why it lies outside of what was named, as a clause. */
  #foreign(url: string): string | undefined {
    const origin = URL.parse(url)?.origin ?? ''
    return this.#order.otherOrigins || this.#origins.has(origin) ? undefined : `${origin} was not named`
  }

  async #failed(fault: FillFault): Promise<void> {
    this.#counts.failed += 1
    await this.#tell({ kind: 'failed', ...fault })
  }

  async #stopped(url: string, { reason, isFault }: Stop): Promise<void> {
    if (this.#signal.aborted) return
    if (isFault) await this.#failed({ url, code: 'cache_failed', reason })
    else await this.#skipped(url, reason)
  }

  async #skipped(url: string, reason: string): Promise<void> {
    this.#counts.skipped += 1
    await this.#tell({ kind: 'skipped', url, reason })
  }
}

/** A sitemap that is a gzip file, whatever it is called. */
async function* withoutGzip(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = content[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  let bytes = 0
  let isEnded = false
  while (bytes < 2 && !isEnded) {
    const { value, done = false } = await iterator.next()
    isEnded = done
    if (value === undefined) continue
    held.push(value)
    bytes += value.byteLength
  }
  const start = Buffer.concat(held)
  const whole = joined(start, isEnded ? undefined : iterator)
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* whole
    return
  }
  try {
    yield* decoded(whole, ['gzip'], { maxBytes: sitemapBytes, allowMembers: true })
  } catch (error) {
    throw error instanceof DecodingFault ? new ProxyError('cache_failed', error.message, { cause: error }) : error
  }
}

async function* joined(first: Uint8Array, rest: AsyncIterator<Uint8Array> | undefined): AsyncGenerator<Uint8Array> {
  yield first
  for (let next = await rest?.next(); next !== undefined && next.done !== true; next = await rest?.next()) yield next.value
}

async function* piecesOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}
