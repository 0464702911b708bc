// The links of a page that lead to its own origin, for a crawl of some depth. What a page says may only ever widen a crawl
// within that origin; nothing it names is fetched before it was parsed as every other target is.
import { ProxyError } from '../errors.ts'
import { parseUrl } from '../target/target-uri.ts'
import { formatAuthority } from '../target/authority.ts'
import type { TargetUri } from '../target/target-uri.ts'
import { cacheUrl } from './cache-url.ts'

const maxHrefLength = 8192
// the parser's time grows with the square of the depth; a page that people read has a few dozen
const maxDepth = 1000

/**
 * URLs, as the cache writes them, that `a` and `area` of an HTML page link to on the page's own scheme, host and port, each
 * once, in their order, at most `maxLinks`. `rel=nofollow` and a robots meta element that says `nofollow` or `none` are
 * heeded. Behind the thousandth level of elements nothing is read. The page is read as UTF-8; in any other encoding links of ASCII are found all the same.
 */
export async function sameOriginLinks(page: TargetUri, content: AsyncIterable<Uint8Array>, maxLinks: number): Promise<string[]> {
  const links = new Set<string>()
  let base = cacheUrl(page)
  let hasBase = false
  let isFollowed = true
  let depth = 0
  // for commands that fill the cache alone: a proxy starts without it
  const { Parser } = await import('htmlparser2')
  const parser = new Parser({
    onopentag(name, { href, rel, name: meta, content: says }) {
      if (++depth > maxDepth) parser.pause()
      if (name === 'base' && href !== undefined && !hasBase) {
        hasBase = true
        base = URL.parse(href.trim(), base)?.href ?? base
      } else if (name === 'meta' && meta?.toLowerCase() === 'robots') {
        if (/\b(?:nofollow|none)\b/i.test(says ?? '')) isFollowed = false
      } else if ((name === 'a' || name === 'area') && href !== undefined && links.size < maxLinks) {
        if (href.length > maxHrefLength || /\bnofollow\b/i.test(rel ?? '')) return
        const url = linked(href, base, page)
        if (url !== undefined) links.add(url)
      }
    },
    onclosetag() {
      depth--
    },
  })
  const decoder = new TextDecoder()
  for await (const chunk of content) {
    parser.write(decoder.decode(chunk, { stream: true }))
    if (!isFollowed || depth > maxDepth) break
  }
  if (depth <= maxDepth) parser.end()
  return isFollowed ? [...links] : []
}

/** What a browser would make of it, then read by our own parser. */
function linked(href: string, base: string, page: TargetUri): string | undefined {
  const resolved = URL.parse(href.trim(), base)
  if (resolved === null || (resolved.protocol !== 'http:' && resolved.protocol !== 'https:')) return undefined
  try {
    const target = parseUrl(resolved.href)
    const isSame = target.scheme === page.scheme && formatAuthority(target.authority) === formatAuthority(page.authority)
    return isSame ? cacheUrl(target) : undefined
  } catch (error) {
    // a link that no request could carry is no link
    if (error instanceof ProxyError) return undefined
    throw error
  }
}
