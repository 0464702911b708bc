// References of an answer (Location, Content-Location), resolved against the target they answer. Only what stays with the
// same origin comes out: nothing here is ever dialled or matched against policy.
import { defaultPortOf, formatAuthority } from './authority.ts'
import { formatTarget, type TargetUri } from './target-uri.ts'

/** The target URI as it was matched: scheme, authority without the default port, path and query. */
export function formatUri(target: TargetUri): string {
  return `${originOf(target)}${formatTarget(target)}`
}

/** The URL that `reference` means, in the same spelling; undefined when it is no URL or has another origin (RFC 3986 section 5, RFC 9110 section 4.3.1). */
export function sameOriginUri(target: TargetUri, reference: string): string | undefined {
  const base = new URL(formatUri(target))
  const url = URL.canParse(reference, base.href) ? new URL(reference, base.href) : undefined
  return url?.origin === base.origin ? `${originOf(target)}${url.pathname}${url.search}` : undefined
}

function originOf({ scheme, authority }: TargetUri): string {
  return `${scheme}://${formatAuthority(authority, defaultPortOf(scheme))}`
}
