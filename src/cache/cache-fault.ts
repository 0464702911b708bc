// The faults of the cache's disk and index as the one error that the rest of the house knows. It never hides one.
import { ProxyError } from '../errors.ts'

/** `what` says what could not be done. A ProxyError passes as it is. */
export function cacheFault(what: string, cause: unknown): ProxyError {
  if (cause instanceof ProxyError) return cause
  return new ProxyError('cache_failed', `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}

/** What the file system calls the error, `ENOENT` for one. */
export function faultCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** A body that is gone, or is not what its digest says. */
export class DamagedBody extends Error {
  constructor(digest: string, what: string, options?: { readonly cause?: unknown }) {
    super(`the cached body ${digest} ${what}`, options)
    this.name = 'DamagedBody'
  }
}
