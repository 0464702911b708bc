// Cache-Status (RFC 9211): what this cache did with a request. Pure. It shows nothing but the request's own fate.

/** RFC 9211 section 2.2 */
export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'request' | 'stale'

export type CacheEvent =
  | { readonly kind: 'hit'; readonly ttlMs: number; readonly detail?: 'stale-if-error' }
  /** `collapsed`: another client's request was waited for */
  | { readonly kind: 'forwarded'; readonly why: Forwarded; readonly status?: number; readonly stored?: boolean; readonly collapsed?: boolean }
  /** `only-if-cached`, and it is not */
  | { readonly kind: 'miss' }

const name = 'sallyport'

/** The value of one Cache-Status field. */
export function cacheStatus(event: CacheEvent): string {
  if (event.kind === 'miss') return `${name}; detail=only-if-cached`
  if (event.kind === 'hit') {
    const detail = event.detail === undefined ? '' : `; detail=${event.detail}`
    return `${name}; hit; ttl=${Math.floor(event.ttlMs / 1000)}${detail}`
  }
  const { why, status, stored, collapsed } = event
  return `${name}; fwd=${why}${status === undefined ? '' : `; fwd-status=${status}`}${collapsed === true ? '; collapsed' : ''}${stored === true ? '; stored' : ''}`
}
