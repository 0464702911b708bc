// A syslog receiver that counts octets as RFC 6587 and RFC 5425 say, over TLS or plain TCP, and can be told to hang up.
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions, type TLSSocket } from 'node:tls'
import type { Scope } from './scope.ts'

export interface SyslogMessage {
  readonly facility: number
  readonly severity: number
  readonly time: string
  readonly hostname: string
  readonly appName: string
  readonly procId: string
  readonly msgId: string
  readonly data: Readonly<Record<string, string>>
  readonly text: string
}

/** Whole messages at the start of `data`, and what is left of it; throws where a count is none. */
export function readFrames(data: Buffer): { readonly messages: readonly Buffer[]; readonly rest: Buffer } {
  const messages: Buffer[] = []
  let at = 0
  for (;;) {
    const space = data.indexOf(0x20, at)
    if (space === -1) return { messages, rest: data.subarray(at) }
    const digits = data.toString('latin1', at, space)
    if (!/^[1-9]\d{0,6}$/.test(digits)) throw new Error(`no count of octets: ${digits.slice(0, 20)}`)
    const end = space + 1 + Number(digits)
    if (end > data.length) return { messages, rest: data.subarray(at) }
    messages.push(data.subarray(space + 1, end))
    at = end
  }
}

export function readMessage(message: Buffer): SyslogMessage {
  const [whole, priority = '', time = '', hostname = '', appName = '', procId = '', msgId = ''] = /^<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) /.exec(message.toString('latin1')) ?? []
  if (whole === undefined) throw new Error(`no header: ${message.toString('latin1', 0, 100)}`)
  const rest = message.toString('utf8').slice(whole.length)
  const [element, parameters = ''] = /^\[sallyport@32473((?: [^= "\]]+="(?:[^"\\\]]|\\["\\\]])*")*)\] /.exec(rest) ?? []
  if (element === undefined) throw new Error(`no structured data: ${rest.slice(0, 100)}`)
  const data = Object.fromEntries([...parameters.matchAll(/ ([^=]+)="((?:[^"\\\]]|\\["\\\]])*)"/g)].map(([, name = '', value = '']) => [name, value.replaceAll(/\\(["\\\]])/g, '$1')]))
  return { facility: Math.floor(Number(priority) / 8), severity: Number(priority) % 8, time, hostname, appName, procId, msgId, data, text: rest.slice(element.length) }
}

export interface SyslogReceiver {
  readonly port: number
  readonly messages: SyslogMessage[]
  /** common names of the certificates that clients showed, one for each connection */
  readonly clients: (string | undefined)[]
  /** what is done with a connection once it has brought so many messages; default nothing */
  treat: (socket: Socket, connection: number, messages: number) => void
  /** false: the connection is closed before anything is read from it */
  accepts: (connection: number) => boolean
  /** false: over plain TCP, it leaves its side open when the other is closed */
  closes: boolean
}

export async function syslogReceiver(t: Scope, tls?: TlsOptions): Promise<SyslogReceiver> {
  const serve = (socket: Socket | TLSSocket): void => {
    receiver.clients.push('getPeerCertificate' in socket ? String(socket.getPeerCertificate()?.subject?.CN) : undefined)
    const number = receiver.clients.length
    socket.on('error', () => undefined)
    if (!receiver.accepts(number)) return void socket.destroy()
    socket.on('end', () => {
      if (receiver.closes) socket.end()
    })
    let rest: Buffer = Buffer.alloc(0)
    let count = 0
    socket.on('data', (chunk: Buffer) => {
      const read = readFrames(Buffer.concat([rest, chunk]))
      rest = read.rest
      count += read.messages.length
      receiver.messages.push(...read.messages.map(readMessage))
      receiver.treat(socket, number, count)
    })
  }
  const server = tls === undefined ? createServer({ allowHalfOpen: true }, serve) : createTlsServer(tls, serve)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const receiver: SyslogReceiver = { port: (server.address() as AddressInfo).port, messages: [], clients: [], treat: () => undefined, accepts: () => true, closes: true }
  return receiver
}
