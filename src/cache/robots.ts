// What a site's robots.txt says to us (RFC 9309). It binds crawls of ours, never agents. Where it cannot be read, or costs
// too much to be matched, nothing is crawled.
import robotsModule from 'robots-parser'

/** The product token that robots.txt names us by. */
export const robotsToken = 'sallyport'

export interface Robots {
  /** may this URL of the same origin be fetched; false for one of another origin */
  isAllowed(url: string): boolean
  /** seconds between two requests, at most an hour; undefined: it does not say */
  readonly crawlDelay: number | undefined
  /** URLs as they stand there, unchecked */
  readonly sitemaps: readonly string[]
}

// RFC 9309 section 2.5: at least 500 KiB are read
const maxLength = 512 * 1024
const maxCrawlDelay = 3600
const maxSitemaps = 100
// steps of the matcher for one URL: a rule with * costs its length times that of the URL
const maxSteps = 20_000_000

/**
 * Reads the answer to `GET url`, the site's `/robots.txt`. A status of 400 to 499 is a site that says nothing, so all is
 * allowed, but for 429; any other that is not 200 to 299 is one that cannot say, so nothing is (RFC 9309 section 2.3.1).
 */
export function readRobots(url: string, status: number, text: string): Robots {
  if (status >= 400 && status <= 499 && status !== 429) return { isAllowed: (page) => isSameOrigin(url, page), crawlDelay: undefined, sitemaps: [] }
  if (status < 200 || status > 299) return { isAllowed: () => false, crawlDelay: undefined, sitemaps: [] }
  const kept = text.length <= maxLength ? text : text.slice(0, text.lastIndexOf('\n', maxLength) + 1)
  const parse: unknown = robotsModule
  if (!isParser(parse)) throw new TypeError('robots-parser is not a function')
  const robots = parse(url, kept.replace(/^\ufeff/, ''))
  const steps = costOfWildcards(kept)
  const delay = robots.getCrawlDelay(robotsToken)
  return {
    isAllowed: (page) => isSameOrigin(url, page) && steps * page.length <= maxSteps && robots.isAllowed(page, robotsToken) === true,
    crawlDelay: delay === undefined || !(delay >= 0) ? undefined : Math.min(delay, maxCrawlDelay),
    sitemaps: robots.getSitemaps().slice(0, maxSitemaps),
  }
}

function isSameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin
}

function costOfWildcards(text: string): number {
  let characters = 0
  for (const line of text.split(/[\r\n]+/)) if (line.includes('*')) characters += line.length
  return characters
}

/** Its types speak of a `default` that node's import of CommonJS does not have. */
function isParser(value: unknown): value is typeof robotsModule.default {
  return typeof value === 'function'
}
