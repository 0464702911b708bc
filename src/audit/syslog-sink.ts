// A syslog receiver as a destination. Syslog acknowledges nothing, and bytes that TCP took are not records that were
// read: so a connection carries a bounded number of records and is then closed, and they count as delivered when the
// receiver closes its side after ours and without an error. RFC 5425 section 4.4 has it answer our close_notify with
// its own, and a system whose program left bytes unread answers with a reset. In doubt, all of them are written again.
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { readTls } from './destination-tls.ts'
import type { SyslogDestination } from './destination.ts'
import type { JournalRecord } from './record.ts'
import type { Sink, SinkOutcome } from './sink.ts'
import { syslogFrame } from './syslog-frame.ts'

export interface SyslogSinkOptions {
  readonly destination: SyslogDestination
  readonly hostname: string
  readonly line: (record: JournalRecord) => string
  /** to connect, to write a batch, and for the receiver to close */
  readonly timeoutMs: number
  /** how many records a connection carries at most, and for how long; these are in doubt when it breaks */
  readonly maxRecords?: number
  readonly maxAgeMs?: number
  /** between the last write and our close, so that a close of the receiver's that crossed with the write is seen first */
  readonly quietMs?: number
}

export function createSyslogSink(options: SyslogSinkOptions): Sink {
  const { destination, hostname, line, timeoutMs } = options
  const { host, port, transport, tls } = destination
  let connection: Connection | undefined
  const connect = async (): Promise<Connection> => {
    const socket = transport === 'tcp' ? connectTcp({ host, port }) : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), minVersion: 'TLSv1.2', ...(await readTls(tls)) })
    const made = new Connection(socket, timeoutMs, options.quietMs ?? 500)
    const fault = await made.opened(transport === 'tcp' ? 'connect' : 'secureConnect')
    if (fault === undefined) return made
    made.destroy()
    throw new Error(fault)
  }
  const end = (): void => {
    connection?.destroy()
    connection = undefined
  }
  return {
    encode: async (records) => Buffer.from(records.map((record) => syslogFrame(record, line(record), { ...destination, hostname })).join(''), 'latin1'),
    send: async (body): Promise<SinkOutcome> => {
      try {
        connection ??= await connect()
      } catch (error) {
        return { fate: 'again', detail: error instanceof Error ? error.message : String(error) }
      }
      const fault = await connection.write(body)
      if (fault === undefined) return { fate: 'accepted' }
      end()
      return { fate: 'lost', detail: fault }
    },
    settling: {
      maxRecords: options.maxRecords ?? 8192,
      maxAgeMs: options.maxAgeMs ?? 10_000,
      settle: async () => {
        const doubt = await connection?.finish()
        end()
        return doubt
      },
    },
    close: end,
  }
}

const closedEarly = 'the receiver closed the connection'

/** A socket that is written to, with what became of it; what the other side sends is not looked at. */
class Connection {
  readonly #socket: Socket
  readonly #timeoutMs: number
  readonly #closed: Promise<void>
  /** why it is of no use any more */
  #fault: string | undefined
  #hasEnded = false
  readonly #quietMs: number
  #lastWriteMs = 0

  constructor(socket: Socket, timeoutMs: number, quietMs: number) {
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    this.#quietMs = quietMs
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#closed = promise
    socket.on('error', (error) => (this.#fault ??= error.message))
    socket.on('end', () => (this.#hasEnded = true))
    socket.on('close', () => resolve())
    socket.resume()
  }

  /** Undefined when `event` has come. */
  opened(event: 'connect' | 'secureConnect'): Promise<string | undefined> {
    return this.#within('no connection', (done) => this.#socket.once(event, done))
  }

  /** Undefined when the system has taken all of it and the connection stands. */
  write(body: Uint8Array): Promise<string | undefined> {
    if (this.#hasEnded) return Promise.resolve(closedEarly)
    this.#lastWriteMs = performance.now()
    return this.#within('nothing taken', (done) => this.#socket.write(body, (error) => {
      if (error instanceof Error) this.#fault ??= error.message
      done()
    }))
  }

  /** Undefined when the other side has read everything and closed. */
  async finish(): Promise<string | undefined> {
    const waitMs = this.#lastWriteMs + this.#quietMs - performance.now()
    if (waitMs > 0) await Promise.race([delay(waitMs), this.#closed])
    const early = this.#hasEnded ? closedEarly : this.#fault
    if (early !== undefined) return early
    // what it waits for is the end of the connection itself
    const fault = await this.#within('the connection not closed by the receiver', () => this.#socket.end())
    return fault ?? (this.#hasEnded ? undefined : 'the connection ended without a close')
  }

  destroy(): void {
    this.#socket.destroy()
  }

  async #within(what: string, begin: (done: () => void) => unknown): Promise<string | undefined> {
    if (this.#fault !== undefined) return this.#fault
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#fault ??= `${what} in ${this.#timeoutMs} ms`
      resolve()
    }, this.#timeoutMs)
    begin(resolve)
    await Promise.race([promise, this.#closed])
    clearTimeout(timer)
    return this.#fault
  }
}
