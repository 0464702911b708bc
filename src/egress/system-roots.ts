// The public roots of this machine, for the bundles that clients are given. Reads them and opens no socket; the
// roots that origins are verified with are Node's own business.
import { getCACertificates } from 'node:tls'

/** PEM, one certificate each: the system's store, or Node's own list where the system has none (slim containers). */
export function systemRoots(): readonly string[] {
  const found = getCACertificates('system')
  return found.length > 0 ? found : getCACertificates('bundled')
}
