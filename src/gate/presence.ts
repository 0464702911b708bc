// The client behind an exchange, as far as the gate has to know it while the exchange is held.
import type { Facts } from '../policy/facts.ts'

export interface Presence {
  /** Calls back once when the client leaves, within a second; returns the end of watching. */
  watch(onLeft: () => void): () => void
  /** SHA-256 over the request, body included, for a question about this very request; undefined where the
   * request cannot be seen. Throws ProxyError `body_too_large_to_approve`. */
  requestDigest(facts: Facts): Promise<string | undefined>
}
