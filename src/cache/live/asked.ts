// A request as the cache sees it: whether it may be answered from what is kept, whether its answer may be kept, and what
// it demands. Pure. What carries a credential is never kept from; where that is not sure, it counts as one.
import { valuesOf } from '../../target/field-list.ts'
import { isOneRange } from './byte-ranges.ts'
import { readDirectives, says, type Directives } from './cache-control.ts'
import { hasField, singleValue, withoutFields } from './field-list.ts'
import { trustName } from './vary.ts'

export interface Asking {
  readonly method: string
  /** flat name, value, as they came */
  readonly fields: readonly string[]
  readonly hasContent: boolean
  /** lower-case names that rules take away: the origin never sees them */
  readonly stripped: readonly string[]
  /** rules set a field in it, a credential perhaps, or let it go to an origin that is not verified */
  readonly isChanged: boolean
  /** files of roots that rules add for its origin */
  readonly originRoots: readonly string[]
}

export interface Asked {
  readonly method: string
  /** as the origin would see them */
  readonly fields: readonly string[]
  readonly directives: Directives
  /** `none`: it goes by; `unsafe`: it may change what is kept */
  readonly use: 'none' | 'unsafe' | 'read'
  /** its answer may be kept */
  readonly mayKeep: boolean
  /** only answers that an origin gives to everybody, signed in or not, answer it (RFC 9111 section 3.5) */
  readonly isAuthorized: boolean
  /** Authorization, its kind, or Cookie */
  readonly hasCredentials: boolean
  /** it has neither, nor fields that steer: what its answer says of what is kept, it says of it for everybody */
  readonly speaksForAll: boolean
  /** no-cache, in whichever of its forms */
  readonly wantsConfirmed: boolean
  readonly onlyIfCached: boolean
  /** value of a Range that asks for one part */
  readonly range: string | undefined
}

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
/** What registries and APIs take in place of Authorization. */
const credentialFields: readonly string[] = [
  'authorization', 'x-api-key', 'api-key', 'x-auth-token', 'private-token', 'job-token', 'deploy-token', 'x-jfrog-art-api', 'x-nuget-apikey',
  'x-amz-security-token', 'x-goog-api-key', 'x-vault-token', 'x-access-token', 'x-csrf-token',
]
/** What some origins build pages from though no answer says that it varies by them: whoever sends one could choose what
 * others are shown. */
const steering: ReadonlySet<string> = new Set([
  'forwarded', 'x-host', 'x-original-host', 'x-original-url', 'x-rewrite-url', 'x-http-method', 'x-http-method-override', 'x-method-override',
  'x-http-host-override', 'x-backend-host', 'x-wap-profile', 'x-amz-website-redirect-location', 'true-client-ip', 'x-real-ip', 'x-client-ip',
  'x-original-uri', 'x-original-path', 'x-envoy-original-path', 'x-scheme', 'x-url-scheme', 'front-end-https', 'cf-connecting-ip', 'fastly-client-ip', 'x-cluster-client-ip',
  // of a framework's own servers to each other (CVE-2024-46982, CVE-2025-29927)
  'x-now-route-matches', 'x-matched-path', 'x-invoke-path', 'x-invoke-query', 'x-invoke-status', 'x-nextjs-data', 'x-middleware-prefetch', 'x-middleware-subrequest',
])
// preconditions that only an origin can judge
const forOrigins: readonly string[] = ['if-match', 'if-unmodified-since']

/** RFC 9110 section 9.2.1 */
export function isSafe(method: string): boolean {
  return safeMethods.has(method)
}

export function readAsked({ method, fields: given, hasContent, stripped, isChanged, originRoots }: Asking): Asked {
  const fields = stripped.length === 0 ? [...given] : withoutFields(given, new Set(stripped))
  if (originRoots.length > 0) fields.push(trustName, originRoots.join(' '))
  const directives = readDirectives(fields)
  const isRead = method === 'GET' || method === 'HEAD'
  const ranges = valuesOf(fields, 'range')
  const range = singleValue(fields, 'range')
  const hasOddRange = ranges.length > 0 && (range === undefined || method !== 'GET' || !isOneRange(range))
  const goesBy = isChanged || hasContent || directives.isUnreadable || says(directives, 'no-store') || hasOddRange || forOrigins.some((name) => hasField(fields, name))
  const isAuthorized = credentialFields.some((name) => hasField(fields, name))
  const hasCredentials = isAuthorized || hasField(fields, 'cookie')
  const speaksForAll = !hasCredentials && !steers(fields)
  const pragma = !directives.isPresent && valuesOf(fields, 'pragma').some((value) => value.toLowerCase().includes('no-cache'))
  return {
    method, fields, directives, isAuthorized, hasCredentials, speaksForAll,
    use: !isSafe(method) ? 'unsafe' : isRead && !goesBy ? 'read' : 'none',
    mayKeep: method === 'GET' && !goesBy && speaksForAll,
    wantsConfirmed: says(directives, 'no-cache') || pragma,
    onlyIfCached: says(directives, 'only-if-cached'),
    range: hasOddRange ? undefined : range,
  }
}

function steers(fields: readonly string[]): boolean {
  return fields.some((field, i) => {
    if (i % 2 === 1) return false
    const name = field.toLowerCase().replaceAll('_', '-')
    return steering.has(name) || name.startsWith('x-forwarded-')
  })
}
