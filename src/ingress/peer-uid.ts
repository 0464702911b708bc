// Whose process is at the other end of a loopback connection: the uid column of /proc/net/tcp. Reading
// that table costs by the number of sockets on the machine, so it is read on a budget of one part in a
// hundred of the time; a client that was not looked up counts as unproven.
import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import type { Clock } from '../clock.ts'
import { parseIp } from '../target/address.ts'

/** Of our socket: remote is the client. */
export interface SocketEnds {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

/** An end of a connection as the table writes it, as IPv4 (or not at all) and as IPv6. */
interface TableEnd {
  readonly tcp: string | undefined
  readonly tcp6: string
}

const budgetFactor = 100
// a table of more sockets than these costs more than the mark is worth; sockstat tells how many there are
const maxSockets = 2_000
const counts = '/proc/net/sockstat'
const tables = [{ path: '/proc/net/tcp', family: 'tcp' }, { path: '/proc/net/tcp6', family: 'tcp6' }] as const
const mappedPrefix = 0xffffn
const timeWait = '06'

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
    const peer = tableEnd(socket.remoteAddress, socket.remotePort)
    const ours = tableEnd(socket.localAddress, socket.localPort)
    if (peer === undefined || ours === undefined) return undefined
    this.#nextMs = Number.POSITIVE_INFINITY
    return this.#scan(peer, ours).finally(() => {
      const now = this.#clock.monotonic()
      this.#nextMs = now + (now - startedMs) * budgetFactor
    })
  }

  async #scan(peer: TableEnd, ours: TableEnd): Promise<number | undefined> {
    if (socketsIn((await this.#readIfThere(counts)) ?? '') > maxSockets) return undefined
    for (const { path, family } of tables) {
      const [from, to] = [peer[family], ours[family]]
      if (from === undefined || to === undefined) continue
      const table = await this.#readIfThere(path)
      const uid = table === undefined ? undefined : uidIn(table, from, to)
      if (uid !== undefined) return uid
    }
    return undefined
  }

  /** undefined where it cannot be read (not Linux, no IPv6, hidden): then the peer stays unproven. */
  async #readIfThere(path: string): Promise<string | undefined> {
    try {
      return await this.#read(path)
    } catch (error) {
      if (error instanceof Error && 'code' in error) return undefined
      throw error
    }
  }
}

/** TCP sockets on this machine, those that wait out their end included; 0 when the text does not say. */
function socketsIn(sockstat: string): number {
  const [, inUse = '0', waiting = '0'] = /^TCP: inuse (\d+) .*?\btw (\d+)/m.exec(sockstat) ?? []
  return Number(inUse) + Number(waiting)
}

/**
 * The uid of the socket whose own end is `from` and whose far end is `to`, both as the table writes them.
 * Rows that belong to no process any more say uid 0 whoever it was: they tell nothing.
 */
export function uidIn(table: string, from: string, to: string): number | undefined {
  const ends = `: ${from} ${to} `
  for (let at = table.indexOf(ends); at !== -1; at = table.indexOf(ends, at + 1)) {
    const lineEnd = table.indexOf('\n', at)
    const row = table.slice(at + ends.length, lineEnd === -1 ? undefined : lineEnd).trim()
    const [state, , , , uid, , inode] = row.split(/ +/, 7)
    if (state === timeWait || inode === undefined || inode === '0') continue
    if (uid !== undefined && /^\d{1,10}$/.test(uid)) return Number(uid)
  }
  return undefined
}

function tableEnd(address: string | undefined, port: number | undefined): TableEnd | undefined {
  const ip = address === undefined || port === undefined ? undefined : parseIp(address)
  if (ip === undefined || port === undefined) return undefined
  const isMapped = ip.family === 6 && ip.bits >> 32n === mappedPrefix
  const four = ip.family === 4 || isMapped ? BigInt.asUintN(32, ip.bits) : undefined
  // a client may reach our IPv4 address from an IPv6 socket: its row is in the other table
  const six = four === undefined ? ip.bits : (mappedPrefix << 32n) | four
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return { tcp: four === undefined ? undefined : words(four, 1) + suffix, tcp6: words(six, 4) + suffix }
}

/** The kernel prints an address as words of 32 bits in the byte order of the machine. */
function words(bits: bigint, count: number): string {
  const bytes = Buffer.from(bits.toString(16).padStart(count * 8, '0'), 'hex')
  if (endianness() === 'LE') bytes.swap32()
  return bytes.toString('hex').toUpperCase()
}
