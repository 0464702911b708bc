// The property every authority has, whoever wrote it: refused with a code, or read into one spelling that
// reads back as itself and that a URL parser takes for the same host.
import { formatAuthority, parseAuthority } from '../../src/target/authority.ts'
import { formatHost } from '../../src/target/host.ts'
import { ProxyError } from '../../src/errors.ts'

const codes: readonly string[] = ['host_syntax', 'host_ambiguous_ip', 'authority_syntax']
const nameGrammar = /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/

/** What is wrong with how `text` was read; undefined when nothing is. */
export function authorityFault(text: string, defaultPort: number | undefined): string | undefined {
  let authority
  try {
    authority = parseAuthority(text, defaultPort)
  } catch (error) {
    return error instanceof ProxyError && codes.includes(error.code) ? undefined : `threw ${String(error)}`
  }
  const { host, port } = authority
  if (port < 1 || port > 65535 || !Number.isInteger(port)) return `port ${port}`
  if (host.kind === 'name' && (host.text.length > 253 || !nameGrammar.test(host.text))) return `name ${host.text}`
  const written = formatAuthority(authority)
  const again = parseAuthority(written)
  if (formatAuthority(again) !== written) return `reads back as ${formatAuthority(again)}`
  if (again.host.kind !== host.kind || again.host.text !== host.text || again.port !== port) return 'reads back as another host'
  return oracleFault(formatHost(host))
}

/** A second opinion: to a WHATWG parser the host must be what we made of it, not something else. */
function oracleFault(host: string): string | undefined {
  const seen = URL.parse(`http://${host}/`)?.hostname
  // it refuses right-to-left names next to digits, and writes IPv4-mapped addresses in hex
  if (seen === undefined && host.includes('xn--')) return undefined
  if (host.startsWith('[::ffff:') && seen?.startsWith('[::ffff:') === true) return undefined
  return seen === host ? undefined : `a URL parser reads ${host} as ${String(seen)}`
}
