// `agent_telemetry`: the exact OTLP endpoints that agents may post to.
import { ProxyError } from '../errors.ts'
import { parseAuthority } from '../target/authority.ts'
import type { Scope } from './pattern.ts'
import { parsePathPattern } from './path-pattern.ts'
import type { PathPattern } from './path-pattern.ts'

export interface Endpoint {
  readonly scope: Scope
  readonly port: number
  /** the paths that may be posted to; undefined for https, where the tunnel hides them */
  readonly paths: readonly PathPattern[] | undefined
}

// OTLP/HTTP appends these to a base URL (OTLP specification, section "OTLP/HTTP Request")
const signals = ['/v1/logs', '/v1/traces', '/v1/metrics', '/v1development/profiles']

/** Reads `http://host:port[/path]` or the same with https. */
export function parseEndpoint(text: string): Endpoint | { readonly wrong: string } {
  const found = /^(https?):\/\/([^/?#]+)([^?#]*)$/.exec(text)
  if (found === null) return { wrong: 'write `http://host:port` or `https://host:port`, with a path at most' }
  const [, scheme = '', authorityText = '', written = ''] = found
  try {
    const { host, port } = parseAuthority(authorityText, scheme === 'https' ? 443 : 80)
    const scope: Scope =
      host.kind === 'name'
        ? { kind: 'exact', name: host.text }
        : { kind: 'address', cidr: { family: host.ip.family, bits: host.ip.bits, prefix: host.ip.family === 4 ? 32 : 128, text: host.text } }
    if (scheme === 'https') return { scope, port, paths: undefined }
    const base = written.replace(/\/+$/, '')
    const paths = [...(base === '' ? [] : [base]), ...signals.map((signal) => base + signal)].map(parsePathPattern)
    const good = paths.flatMap((path) => ('wrong' in path ? [] : [path]))
    return good.length === paths.length ? { scope, port, paths: good } : { wrong: 'a path that can be read in more than one way' }
  } catch (error) {
    if (error instanceof ProxyError) return { wrong: error.detail }
    throw error
  }
}
