// The URLs that a site or an operator lists: sitemaps and sitemap indexes (sitemaps.org 0.9), and plain lists. Everything in
// them is somebody else's text: what is no http or https URL is counted and left out, and no list is longer than its cap.
import { ProxyError } from '../errors.ts'
import { readCacheUrl } from './cache-url.ts'

export interface UrlList {
  /** as the cache writes them, each once, in their order */
  readonly pages: readonly string[]
  /** further sitemaps, from a sitemap index */
  readonly sitemaps: readonly string[]
  /** lines and entries that are no URL which can be fetched, the first of them as messages */
  readonly faults: readonly string[]
  readonly faultCount: number
  /** there were more than the cap; they are not here */
  readonly isCut: boolean
}

export interface ListLimits {
  /** of pages and sitemaps together; the protocol's own cap is 50,000 */
  readonly maxUrls: number
  /** of the text, decoded; the protocol's own cap is 50 MiB */
  readonly maxBytes: number
}

export const listLimits: ListLimits = { maxUrls: 50_000, maxBytes: 50 * 1024 * 1024 }
const maxUrlLength = 8192
const maxMessages = 20
// the parser's time grows with the square of the depth; a sitemap has five levels
const maxDepth = 100

/**
 * A sitemap or sitemap index, UTF-8, already without gzip. Read leniently, entities of its own are not expanded. Throws
 * ProxyError `cache_failed` for one that is too large or is no sitemap.
 */
export async function readSitemap(source: AsyncIterable<Uint8Array>, limits: ListLimits = listLimits): Promise<UrlList> {
  const list = new ListBuilder(limits)
  const open: string[] = []
  let root: string | undefined
  let text: string | undefined
  // for commands that fill the cache alone: a proxy starts without it
  const { Parser } = await import('htmlparser2')
  const parser = new Parser({
    onopentag(name) {
      root ??= name
      open.push(name)
      if (open.length > maxDepth) throw new ProxyError('cache_failed', `not a sitemap: more than ${maxDepth} elements within each other`)
      // `image:loc` stands deeper
      if (open.length === 3 && name === 'loc') text = ''
    },
    ontext(piece) {
      // longer ones are no URL anyway
      if (text !== undefined && text.length <= maxUrlLength) text += piece
    },
    onclosetag() {
      const parent = open.at(-2)
      open.pop()
      if (text === undefined || open.length >= 3) return
      if (parent === 'url' && root === 'urlset') list.addPage(text.trim())
      else if (parent === 'sitemap' && root === 'sitemapindex') list.addSitemap(text.trim())
      text = undefined
    },
  }, { xmlMode: true, decodeEntities: true })
  for await (const piece of textOf(source, limits)) {
    parser.write(piece)
    if (root !== undefined && root !== 'urlset' && root !== 'sitemapindex') break
  }
  parser.end()
  if (root !== 'urlset' && root !== 'sitemapindex') throw new ProxyError('cache_failed', 'not a sitemap: its first element is neither urlset nor sitemapindex')
  return list.result()
}

/** A list of one URL a line; blank lines and what follows `#` at the start of a line or behind a blank are left out. Throws ProxyError `cache_failed` for one that is too large. */
export async function readUrlList(source: AsyncIterable<Uint8Array>, limits: ListLimits = listLimits): Promise<UrlList> {
  const list = new ListBuilder(limits)
  let rest = ''
  let lines = 0
  const take = (line: string): void => {
    lines++
    const comment = line.search(/(?:^|[\t ])#/)
    const url = (comment === -1 ? line : line.slice(0, comment)).trim()
    if (url !== '') list.addPage(url, `line ${lines}: `)
  }
  for await (const piece of textOf(source, limits)) {
    const parts = (rest + piece).split(/\r\n|\n/)
    rest = parts.pop() ?? ''
    for (const line of parts) take(line)
    // nothing of this length is a URL, and what it may become is not waited for
    if (rest.length > 2 * maxUrlLength) rest = rest.slice(0, 2 * maxUrlLength)
  }
  if (rest !== '') take(rest)
  return list.result()
}

class ListBuilder {
  readonly #limits: ListLimits
  readonly #pages = new Set<string>()
  readonly #sitemaps = new Set<string>()
  readonly #faults: string[] = []
  #faultCount = 0
  #isCut = false

  constructor(limits: ListLimits) {
    this.#limits = limits
  }

  addPage(text: string, where = ''): void {
    this.#add(this.#pages, text, where)
  }

  addSitemap(text: string): void {
    this.#add(this.#sitemaps, text, '')
  }

  result(): UrlList {
    return { pages: [...this.#pages], sitemaps: [...this.#sitemaps], faults: this.#faults, faultCount: this.#faultCount, isCut: this.#isCut }
  }

  #add(urls: Set<string>, text: string, where: string): void {
    try {
      if (text.length > maxUrlLength) throw new ProxyError('uri_too_long', `longer than ${maxUrlLength} characters`)
      const url = readCacheUrl(text)
      if (this.#pages.size + this.#sitemaps.size < this.#limits.maxUrls || urls.has(url)) urls.add(url)
      else this.#isCut = true
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      this.#faultCount++
      if (this.#faults.length < maxMessages) this.#faults.push(where + error.detail)
    }
  }
}

async function* textOf(source: AsyncIterable<Uint8Array>, { maxBytes }: ListLimits): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new ProxyError('cache_failed', `the list is larger than ${maxBytes} bytes`)
    yield decoder.decode(chunk, { stream: true })
  }
  yield decoder.decode()
}
