// What `explain` is asked about: a URL or host:port as a person types it, read by the same parser that
// reads requests. Nothing is repaired: what the proxy would refuse as ambiguous is refused here too.
import { ProxyError } from '../errors.ts'
import type { Facts, Principal } from './facts.ts'
import { formatAuthority, parseAuthority } from '../target/authority.ts'
import type { Authority } from '../target/authority.ts'
import { parseAbsoluteForm, parseOriginForm } from '../target/target-uri.ts'

export interface ExplainTarget {
  /** `tunnel`: what a client sends as CONNECT; `request`: a request over plain http */
  readonly kind: 'tunnel' | 'request'
  /** the first line of what the proxy is sent: `CONNECT host:443`, `GET http://host/` */
  readonly asked: string
  /** what the proxy sees */
  readonly facts: Facts
  /** the request that the tunnel of an https URL hides */
  readonly inner: Facts | undefined
}

export interface ExplainOptions {
  readonly method: string
  readonly upgrade: 'websocket' | undefined
  readonly principal: Principal
  /** of the request, flat name, value; absent: none */
  readonly fields?: readonly string[]
  /** absent: none */
  readonly content?: Facts['content']
}

/** Reads `https://…`, `http://…`, `wss://…`, `ws://…`, `host` or `host:port`. Throws ProxyError as the proxy would. */
export function readTarget(text: string, options: ExplainOptions): ExplainTarget {
  const [, scheme = '', rest = ''] = /^([a-z][a-z\d+.-]*):\/\/(.*)$/is.exec(text) ?? []
  switch (scheme.toLowerCase()) {
    case 'http':
      return requestOf(`http://${rest}`, options)
    // a plain WebSocket goes through a tunnel to port 80, where it is a request like any other
    case 'ws':
      return requestOf(`http://${rest}`, { ...options, upgrade: 'websocket' })
    case 'https':
      return tunnelOf(rest, options)
    case 'wss':
      return tunnelOf(rest, { ...options, upgrade: 'websocket' })
    case '':
      return { ...tunnelOf(text, options), inner: undefined }
    default:
      throw new ProxyError('scheme_unsupported', `\`${scheme}\` is neither http nor https`)
  }
}

function requestOf(url: string, options: ExplainOptions): ExplainTarget {
  const { authority, path, query } = parseAbsoluteForm(url)
  const facts = factsOf('request', 'http', authority, path, query, options)
  return { kind: 'request', asked: `${facts.method} http://${formatAuthority(authority, 80)}${path}`, facts, inner: undefined }
}

function tunnelOf(rest: string, options: ExplainOptions): ExplainTarget {
  const end = rest.search(/[/?#]/)
  const authority = parseAuthority(end === -1 ? rest : rest.slice(0, end), 443)
  const target = end === -1 ? '/' : rest.slice(end)
  const { path, query } = parseOriginForm(target.startsWith('/') ? target : `/${target}`, 'https', authority)
  return {
    kind: 'tunnel',
    asked: `CONNECT ${formatAuthority(authority)}`,
    facts: factsOf('connect', 'https', authority, undefined, undefined, options),
    inner: factsOf('request', 'https', authority, path, query, options),
  }
}

function factsOf(
  stage: Facts['stage'],
  scheme: Facts['scheme'],
  { host, port }: Authority,
  path: string | undefined,
  query: string | undefined,
  { method, upgrade, principal, fields = [], content = 0 }: ExplainOptions,
): Facts {
  // as the front reads a CONNECT: what goes to port 80 is no TLS
  if (stage === 'connect') return { stage, scheme: port === 80 ? 'http' : scheme, host, port, path, query, principal, method: undefined, upgrade: undefined }
  return { stage, scheme, host, port, path, query, principal, method, upgrade, fields, content }
}
