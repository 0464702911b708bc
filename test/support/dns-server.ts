// A scripted name server on loopback, UDP and TCP on one port, which records every query it sees.
import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { once } from 'node:events'
import { parseIp } from '../../src/target/address.ts'

export type RecordType = 'A' | 'AAAA'

export interface Query {
  /** as on the wire, not lower-cased */
  readonly name: string
  readonly type: RecordType | number
  readonly id: number
  readonly overTcp: boolean
  readonly sourcePort: number
  readonly bytes: Buffer
}

/** What the server says for one name and type; nothing given is NOERROR without records. */
export interface Say {
  readonly addresses?: readonly string[]
  /** aliases on the way from the name to the owner of the addresses */
  readonly aliases?: readonly string[]
  readonly ttlSeconds?: number
  /** an SOA record in the authority section with this minimum */
  readonly negativeTtlSeconds?: number
  /** response code: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED ... */
  readonly code?: number
  /** never answers */
  readonly silent?: boolean
  /** over UDP only the header with the TC bit */
  readonly truncated?: boolean
  /** over TCP closes in the middle of the answer */
  readonly hangsUp?: boolean
  /** answers once this settles */
  readonly after?: Promise<unknown>
  /** the whole answer; several are sent one after the other */
  readonly raw?: (query: Query) => readonly Uint8Array[]
}

/** one thing for both types, each address under its own; or each type by itself */
export type Script = Say | { readonly A: Say; readonly AAAA: Say }

export interface DnsServer {
  /** `127.0.0.1:port`, as the resolver's options take it */
  readonly text: string
  readonly queries: readonly Query[]
  /** replaces what is said of a name; a name never set is NXDOMAIN */
  set(name: string, script: Script): void
  /** queries seen for a name, over UDP and TCP */
  count(name: string, type?: RecordType): number
  /** settles when this many queries for the name have come */
  seen(name: string, count: number): Promise<void>
  close(): Promise<void>
}

const types: Readonly<Record<number, RecordType>> = { 1: 'A', 28: 'AAAA' }

export async function startDnsServer(t: { teardown(fn: () => unknown): void }, zone: Readonly<Record<string, Script>> = {}): Promise<DnsServer> {
  const scripts = new Map<string, Script>(Object.entries(zone))
  const queries: Query[] = []
  const waiting = new Set<() => void>()
  const { udp, tcp, port } = await listen()
  const sockets = new Set<Socket>()

  async function respond(query: Query, send: (reply: Uint8Array) => void, hangUp?: () => void): Promise<void> {
    queries.push(query)
    for (const check of waiting) check()
    const script = scripts.get(query.name.toLowerCase())
    const say = script === undefined ? { code: 3 } : pick(script, query.type)
    await say.after
    if (say.silent === true) return
    if (say.hangsUp === true && hangUp !== undefined) return hangUp()
    if (say.raw !== undefined) return say.raw(query).forEach(send)
    send(say.truncated === true && !query.overTcp ? answer(query, {}, 0x0200) : answer(query, say))
  }

  udp.on('message', (bytes, from) => {
    void respond(readQuery(bytes, false, from.port), (reply) => udp.send(reply, from.port, from.address, ignoreClosed))
  })
  tcp.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => sockets.delete(socket))
    socket.once('data', (bytes: Buffer) => {
      void respond(readQuery(bytes.subarray(2), true, socket.remotePort ?? 0), (reply) => {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(reply.length)
        socket.end(Buffer.concat([length, reply]))
      }, () => socket.end(Buffer.from([0, 99, 1])))
    })
  })

  const server: DnsServer = {
    text: `127.0.0.1:${port}`,
    queries,
    set: (name, script) => scripts.set(name, script),
    count: (name, type) => queries.filter((query) => query.name.toLowerCase() === name && (type === undefined || query.type === type)).length,
    async seen(name, count) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const check = (): void => {
        if (server.count(name) >= count) resolve()
      }
      waiting.add(check)
      check()
      await promise
      waiting.delete(check)
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      udp.close()
      await Promise.all([once(udp, 'close'), new Promise((resolve) => tcp.close(resolve))])
    },
  }
  t.teardown(() => server.close())
  return server
}

