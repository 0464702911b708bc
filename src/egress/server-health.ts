// Which name servers answer: a silent one is asked after the others until it answers again. It only ever
// changes the order; no server is given up, and no name waits for a server that is known to be silent.
import type { Clock } from '../clock.ts'
import type { NameServer } from './name-server.ts'

interface Health {
  answeredAtMs: number
  isDown: boolean
  probeAtMs: number
}

export interface ServerHealth {
  /** the servers as configured, the silent ones last */
  order(servers: readonly NameServer[]): readonly NameServer[]
  answered(server: NameServer): void
  /** a query sent at `sentAtMs` (monotonic) got nothing back in its time */
  silent(server: NameServer, sentAtMs: number): void
  /** a silent server that it is time to try again, beside the query and without waiting for it */
  dueForProbe(servers: readonly NameServer[]): NameServer | undefined
}

export const probeEveryMs = 30_000

export function createServerHealth(clock: Clock): ServerHealth {
  // bounded by the servers that settings and resolv.conf ever named
  const known = new Map<string, Health>()

  function of(server: NameServer): Health {
    const health = known.get(server.text) ?? { answeredAtMs: -Infinity, isDown: false, probeAtMs: 0 }
    known.set(server.text, health)
    return health
  }

  return {
    order(servers) {
      return servers.toSorted((a, b) => Number(of(a).isDown) - Number(of(b).isDown))
    },
    answered(server) {
      const health = of(server)
      health.answeredAtMs = clock.monotonic()
      health.isDown = false
    },
    silent(server, sentAtMs) {
      const health = of(server)
      // it answers others: the name is slow, not the server
      if (health.answeredAtMs >= sentAtMs || health.isDown) return
      health.isDown = true
      health.probeAtMs = clock.monotonic() + probeEveryMs
    },
    dueForProbe(servers) {
      const now = clock.monotonic()
      const due = servers.find((server) => of(server).isDown && of(server).probeAtMs <= now)
      if (due !== undefined) of(due).probeAtMs = now + probeEveryMs
      return due
    },
  }
}
