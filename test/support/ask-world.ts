// A proxy that asks about every name below ask.test, which all lead to loopback, and a reviewer who can answer:
// what the tests of approvals on the wire begin with.
import { createHash } from 'node:crypto'
import { ControlClient } from './control.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'
import { WireClient } from './wire-client.ts'

export interface AskWorld {
  readonly proxy: TestProxy
  /** over the socket */
  readonly control: ControlClient
}

/** `port` is the one that is asked about beside 80 and 443; `more` is further TOML. */
export function askPolicy(port: number, more = ''): string {
  return `[network]
unknown = "ask"
denied_domains = ["denied.test"]

[[network.rules]]
id = "asked"
hosts = ["*.ask.test:${port}", "*.ask.test"]
local = ["127.0.0.1/32"]
verdict = "ask"
${more}`
}

export const askHosts = Object.fromEntries(['one', 'two', 'three', 'four', 'five'].map((name) => [`${name}.ask.test`, '127.0.0.1']))

const holdMs = 60_000

/** Clients are held for a minute unless `options` change it. */
export async function startAsking(t: Scope, port: number, options: TestProxyOptions & { readonly holdMs?: number } = {}): Promise<AskWorld> {
  const change: TestProxyOptions['change'] = (settings) => {
    const held = { ...settings, sessions: { ...settings.sessions, hold: options.holdMs ?? holdMs } }
    return options.change === undefined ? held : options.change(held)
  }
  const proxy = await startProxy(t, { policy: askPolicy(port), hosts: askHosts, ...options, change })
  return { proxy, control: new ControlClient(proxy.controlSocket) }
}

/** Sends and does not wait for an answer; closed with the test. */
export async function sent(t: Scope, proxy: Pick<TestProxy, 'port'>, bytes: string | Uint8Array): Promise<WireClient> {
  const client = await WireClient.open(proxy.port)
  // a reset leaves nothing behind that would count as a socket of this machine
  t.teardown(() => client.socket.resetAndDestroy())
  client.send(bytes)
  return client
}

export function connectBytes(authority: string, fields = ''): string {
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`
}

/** A request in absolute-form; with a body its length goes with it. */
export function requestBytes(authority: string, path: string, { method = 'GET', fields = '', body = '' } = {}): string {
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n`
  return `${method} http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${fields}${length}\r\n${body}`
}

/** Waits for the head of an answer and takes nothing out. */
export async function headOf(client: WireClient): Promise<string> {
  const received = await client.until((text) => text.includes('\r\n\r\n'))
  return received.slice(0, received.indexOf('\r\n\r\n'))
}

/** The members of a problem document. */
export function problemIn(body: string | undefined): Readonly<Record<string, unknown>> {
  return JSON.parse(body ?? '{}') as Readonly<Record<string, unknown>>
}

export const webSocketFields = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n'

/** An origin's yes to an upgrade (RFC 6455 section 4.2.2). */
export function switching(key = ''): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}
