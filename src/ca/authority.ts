// What interception asks of the certificate authority. Types only: who signs what stands in this room,
// sockets do not.
import type { Host } from '../target/host.ts'

/** A certificate for one host, and what a TLS server needs to speak for it. */
export interface Leaf {
  /** PEM: the leaf, then what a client needs to get to the root, each with its newline */
  readonly chainPem: string
  /** PEM, PKCS #8; one key for all leaves of a process */
  readonly keyPem: string
  /** wall clock, `ms` */
  readonly notAfterMs: number
}

export interface LeafSource {
  /** The root is there after this: loaded, or made on first need. Rejects with ProxyError `ca_unavailable`,
   * whose detail says what to do. Cheap when it was ready before. */
  ready(): Promise<void>
  /** A leaf for this host and nothing else, cached. Throws ProxyError `ca_unavailable` before `ready`. */
  leafFor(host: Host): Leaf
}
