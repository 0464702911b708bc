// How many files this process may have open, and who gets them. A socket is one: without a share that is kept back, clients
// take the last of them, and then nobody reaches the control plane and no segment of the journal can be begun. Pure, but
// for the reading of the limit.
import { readFileSync } from 'node:fs'

export interface DescriptorShares {
  /** files that may be open at once */
  readonly limit: number
  /** client connections; as many again are left for the connections that are opened for them */
  readonly clients: number
  /** the first number of a descriptor that no client and nothing opened for one gets; the lowest that is free is given out next */
  readonly ceiling: number
  /** connections that are told that there is no place for them, and go in a moment */
  readonly refusals: number
  /** connections of each listener of operators */
  readonly operators: number
}

/** what an idle process holds: its database, workers, listeners, the journal, the watched folders */
const ownFiles = 48
const minSpare = 48
const maxSpare = 2048
/** tunnels that the proxy is made for */
const promised = 10_000

/** Of this process. The limit is the soft one, which node has raised to the hard one; undefined where the system does not say (Linux does). */
export function ownShares(): DescriptorShares | undefined {
  const limit = descriptorLimit()
  return limit === undefined ? undefined : sharesOf(limit)
}

export function descriptorLimit(file = '/proc/self/limits'): number | undefined {
  let text: string
  try {
    text = readFileSync(file, 'latin1')
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
  const [, digits] = /^Max open files\s+(\d+)\s/m.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits)
}

export function sharesOf(limit: number): DescriptorShares {
  const spare = Math.max(minSpare, Math.min(maxSpare, Math.floor(limit / 16)))
  const ceiling = Math.max(ownFiles + 2, limit - spare)
  const refusals = Math.floor(spare / 2)
  return { limit, ceiling, refusals, clients: Math.max(1, Math.floor((ceiling - ownFiles - refusals) / 2)), operators: Math.floor(spare / 4) }
}

/** What the operator should hear of a limit that is low; `connections`: as many as the settings allow. */
export function scarcityOf(shares: DescriptorShares | undefined, connections: number): string | undefined {
  if (shares === undefined || shares.clients >= Math.min(connections, promised)) return undefined
  const { limit, clients } = shares
  return `this process may have ${limit} files open, which is enough for ${clients} client connections: raise it with \`ulimit -n 65536\` before the start, or LimitNOFILE=65536 in the systemd unit`
}
