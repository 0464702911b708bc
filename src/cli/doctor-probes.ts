// The probes of `doctor`: one connection attempt, one DNS question, one request to a proxy each. They
// never send more than that, and whatever happens within the time is an outcome, not an exception.
import { request, type IncomingMessage } from 'node:http'
import { connect, type NetConnectOpts } from 'node:net'
import type { HostPort } from '../config/settings.ts'
import { encodeQuery } from '../egress/dns-message.ts'
import { askServer } from '../egress/dns-exchange.ts'
import { parseNameServer } from '../egress/name-server.ts'

/** `reached`: somebody at the other end answered; `blocked`: nobody did, and why as far as it is known. */
export type ProbeOutcome =
  | { readonly kind: 'reached' }
  | { readonly kind: 'blocked'; readonly reason: string }

export interface HttpAnswer {
  readonly status: number
  readonly reason: string
  /** at most 4 KiB */
  readonly body: string
}

/** What doctor needs of the network; a test hands in its own. */
export interface Probes {
  tcp(target: HostPort): Promise<ProbeOutcome>
  /** connects to a unix socket and sends nothing */
  socket(path: string): Promise<ProbeOutcome>
  /** asks `server` (`ip` or `ip:port`) for the address of `name` */
  dnsUdp(server: string, name: string): Promise<ProbeOutcome>
  dnsTcp(server: string, name: string): Promise<ProbeOutcome>
  /** undefined when nobody answers in HTTP */
  get(target: HostPort, path: string): Promise<HttpAnswer | undefined>
  /** CONNECT `authority` through `proxy`; a tunnel that opens is closed at once */
  connectThrough(proxy: HostPort, authority: string, credentials: string | undefined): Promise<HttpAnswer | undefined>
}

export function createProbes(timeoutMs: number): Probes {
  return {
    tcp: ({ host, port }) => connectProbe({ host, port, autoSelectFamily: false }, timeoutMs),
    socket: (path) => connectProbe({ path }, timeoutMs),
    dnsUdp: (server, name) => dnsUdpProbe(server, name, timeoutMs),
    dnsTcp: (server, name) => dnsTcpProbe(server, name, timeoutMs),
    get: ({ host, port }, path) => ask({ host, port, path, method: 'GET' }, timeoutMs),
    connectThrough: ({ host, port }, authority, credentials) => {
      const headers: Record<string, string> = { host: authority }
      if (credentials !== undefined) {
        headers['proxy-authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`
      }
      // a proxy that dials for us may take as long as its own limits say
      return ask({ host, port, path: authority, method: 'CONNECT', headers }, timeoutMs * 6)
    },
  }
}

function connectProbe(to: NetConnectOpts, timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = connect(to)
    const finish = (outcome: ProbeOutcome): void => {
      socket.destroy()
      resolve(outcome)
    }
    socket.setTimeout(timeoutMs, () => finish({ kind: 'blocked', reason: 'no answer' }))
    socket.on('connect', () => finish({ kind: 'reached' }))
    socket.on('error', (error) => finish({ kind: 'blocked', reason: codeOf(error) }))
  })
}

async function dnsUdpProbe(server: string, name: string, timeoutMs: number): Promise<ProbeOutcome> {
  const nameServer = parseNameServer(server)
  if (nameServer === undefined) return { kind: 'blocked', reason: 'not a name server' }
  const answered = await askServer(nameServer, name, 'A', AbortSignal.timeout(timeoutMs))
  if (answered === undefined) return { kind: 'blocked', reason: 'no answer' }
  if (answered.kind === 'unreachable') return { kind: 'blocked', reason: answered.detail }
  return { kind: 'reached' }
}

/** Its own, because the resolver goes to TCP only when an answer was too long for UDP. */
function dnsTcpProbe(server: string, name: string, timeoutMs: number): Promise<ProbeOutcome> {
  const nameServer = parseNameServer(server)
  const query = encodeQuery({ name, type: 'A', id: 0x5a11 })
  if (nameServer === undefined || query === undefined) {
    return Promise.resolve({ kind: 'blocked', reason: 'not a question that can be asked' })
  }
  return new Promise((resolve) => {
    const socket = connect({ host: nameServer.address, port: nameServer.port, autoSelectFamily: false })
    const finish = (outcome: ProbeOutcome): void => {
      socket.destroy()
      resolve(outcome)
    }
    socket.setTimeout(timeoutMs, () => finish({ kind: 'blocked', reason: 'no answer' }))
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(query.length)
      socket.write(Buffer.concat([length, query]))
    })
    socket.on('data', () => finish({ kind: 'reached' }))
    socket.on('error', (error) => finish({ kind: 'blocked', reason: codeOf(error) }))
    socket.on('close', () => finish({ kind: 'blocked', reason: 'closed without an answer' }))
  })
}

interface Asked {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly method: string
  readonly headers?: Record<string, string>
}

function ask(asked: Asked, timeoutMs: number): Promise<HttpAnswer | undefined> {
  return new Promise((resolve) => {
    const sent = request({ ...asked, agent: false, signal: AbortSignal.timeout(timeoutMs) })
    const finish = (response: IncomingMessage, body: string): void => {
      resolve({ status: response.statusCode ?? 0, reason: response.statusMessage ?? '', body })
      sent.destroy()
    }
    sent.on('connect', (response, socket) => {
      socket.destroy()
      finish(response, '')
    })
    sent.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
        if (body.length >= 4096) finish(response, body.slice(0, 4096))
      })
      response.on('end', () => finish(response, body))
      response.on('error', () => finish(response, body))
    })
    sent.on('error', () => resolve(undefined))
    sent.end()
  })
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message
}
