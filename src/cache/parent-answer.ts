// Is an answer of the parent cache one out of its cache? Pure. A parent that fetched in spite of `only-if-cached` must not
// pass: what a cache says of itself has to be there, and nothing may speak against it.
import { joinedValue, listMembers, onlyValue, valuesOf } from '../target/field-list.ts'

const seconds = /^\d{1,10}$/
/** `X-Cache` of squid and of those who write it as squid does: the last member is the parent's own. */
const xCacheHit = /^(?:tcp_(?:mem_|ims_)?)?hit\b/i
/** `Via` of Traffic Server, which sends an Age with live answers too: found in the cache, in memory or on disk (`R`, `H`),
 * and no origin was asked. */
const trafficServerCodes = /\[(?:u.)?c(.)s(.)f/

/** A clause that says why nobody can tell that it is out of the cache; undefined: it is, as far as can be seen. */
export function doubtOf(fields: readonly string[]): string | undefined {
  if (valuesOf(fields, 'x-squid-error').length > 0) return 'it is an error page of its own'
  // RFC 9111 section 5.1: what comes out of a cache has an Age
  if (!seconds.test(onlyValue(fields, 'age') ?? '')) return 'it has no Age'
  const own = listMembers(joinedValue(fields, 'cache-status') ?? '').at(-1)
  if (own !== undefined && !isHit(own)) return 'its Cache-Status does not say that it is a hit'
  const xCache = listMembers(joinedValue(fields, 'x-cache') ?? '').at(-1)
  if (xCache !== undefined && !xCacheHit.test(xCache)) return 'its X-Cache does not say that it is a hit'
  const [, looked, server] = trafficServerCodes.exec(listMembers(joinedValue(fields, 'via') ?? '').at(-1) ?? '') ?? []
  if (looked !== undefined && ((looked !== 'H' && looked !== 'R') || server !== ' ')) return 'its Via does not say that it is a hit'
  return undefined
}

/** A member of `Cache-Status` (RFC 9211 section 2): `hit`, and neither `hit=?0` nor forwarded. */
function isHit(member: string): boolean {
  const parameters = member.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').split(';').slice(1).map((one) => one.trim().toLowerCase())
  return parameters.some((one) => one === 'hit' || one === 'hit=?1') && !parameters.some((one) => one === 'fwd' || one.startsWith('fwd='))
}