/** An answer to `query` as a server writes it: question repeated, aliases, addresses, SOA. */
export function answer(query: Query, say: Say, extraFlags = 0): Buffer {
  const { addresses = [], aliases = [], ttlSeconds = 300, negativeTtlSeconds, code = 0 } = say
  const owners = [query.name, ...aliases]
  const last = owners.at(-1) ?? query.name
  const records = [
    ...aliases.map((alias, i) => record(owners[i] ?? '', 5, ttlSeconds, encodeName(alias))),
    ...addresses.map((text) => record(last, parseIp(text)?.family === 6 ? 28 : 1, ttlSeconds, encodeIp(text))),
  ]
  const soa = negativeTtlSeconds === undefined ? [] : [record(last, 6, 3600, soaData(negativeTtlSeconds))]
  return message(query, { flags: 0x8180 | extraFlags | code, answers: records, authority: soa })
}

/** A message with `query`'s id and question and any records, for hostile answers. */
export function message(query: Query, { flags = 0x8180, answers = [], authority = [], answerCount = answers.length }: {
  readonly flags?: number
  readonly answers?: readonly Uint8Array[]
  readonly authority?: readonly Uint8Array[]
  readonly answerCount?: number
}): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(query.id, 0)
  header.writeUInt16BE(flags, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answerCount, 6)
  header.writeUInt16BE(authority.length, 8)
  return Buffer.concat([header, query.bytes.subarray(12), ...answers, ...authority])
}

export function record(owner: string, type: number, ttlSeconds: number, data: Uint8Array): Buffer {
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(type, 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(ttlSeconds, 4)
  fixed.writeUInt16BE(data.length, 8)
  return Buffer.concat([encodeName(owner), fixed, data])
}

export function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]))
  return Buffer.concat([...labels, Buffer.from([0])])
}

export function encodeIp(text: string): Buffer {
  const ip = parseIp(text)
  if (ip === undefined) throw new Error(`not an address: ${text}`)
  return Buffer.from(ip.bits.toString(16).padStart(ip.family === 6 ? 32 : 8, '0'), 'hex')
}

function soaData(minimum: number): Buffer {
  const numbers = Buffer.alloc(20)
  numbers.writeUInt32BE(minimum, 16)
  return Buffer.concat([encodeName('ns.test'), encodeName('admin.test'), numbers])
}

export function readQuery(bytes: Buffer, overTcp: boolean, sourcePort: number): Query {
  const labels: string[] = []
  let at = 12
  for (let length = bytes.readUInt8(at); length > 0; length = bytes.readUInt8(at)) {
    labels.push(bytes.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const code = bytes.readUInt16BE(at + 1)
  return { name: labels.join('.'), type: types[code] ?? code, id: bytes.readUInt16BE(0), overTcp, sourcePort, bytes: Buffer.from(bytes) }
}

function pick(script: Script, type: RecordType | number): Say {
  if ('A' in script) return type === 'A' ? script.A : script.AAAA
  if (script.addresses === undefined) return script
  return { ...script, addresses: script.addresses.filter((text) => (parseIp(text)?.family === 6 ? 'AAAA' : 'A') === type) }
}

async function listen(): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (;;) {
    const tcp = createServer()
    tcp.listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const port = portOf(tcp)
    const udp = createSocket('udp4')
    try {
      udp.bind(port, '127.0.0.1')
      await once(udp, 'listening')
      return { udp, tcp, port }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error
      // the UDP port of that number is taken: try another pair
      tcp.close()
      udp.close()
    }
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address.port
}

/** The asker may be gone already: sending an answer late is what a scripted server does. */
function ignoreClosed(error: Error | null): void {
  if (error !== null && !('code' in error)) throw error
}
