// One question to one name server: UDP, and TCP when the answer is truncated. Nothing but that server's
// answer to that question is believed: own socket with a port of its own, connected to the server, and a
// random id (RFC 5452). It never waits by itself: the caller's signal ends it.
import { createSocket } from 'node:dgram'
import { randomInt } from 'node:crypto'
import { connect } from 'node:net'
import { decodeReply, encodeQuery } from './dns-message.ts'
import type { Question, RecordType, Reply } from './dns-message.ts'
import type { NameServer } from './name-server.ts'

interface Unreachable {
  readonly kind: 'unreachable'
  readonly detail: string
}

export type Answered = Exclude<Reply, { readonly kind: 'stray' } | { readonly kind: 'truncated' }> | Unreachable

// who guesses ids from a forged source address gets this many guesses, then the socket is given up
const maxStrays = 32

/** What `server` says of `name`, `unreachable` when nothing can be sent to it; `undefined` once `signal` is aborted. */
export async function askServer(server: NameServer, name: string, type: RecordType, signal: AbortSignal): Promise<Answered | undefined> {
  const question: Question = { name, type, id: randomInt(0x10000) }
  const query = encodeQuery(question)
  if (query === undefined) return { kind: 'failed', detail: 'not a name that can be asked for' }
  const first = await askOverUdp(server, question, query, signal)
  if (first?.kind !== 'truncated') return first
  return askOverTcp(server, question, query, signal)
}

function askOverUdp(server: NameServer, question: Question, query: Uint8Array, signal: AbortSignal): Promise<Answered | { readonly kind: 'truncated' } | undefined> {
  return settleOnce(signal, (finish) => {
    let strays = 0
    const socket = createSocket({
      type: server.family === 4 ? 'udp4' : 'udp6',
      // always an address here; without this, dgram would ask the libuv pool
      lookup: (address, _options, callback) => callback(null, address, server.family),
    })
    socket.on('error', (error) => finish({ kind: 'unreachable', detail: errorCode(error) }))
    socket.on('message', (message) => {
      const reply = decodeReply(message, question)
      if (reply.kind !== 'stray') finish(reply)
      else if (++strays > maxStrays) finish({ kind: 'failed', detail: 'too many datagrams that answer nothing' })
    })
    socket.on('connect', () => socket.send(query, (error) => {
      if (error !== null) finish({ kind: 'unreachable', detail: errorCode(error) })
    }))
    // port 0: the kernel picks at random within the range that the operator gave it
    socket.connect(server.port, server.address)
    return () => socket.close()
  })
}

function askOverTcp(server: NameServer, question: Question, query: Uint8Array, signal: AbortSignal): Promise<Answered | undefined> {
  return settleOnce(signal, (finish) => {
    let received = Buffer.alloc(0)
    const socket = connect({ host: server.address, port: server.port, autoSelectFamily: false, noDelay: true })
    socket.on('error', (error) => finish({ kind: 'failed', detail: `over TCP: ${errorCode(error)}` }))
    socket.on('close', () => finish({ kind: 'failed', detail: 'closed over TCP before the answer was whole' }))
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(query.length)
      socket.write(Buffer.concat([length, query]))
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      const reply = decodeReply(received.subarray(2, 2 + received.readUInt16BE(0)), question)
      const isAnswer = reply.kind !== 'stray' && reply.kind !== 'truncated'
      finish(isAnswer ? reply : { kind: 'failed', detail: 'a useless answer over TCP' })
    })
    return () => socket.destroy()
  })
}

/** Runs `start` until it finishes or `signal` is aborted, then closes what it opened, exactly once. */
function settleOnce<T>(signal: AbortSignal, start: (finish: (value: T) => void) => () => void): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<T | undefined>()
  if (signal.aborted) return Promise.resolve(undefined)
  let isOpen = true
  let close: (() => void) | undefined
  const settle = (value: T | undefined): void => {
    if (!isOpen) return
    isOpen = false
    signal.removeEventListener('abort', abandon)
    close?.()
    resolve(value)
  }
  const abandon = (): void => settle(undefined)
  signal.addEventListener('abort', abandon)
  close = start(settle)
  // an error that came before there was anything to close
  if (!isOpen) close()
  return promise
}

function errorCode(error: Error): string {
  return 'code' in error ? String(error.code) : error.message
}
