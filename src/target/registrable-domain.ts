// Which part of a name somebody registered, by the Public Suffix List (ICANN and private section). It
// groups names for people and warns of patterns that are too broad; it never decides a request by itself.
import { getDomain, getPublicSuffix } from 'tldts'

// names come from parseHost, so nothing needs to be extracted or validated again
const options = {
  allowPrivateDomains: true,
  extractHostname: false,
  validateHostname: false,
  detectIp: true,
} as const
const icannOnly = { ...options, allowPrivateDomains: false } as const

// RFC 6761, RFC 6762 and ICANN's `internal`: nobody can register below them, so they are nobody's suffix
const specialUse: ReadonlySet<string> = new Set(['localhost', 'local', 'internal', 'test', 'example', 'invalid'])

/** The public suffix of a canonical name and one label more; undefined for a suffix, a single label or an address. */
export function registrableDomain(name: string): string | undefined {
  return getDomain(name, options) ?? undefined
}

/**
 * As `registrableDomain`, by the ICANN section alone: whoever runs the name servers of `github.io` sees every
 * name below it, however many tenants it has. Undefined for a suffix, a single label or an address.
 */
export function icannDomain(name: string): string | undefined {
  return getDomain(name, icannOnly) ?? undefined
}

/**
 * Whether anybody may register names below this one: `com`, `co.uk`, `github.io`. A single label that the
 * list does not know counts as one, by the list's own default rule.
 */
export function isPublicSuffix(name: string): boolean {
  return name !== '' && !specialUse.has(name) && getPublicSuffix(name, options) === name
}
