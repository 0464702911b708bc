// Makes an Exchange of a request that is not CONNECT: absolute-form on the listener, origin-form inside
// a tunnel to port 80. The target URI is parsed once; what disagrees with itself is refused.
import { ProxyError } from '../errors.ts'
import type { ClientRequest } from '../egress/client-leg.ts'
import { checkConnectionField, checkLoop } from '../egress/field-rules.ts'
import type { Admitted } from '../gate/admitted.ts'
import { defaultPortOf } from '../target/authority.ts'
import type { Exchange, Malformed } from '../gate/exchange.ts'
import { parseAbsoluteForm, parseOriginForm, type TargetUri } from '../target/target-uri.ts'
import type { ClientConnection } from './client-connections.ts'
import type { IngressContext } from './context.ts'
import { identify } from './identity.ts'
import { checkHost, fieldOf, readHead, type RequestHead } from './request-head.ts'

export interface ReadExchange {
  readonly kind: 'exchange'
  readonly exchange: Exchange
  readonly target: TargetUri
  readonly head: RequestHead
}

export interface ReadMalformed {
  readonly kind: 'malformed'
  readonly malformed: Malformed
  readonly error: ProxyError
}

// each costs a decision and a connection to the origin; few bytes must not buy many of them
export const maxOwed = 64
const refusedMethods: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT', 'PRI'])

export function readRequest(
  request: ClientRequest,
  connection: ClientConnection,
  context: IngressContext,
  action: { readonly upgrade: 'websocket' | undefined; readonly isExpectationKnown: boolean; readonly isFlood: boolean },
): ReadExchange | ReadMalformed {
  const id = context.ids.next()
  const startedMs = context.clock.monotonic()
  const { client, bound } = connection
  const protocol = bound?.exchange.facts.scheme === 'https' ? 'https_connect' : 'http'
  const { method = '' } = request
  let target: TargetUri | undefined
  try {
    const head = readHead(request, context.limits)
    target = readTarget(request.url ?? '', bound)
    checkNames(target, head, bound)
    checkFields(request, context)
    if (refusedMethods.has(method)) throw new ProxyError('method_not_supported', method)
    if (!action.isExpectationKnown) throw new ProxyError('expectation_failed', '')
    if (action.upgrade !== undefined && connection.owed > 0) throw new ProxyError('pipelined', 'an upgrade')
    if (action.isFlood) throw new ProxyError('pipelined', `more than ${maxOwed} requests`)
    if (action.upgrade !== undefined && head.hasBody) throw new ProxyError('framing', 'an upgrade has no body')
    const principal = identify(head.credentials, connection, context)
    if (context.isDraining()) throw new ProxyError('draining', '')
    const { scheme, authority: { host, port }, path, query } = target
    const facts = { stage: 'request', scheme, host, port, method, path, query, upgrade: action.upgrade, principal, fields: request.rawHeaders, content: head.content } as const
    return { kind: 'exchange', exchange: { id, facts, client, protocol, userAgent: head.userAgent, startedMs }, target, head }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    const userAgent = fieldOf(request.rawHeaders, 'user-agent')
    return { kind: 'malformed', malformed: { id, client, protocol, rawTarget: request.url ?? '', authority: target?.authority, method, userAgent, startedMs }, error }
  }
}

function checkFields({ rawHeaders }: ClientRequest, context: IngressContext): void {
  const fault = checkConnectionField(rawHeaders) ?? checkLoop(rawHeaders, context.pseudonym)
  if (fault !== undefined) throw fault
}

function readTarget(url: string, bound: Admitted | undefined): TargetUri {
  if (bound !== undefined && url.startsWith('/')) return parseOriginForm(url, bound.exchange.facts.scheme, bound.exchange.facts)
  if (url.startsWith('/') || url === '*') throw new ProxyError('not_a_proxy_request', 'the request-target is in origin-form')
  return parseAbsoluteForm(url)
}

/** Host and target name one authority; inside a tunnel we answer as the origin, and a request that names
 * another one is misdirected (RFC 9110 section 15.5.20). */
function checkNames(target: TargetUri, head: RequestHead, bound: Admitted | undefined): void {
  if (bound === undefined) {
    checkHost(head.host, target.authority, defaultPortOf('http'))
    return
  }
  const { facts } = bound.exchange
  try {
    const isSame = target.authority.port === facts.port && target.authority.host.text === facts.host.text
    if (!isSame) throw new ProxyError('host_mismatch', 'the target is not the CONNECT authority')
    // what came inside TLS leaves inside TLS
    if (target.scheme !== facts.scheme) throw new ProxyError('host_mismatch', `the target is ${target.scheme} in a tunnel for ${facts.scheme}`)
    checkHost(head.host, facts, defaultPortOf(facts.scheme))
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new ProxyError('misdirected', error.detail, { cause: error })
  }
}
