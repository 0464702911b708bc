// The control API: a TCP listener and a unix socket over the same routes, for reviewers, auditors, launchers
// and admins. Never for agents, and never in clear text off loopback.
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { formatHostPort, isLoopback } from '../config/load-rules.ts'
import { ControlContext } from './context.ts'
import type { ControlDeps } from './deps.ts'
import { openApiOf } from './openapi.ts'
import type { Route } from './route.ts'
import { approvalRoutes } from './routes-approvals.ts'
import { cacheRoutes } from './routes-cache.ts'
import { cacheFillRoutes } from './routes-cache-fill.ts'
import { eventRoutes } from './routes-events.ts'
import { peopleRoutes } from './routes-people.ts'
import { grantRoutes, policyRoutes } from './routes-policy.ts'
import { sessionRoutes, tokenRoutes } from './routes-sessions.ts'
import { buildServer } from './server.ts'
import { prepareSocket, protectSocket } from './unix-socket.ts'

export interface Control {
  /** Resolves when both doors are open; `url` is `off` without a TCP listener. Rejects with what is wrong with the
   * settings, or with the system's error: nothing stays open then. */
  start(): Promise<{ readonly url: string; readonly socket: string }>
  /** Ends streams and waiting calls, and closes both doors. */
  stop(): Promise<void>
}

export function createControl(deps: ControlDeps): Control {
  const context = new ControlContext(deps)
  const routes = controlRoutes(context)
  const openApi = openApiOf(routes)
  const hosts = deps.hosts.map((name) => name.toLowerCase())
  const open: FastifyInstance[] = []

  async function openTcp(): Promise<string> {
    const { listen } = deps
    if (listen === 'off') return 'off'
    if (deps.tls === undefined && !isLoopback(listen.host)) {
      throw new Error(`the control API on ${formatHostPort(listen)} is reachable from other machines and needs TLS: set a certificate and its key, or listen on 127.0.0.1`)
    }
    const tls = deps.tls === undefined ? undefined : { cert: readFileSync(deps.tls.certFile), key: readFileSync(deps.tls.keyFile), minVersion: 'TLSv1.2' as const }
    const scheme = tls === undefined ? 'http' : 'https'
    const server = await buildServer({ context, door: { kind: 'tcp', scheme, hosts }, routes, openApi, tls })
    open.push(server)
    await server.listen({ host: listen.host, port: listen.port })
    const address = server.server.address()
    const port = typeof address === 'object' && address !== null ? address.port : listen.port
    return `${scheme}://${formatHostPort({ host: listen.host, port })}`
  }

  async function openSocket(): Promise<string> {
    const { socketPath } = deps
    await prepareSocket(socketPath)
    const server = await buildServer({ context, door: { kind: 'socket', scheme: 'http', hosts }, routes, openApi, tls: undefined })
    open.push(server)
    await server.listen({ path: socketPath })
    protectSocket(socketPath)
    return socketPath
  }

  async function stop(): Promise<void> {
    context.endAll()
    await Promise.all(open.splice(0).map((server) => server.close()))
  }

  return {
    async start() {
      try {
        const socket = await openSocket()
        return { url: await openTcp(), socket }
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
  }
}

/** Every route under /v1. */
export function controlRoutes(context: ControlContext): readonly Route[] {
  return [approvalRoutes, grantRoutes, sessionRoutes, tokenRoutes, policyRoutes, eventRoutes, peopleRoutes, cacheRoutes, cacheFillRoutes].flatMap((make) => make(context))
}
