// How the cache writes a target: one text for one target, the same for what is asked, fetched, listed and imported.
// It never decodes or repairs a path or a query: the value matched is the value kept.
import { defaultPortOf, formatAuthority } from '../target/authority.ts'
import { formatTarget, parseUrl } from '../target/target-uri.ts'
import type { TargetUri } from '../target/target-uri.ts'

/** `CacheKey.url`: scheme, host in its only spelling, port unless it is the scheme's own, path and query as they came. */
export function cacheUrl(target: TargetUri): string {
  const authority = formatAuthority(target.authority, defaultPortOf(target.scheme))
  return `${target.scheme}://${authority}${formatTarget(target)}`
}

/** A URL from a list, a page or an archive as the cache writes it; its fragment is dropped. Throws as parseUrl does. */
export function readCacheUrl(text: string): string {
  return cacheUrl(parseUrl(text))
}
