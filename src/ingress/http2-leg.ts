// HTTP/2 of clients inside TLS that has ended here: takes sockets whose ALPN chose h2 and has every stream
// served as a request of its own. It has no listener, and it decides nothing.
import type { TLSSocket } from 'node:tls'
import { Roster } from '../roster.ts'
import type { ClientConnection } from './client-connections.ts'
import { Http2ClientSession, type Http2Context } from './http2-session.ts'
import type { PlainArrival } from './plain.ts'
import { StalledBodies } from './stalled-bodies.ts'

export interface Http2LegOptions {
  /** the door of every request; one that rejects has failed, and its stream is reset */
  readonly serve: (arrival: PlainArrival) => Promise<void>
}

export interface Http2Leg {
  /** Speaks HTTP/2 on `socket`, which is secure and of which nothing has been read. `connection` is inside the
   * CONNECT that it is bound to. */
  accept(socket: TLSSocket, connection: ClientConnection): void
  /** open connections */
  readonly size: number
  /** says GOAWAY everywhere; what is in flight goes on */
  drain(): void
  /** cuts every connection */
  destroy(): void
}

const sweepMs = 250

export function createHttp2Leg(context: Http2Context, { serve }: Http2LegOptions): Http2Leg {
  const open = new Roster<Http2ClientSession>()
  const bodies = new StalledBodies(context.limits.requestTimeoutMs)
  let sweep: NodeJS.Timeout | undefined
  const look = (): void => {
    const nowMs = context.clock.monotonic()
    for (const session of open.all()) session.sweep(nowMs)
  }
  const stop = (): void => {
    clearInterval(sweep)
    sweep = undefined
  }
  const closed = (session: Http2ClientSession): void => {
    open.remove(session)
    if (open.size === 0) stop()
  }
  return {
    get size() {
      return open.size
    },
    accept: (socket, connection) => {
      if (socket.destroyed) return
      open.add(new Http2ClientSession(socket, connection, { context, bodies, serve, closed }))
      sweep ??= setInterval(look, sweepMs).unref()
    },
    drain: () => {
      for (const session of open.all()) session.close()
    },
    destroy: () => {
      stop()
      bodies.stop()
      for (const session of open.all()) session.destroy()
    },
  }
}
