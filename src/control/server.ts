// One door of the control API: a Fastify instance with the guards, the callers and the routes. Every answer is
// journaled before it leaves; one that cannot be is not given. It serves the socket and the TCP listener alike.
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { controlCalledEvent } from '../audit/control-events.ts'
import { authenticate, unauthenticated, type Known } from './auth.ts'
import { actorKey, callOf, type ControlContext } from './context.ts'
import { guard, guardCookie, isApi, type Door, type Guarded } from './guards.ts'
import { answerOnce } from './once.ts'
import { may } from './permissions.ts'
import { ControlFault, faultOf, problemOf, problemType, sendFault } from './problem.ts'
import type { RateLimit } from './rate.ts'
import type { Answer, Route } from './route.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** a refusal of somebody who is not known, which is an event all the same */
    isRefused: boolean
    /** one of so many that it is no event */
    isQuiet: boolean
  }
}

export interface ServerOptionsOf {
  readonly context: ControlContext
  readonly door: Door
  readonly routes: readonly Route[]
  readonly openApi: object
  readonly tls: ServerOptions | undefined
}

/** An instance that is ready to listen. */
export async function buildServer({ context, door, routes, openApi, tls }: ServerOptionsOf): Promise<FastifyInstance> {
  const server = newInstance(context, tls)
  server.server.maxConnections = context.deps.limits.connections
  server.removeContentTypeParser('text/plain')
  server.decorateRequest('actor', undefined)
  server.decorateRequest('secret', undefined)
  server.decorateRequest('subjectId', undefined)
  server.decorateRequest('detail', undefined)
  server.decorateRequest('faultCode', undefined)
  server.decorateRequest('clientAddress', '')
  server.decorateRequest('isRefused', false)
  server.decorateRequest('isQuiet', false)
  server.addHook('onRequest', async (request, reply) => {
    // a reply is a thenable that waits for its own answer
    void reply.headers(securityHeaders)
    request.subjectId = idOf(request.params)
    request.clientAddress = door.kind === 'socket' ? 'local' : (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
    admit(request, reply, context, door)
  })
  server.addHook('onSend', (request, reply, payload) => recordCall(request, reply, payload, context))
  server.setErrorHandler((error, request, reply) => {
    const fault = faultOf(error)
    if (fault === undefined) context.deps.onFault(error)
    return sendFault(request, reply, fault ?? new ControlFault('internal_error', 'the control API failed on this request'))
  })
  server.setNotFoundHandler((request, reply) => sendFault(request, reply, noRoute(request, routes)))
  server.get('/openapi.json', async () => openApi)
  for (const route of routes) addRoute(server, route, context)
  const { pages } = context.deps
  if (pages !== undefined && door.kind === 'tcp') await server.register(async (scope) => pages(scope))
  await server.ready()
  return server
}

function newInstance({ deps }: ControlContext, tls: ServerOptions | undefined): FastifyInstance {
  const limits = { maxHeaderSize: 16_384, headersTimeout: 10_000, connectionsCheckingInterval: 5000 }
  const options = {
    logger: false,
    bodyLimit: deps.limits.bodyBytes,
    trustProxy: false,
    exposeHeadRoutes: true,
    connectionTimeout: deps.limits.idleMs,
    requestTimeout: 20_000,
    keepAliveTimeout: 10_000,
    forceCloseConnections: true,
    // said by us, as a problem like any other
    return503OnClosing: false,
    requestIdHeader: false as const,
    genReqId: () => deps.requestId(),
    onProtoPoisoning: 'error' as const,
    onConstructorPoisoning: 'error' as const,
    // nothing is coerced, removed or filled in: a request says exactly what is done
    ajv: { customOptions: { coerceTypes: false as const, removeAdditional: false, useDefaults: false, allErrors: true, strict: true } },
    frameworkErrors: (_error: Error, request: FastifyRequest, reply: FastifyReply) => {
      void reply.headers(securityHeaders)
      void sendFault(request, reply, new ControlFault('bad_request', 'the request-target is not valid'))
    },
    clientErrorHandler: answerMalformed,
  }
  return tls === undefined ? fastify({ ...options, http: limits }) : fastify({ ...options, https: { ...limits, ...tls } })
}

/** What is not HTTP has no request that an event could be about. */
function answerMalformed(error: Error, socket: Socket): void {
  if (!socket.writable || ('code' in error && error.code === 'ECONNRESET')) return void socket.destroy()
  const isTooLarge = 'code' in error && error.code === 'HPE_HEADER_OVERFLOW'
  const problem = isTooLarge ? problemOf('fields_too_large', 'the fields of the request are too large', 'none') : problemOf('bad_request', 'this is not a valid request', 'none')
  const body = JSON.stringify(problem)
  const fields = Object.entries({ ...securityHeaders, 'content-type': problemType, 'content-length': Buffer.byteLength(body), connection: 'close' })
  socket.end(`HTTP/1.1 ${problem.status} ${isTooLarge ? 'Request Header Fields Too Large' : 'Bad Request'}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`)
}

/** For an API nothing may load, frame or keep an answer; pages say otherwise for themselves. */
const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cross-origin-resource-policy': 'same-origin',
  // with `no-referrer` a browser would send `Origin: null` from our own forms
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** Guards, who calls, how often: throws the refusal. */
function admit(request: FastifyRequest, reply: FastifyReply, context: ControlContext, door: Door): void {
  const { deps } = context
  const { headers, clientAddress } = request
  if (context.isClosing) throw new ControlFault('closing', 'the proxy is stopping', { headers: { connection: 'close' } })
  const fault = guard(guarded(request), door)
  if (fault !== undefined) refuse(request, fault, context)
  const { authorization, cookie } = headers
  const known: Known = authenticate({ authorization, proxyAuthorization: headers['proxy-authorization'], cookie }, door.kind === 'socket', { ...deps, mayLook: () => context.refusedLimit.has(clientAddress) })
  request.actor = known.actor
  request.secret = known.secret
  const isForApi = isApi(request.url)
  // pages meet whoever is not known with a login
  if (known.fault !== undefined && (isForApi || known.fault.code === 'agent_credential')) refuse(request, known.fault, context)
  const unasked = known.isByCookie ? guardCookie({ method: request.method, headers }) : undefined
  if (unasked !== undefined) refuse(request, unasked, context)
  if (known.actor !== undefined) {
    limit(request, reply, context.actorLimit, actorKey(known.actor))
  } else if (isForApi) refuse(request, unauthenticated(), context)
}

function guarded({ method, raw, headers, socket }: FastifyRequest): Guarded {
  return { method, target: raw.url ?? '', rawHeaders: raw.rawHeaders, headers, localAddress: socket.localAddress, localPort: socket.localPort }
}

/** Refusals are counted by address, so that agents that share one with reviewers take nothing from them. */
function refuse(request: FastifyRequest, fault: ControlFault, { refusedLimit }: ControlContext): never {
  request.isRefused = true
  const taken = refusedLimit.take(request.clientAddress)
  if (taken.ok) throw fault
  request.isQuiet = !taken.isFirstRefusal
  throw tooOften(taken.retryAfterS)
}

/** RateLimit fields as in draft-ietf-httpapi-ratelimit-headers-10. */
function limit(request: FastifyRequest, reply: FastifyReply, limiter: RateLimit, key: string): void {
  const taken = limiter.take(key)
  const window = Math.ceil(limiter.burst / limiter.perSecond)
  void reply.headers({ 'ratelimit-policy': `"actor";q=${limiter.burst};w=${window}`, ratelimit: `"actor";r=${taken.remaining};t=${taken.retryAfterS}` })
  if (taken.ok) return
  request.isQuiet = !taken.isFirstRefusal
  throw tooOften(taken.retryAfterS)
}

function tooOften(retryAfterS: number): ControlFault {
  return new ControlFault('rate_limited', 'too many requests', { headers: { 'retry-after': String(retryAfterS) } })
}

/** The event of a call stands in the journal before the caller has the answer. */
async function recordCall(request: FastifyRequest, reply: FastifyReply, payload: unknown, { deps }: ControlContext): Promise<unknown> {
  if (request.isQuiet || (request.actor === undefined && !request.isRefused)) return payload
  try {
    await deps.audit.append(controlCalledEvent(callOf(request, reply.statusCode)))
    return payload
  } catch (error) {
    deps.onFault(error)
    if (payload instanceof Readable) payload.destroy()
    for (const name of ['etag', 'content-length', 'set-cookie', 'location']) void reply.removeHeader(name)
    void reply.code(503).type(problemType)
    return JSON.stringify(problemOf('audit_unavailable', 'this call cannot be recorded now, so it is not answered', request.id))
  }
}

function addRoute(server: FastifyInstance, route: Route, context: ControlContext): void {
  server.route({
    method: route.method,
    url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    ...(route.bodyBytes === undefined ? {} : { bodyLimit: route.bodyBytes }),
    exposeHeadRoute: route.method === 'GET' && route.isStream !== true,
    schema: { querystring: route.query ?? noQuery, ...(route.body === undefined ? {} : { body: route.body }) },
    // before the body is read, and before anything is said of what it should be
    onRequest: async ({ actor }) => {
      if (actor === undefined) throw unauthenticated()
      if (!route.needs.some((need) => may(actor, need))) throw new ControlFault('not_permitted', `the role ${actor.role} may not do this`)
    },
    handler: async (request, reply) => {
      const { actor, body, query } = request
      if (actor === undefined) throw unauthenticated()
      const call = { request, reply, actor, id: idOf(request.params) ?? '', body, query }
      const answer = await (route.method === 'POST' && route.isRepeatable !== true ? answerOnce(route, call, context) : route.handle(call))
      return answer === undefined ? reply : send(reply, answer)
    },
  })
}

const noQuery = { type: 'object', additionalProperties: false }

function send(reply: FastifyReply, { status = 200, headers = {}, body }: Answer): FastifyReply {
  return reply.code(status).headers({ ...headers }).send(body)
}

function idOf(params: unknown): string | undefined {
  return typeof params === 'object' && params !== null && 'id' in params && typeof params.id === 'string' && /^[\w-]{1,64}$/.test(params.id) ? params.id : undefined
}

/** A path that is known, with another method, is 405. */
function noRoute(request: FastifyRequest, routes: readonly Route[]): ControlFault {
  const segments = request.url.replace(/\?.*$/s, '').split('/')
  const methods = routes.filter(({ path }) => matches(path.split('/'), segments)).flatMap(({ method, isStream }) => (method === 'GET' && isStream !== true ? ['GET', 'HEAD'] : [method]))
  if (request.url === '/openapi.json') methods.push('GET', 'HEAD')
  if (methods.length === 0 || methods.includes(request.method)) return new ControlFault('not_found', 'there is nothing here; /openapi.json says what there is')
  return new ControlFault('method_not_allowed', `this takes ${methods.join(', ')}`, { headers: { allow: methods.join(', ') } })
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.length === segments.length && pattern.every((part, index) => part === segments[index] || (part === '{id}' && segments[index] !== ''))
}
