// Whose process is at the other end of a loopback connection: the uid column of /proc/net/tcp. Reading
// that table costs by the number of sockets on the machine, so it is read on a budget of one part in a
// hundred of the time; a client that was not looked up counts as unproven.
import { readFile } from 'node:fs/promises'
import type { Clock } from '../clock.ts'

export interface SocketEnds {
  readonly remotePort?: number | undefined
  readonly localPort?: number | undefined
}

const budgetFactor = 100
const tables = ['/proc/net/tcp', '/proc/net/tcp6']

export class PeerUids {
  readonly #clock: Clock
  readonly #read: (path: string) => Promise<string>
  #nextMs = 0

  constructor(clock: Clock, read: (path: string) => Promise<string> = (path) => readFile(path, 'latin1')) {
    this.#clock = clock
    this.#read = read
  }

  /** undefined at once when the budget is spent: then nothing is known of the peer. */
  lookUp(socket: SocketEnds): Promise<number | undefined> | undefined {
    const startedMs = this.#clock.monotonic()
    if (startedMs < this.#nextMs) return undefined
    const { remotePort, localPort } = socket
    if (remotePort === undefined || localPort === undefined) return undefined
    this.#nextMs = Number.POSITIVE_INFINITY
    return this.#scan(remotePort, localPort).finally(() => {
      const now = this.#clock.monotonic()
      this.#nextMs = now + (now - startedMs) * budgetFactor
    })
  }

  async #scan(peerPort: number, ourPort: number): Promise<number | undefined> {
    for (const path of tables) {
      let table: string
      try {
        table = await this.#read(path)
      } catch (error) {
        // no such table on this system (not Linux, or no IPv6): the peer stays unproven
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue
        return undefined
      }
      const uid = uidIn(table, peerPort, ourPort)
      if (uid !== undefined) return uid
    }
    return undefined
  }
}

/** The uid of the socket whose own port is `peerPort` and whose far end is `ourPort`. */
export function uidIn(table: string, peerPort: number, ourPort: number): number | undefined {
  const ends = new RegExp(`^ *\\d+: [0-9A-F]+:${hex(peerPort)} [0-9A-F]+:${hex(ourPort)} \\S+ \\S+ \\S+ \\S+ +(\\d+) `, 'm')
  const found = ends.exec(table)?.[1]
  return found === undefined ? undefined : Number(found)
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}
