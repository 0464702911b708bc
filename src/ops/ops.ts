// The ops listener: is the process alive, may it get traffic, what are its figures. It changes nothing,
// takes no body and needs no credentials, so it must never show a host, an agent or a secret.
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { formatHostPort, isLoopback } from '../config/load-rules.ts'
import type { HostPort } from '../config/settings.ts'
import type { Metrics } from './metrics.ts'

/** One condition of readiness. */
export interface Check {
  /** stable name in snake_case: `policy`, `journal`, `draining` */
  readonly name: string
  /** `warn` is shown and leaves the instance ready */
  readonly state: 'ok' | 'warn' | 'fail'
  /** one sentence for the operator; absent when there is nothing to say */
  readonly detail?: string
}

export interface OpsOptions {
  readonly listen: HostPort
  /** every condition, in a stable order; called on each request to /readyz */
  checks(): readonly Check[]
  readonly metrics: Metrics
  /** open at once */
  readonly connections?: number | undefined
}

export interface Ops {
  /** resolves to the URL once the listener is open; rejects with the system's error (EADDRINUSE ...) */
  start(): Promise<string>
  stop(): Promise<void>
}

/** What a browser on this machine may call a loopback listener; any other name is DNS rebinding. */
const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]'])

const maxConnections = 64

export function createOps(options: OpsOptions): Ops {
  const server = fastify({
    logger: false,
    bodyLimit: 1024,
    trustProxy: false,
    exposeHeadRoutes: true,
    connectionTimeout: 10_000,
    requestTimeout: 5000,
    keepAliveTimeout: 5000,
    forceCloseConnections: true,
    return503OnClosing: true,
  })
  server.server.maxConnections = Math.min(maxConnections, options.connections ?? Infinity)
  answerInProblems(server)
  refuseForeignHosts(server, options.listen)
  addRoutes(server, options)
  return {
    async start() {
      const { host, port } = options.listen
      await server.listen({ host, port })
      const address = server.server.address()
      const opened = typeof address === 'object' && address !== null ? address.port : port
      return `http://${formatHostPort({ host, port: opened })}`
    },
    stop: () => server.close(),
  }
}

function addRoutes(server: FastifyInstance, options: OpsOptions): void {
  server.get('/livez', async (_request, reply) => {
    return reply.header('cache-control', 'no-store').type('text/plain; charset=utf-8').send('ok\n')
  })
  server.get('/readyz', async (_request, reply) => {
    const checks = options.checks()
    const failing = checks.filter((check) => check.state === 'fail')
    const ready = failing.length === 0
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({
        status: ready ? 'ready' : 'not ready',
        failing: failing.map((check) => check.name),
        checks: checks.map(({ name, state, detail }) => ({ name, state, detail })),
      })
  })
  server.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.text()
    return reply.header('cache-control', 'no-store').type(options.metrics.contentType).send(text)
  })
}

/** A page in a browser can reach loopback under its own name; only off loopback is any name right. */
function refuseForeignHosts(server: FastifyInstance, listen: HostPort): void {
  if (!isLoopback(listen.host)) return
  const own = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  server.addHook('onRequest', async (request, reply) => {
    const host = request.headers.host
    // HTTP/1.0 probes send none; browsers always do
    if (host === undefined) return undefined
    const name = host.replace(/:\d+$/, '').toLowerCase()
    if (name === own || loopbackNames.has(name)) return undefined
    return problem(reply, 421, 'misdirected', 'this listener answers to its own address only')
  })
}

/** RFC 9457, as everywhere else. */
function answerInProblems(server: FastifyInstance): void {
  server.setNotFoundHandler(async (_request, reply) =>
    problem(reply, 404, 'not_found', 'there are /livez, /readyz and /metrics'),
  )
  server.setErrorHandler(async (error, _request, reply) => {
    const status = errorStatus(error)
    return status < 500
      ? problem(reply, status, 'bad_request', 'the request is not valid')
      : problem(reply, 500, 'internal_error', 'the figures could not be collected')
  })
}

function errorStatus(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' && status >= 400 ? status : 500
}

function problem(reply: FastifyReply, status: number, code: string, detail: string): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send({ type: 'about:blank', title: code.replaceAll('_', ' '), status, code, detail })
}
