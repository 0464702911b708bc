// The way out through a parent proxy (`[upstream_proxy]`): CONNECT for every destination. With
// `resolve = "here"` the parent is given a vetted address, so that what was judged is what is dialled; with
// "parent" it is given the name, and the parent is where addresses are judged. Its own address comes from
// process settings alone. It never puts a credential into a message.
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import { ParentTarget, Vetted } from '../gate/admitted.ts'
import { parseAuthority, formatAuthority } from '../target/authority.ts'
import type { Authority } from '../target/authority.ts'
import { quoted } from '../target/quoted.ts'
import type { Abandonment } from './abandonment.ts'
import { interleave, raceToConnect } from './happy-eyeballs.ts'
import { readConnectAnswer } from './connect-answer.ts'
import type { Resolver } from './resolver.ts'

export interface ParentProxySettings {
  readonly url: string
  readonly username?: string
  readonly password?: string
  /** PEM; trusted instead of the default store */
  readonly caFile?: string
  readonly resolve: 'here' | 'parent'
}

export interface ParentDialOptions {
  /** `ms` for the connection to the parent, its TLS included */
  readonly connectTimeoutMs: number
  /** as of RaceOptions */
  readonly descriptorCeiling?: number | undefined
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** the client is gone: everything stops, with parent_unreachable */
  readonly abandonment?: Abandonment | undefined
}

export interface ParentProxy {
  readonly resolve: 'here' | 'parent'
  /** `host:port`, for people */
  readonly text: string
  /**
   * A tunnel to the destination; bytes that followed the parent's answer are first to be read from it.
   * Throws ProxyError parent_unreachable, out_of_descriptors, parent_refused (with the parent's status in the detail).
   */
  dial(target: Vetted | ParentTarget, options: ParentDialOptions): Promise<Socket>
}

/** Another proxy that this one connects to by its own settings: a parent proxy, or a parent cache. */
export interface Parent {
  readonly isTls: boolean
  readonly authority: Authority
  readonly ca: string | undefined
  /** Basic (RFC 7617), encoded */
  readonly credentials: string | undefined
}

const answerTimeoutMs = 10_000
// with "here" the parent may have no route to one family; it is offered this many addresses
const maxOffers = 3

/** Throws ProxyError parent_unreachable when the settings cannot be used; reads `caFile` once. */
export function createParentProxy(settings: ParentProxySettings, resolver: Resolver): ParentProxy {
  const parent = parentOf(settings)
  return {
    resolve: settings.resolve,
    text: formatAuthority(parent.authority),
    async dial(target, options) {
      const offers = offersOf(target)
      for (const [i, offer] of offers.entries()) {
        const tunnel = await openTunnel(parent, offer, resolver, options)
        if (tunnel.ok) return tunnel.socket
        // 5xx: the parent could not reach this address; anything else is its decision
        if (tunnel.status < 500 || i === offers.length - 1) {
          throw new ProxyError('parent_refused', `${formatAuthority(parent.authority)} answered ${tunnel.status} ${quoted(tunnel.reason)} to CONNECT ${offer}`)
        }
      }
      throw new ProxyError('parent_refused', 'there is no address to ask the parent for')
    },
  }
}

function offersOf(target: Vetted | ParentTarget): readonly string[] {
  if (target instanceof Vetted && Vetted.isGenuine(target)) {
    return interleave(target.addresses).slice(0, maxOffers).map((ip) => formatAuthority({ host: { kind: 'ip', text: ip.text, ip }, port: target.port }))
  }
  if (target instanceof ParentTarget && ParentTarget.isGenuine(target)) return [formatAuthority(target)]
  throw new ProxyError('internal_error', 'a destination that the gate did not admit')
}

type Tunnel =
  | { readonly ok: true; readonly socket: Socket }
  | { readonly ok: false; readonly status: number; readonly reason: string }

async function openTunnel(parent: Parent, offer: string, resolver: Resolver, options: ParentDialOptions): Promise<Tunnel> {
  const socket = await reachParent(parent, resolver, options)
  socket.write(connectRequest(offer, parent.credentials))
  const answer = await readConnectAnswer(socket, answerTimeoutMs, options.abandonment?.toSignal())
  if (answer.ok && answer.status < 300) return { ok: true, socket }
  socket.destroy()
  if (answer.ok) return { ok: false, status: answer.status, reason: answer.reason }
  throw unreachable(parent, answer.detail)
}

/** A connection to the parent, TLS done. Throws ProxyError parent_unreachable, out_of_descriptors. */
export async function reachParent(parent: Parent, resolver: Resolver, options: ParentDialOptions): Promise<Socket> {
  const { host, port } = parent.authority
  const deadlineMs = options.clock.monotonic() + options.connectTimeoutMs
  try {
    const addresses = host.kind === 'ip' ? [host.ip] : (await resolver.resolve(host.text)).addresses
    const plain = await raceToConnect(addresses, {
      ...options,
      port,
      open: (ip) => connectTcp({ host: ip.text, port, autoSelectFamily: false, noDelay: true, allowHalfOpen: true }),
    })
    return parent.isTls ? await startTls(plain, parent, deadlineMs - options.clock.monotonic(), options.abandonment?.toSignal()) : plain
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'out_of_descriptors') throw error
    throw unreachable(parent, error instanceof ProxyError ? error.message : String(error), error)
  }
}

function startTls(plain: Socket, parent: Parent, timeoutMs: number, signal: AbortSignal | undefined): Promise<Socket> {
  const { host } = parent.authority
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const socket = connectTls({
    socket: plain,
    // whom the certificate must name; SNI carries names only (RFC 6066 section 3)
    host: host.text,
    ...(host.kind === 'name' ? { servername: host.text } : {}),
    ...(parent.ca === undefined ? {} : { ca: parent.ca }),
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
  })
  const fail = (reason: string): void => {
    socket.destroy()
    plain.destroy()
    reject(new Error(reason))
  }
  const abandon = (): void => fail('given up before TLS stood')
  const timer = setTimeout(() => fail('no TLS in time'), Math.max(timeoutMs, 0))
  socket.on('error', (error) => fail(`TLS: ${error.message}`))
  socket.once('close', () => fail('closed during TLS'))
  socket.once('secureConnect', () => resolve(socket))
  signal?.addEventListener('abort', abandon)
  if (signal?.aborted === true) abandon()
  return promise.finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abandon)
  })
}

function connectRequest(authority: string, credentials: string | undefined): string {
  const authorization = credentials === undefined ? '' : `Proxy-Authorization: Basic ${credentials}\r\n`
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`
}

function unreachable(parent: Parent, detail: string, cause?: unknown): ProxyError {
  return new ProxyError('parent_unreachable', `${formatAuthority(parent.authority)}: ${detail}`, { cause })
}

const urlForm = /^(?<scheme>https?):\/\/(?<authority>[^/?#@]+)\/?$/i

/** Throws ProxyError parent_unreachable when they cannot be used; reads `caFile` once. */
export function parentOf(settings: Omit<ParentProxySettings, 'resolve'>): Parent {
  const groups = urlForm.exec(settings.url)?.groups
  // the url is not repeated: people put passwords into it
  if (groups === undefined) throw new ProxyError('parent_unreachable', 'the url of the parent is not http://host:port or https://host:port')
  const isTls = groups['scheme']?.toLowerCase() === 'https'
  const authority = parseAuthority(groups['authority'] ?? '', isTls ? 443 : 80)
  return { isTls, authority, ca: readCa(settings.caFile), credentials: encodeCredentials(settings) }
}

function readCa(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ProxyError('parent_unreachable', `the CA file ${quoted(path)} of the parent cannot be read`, { cause: error })
  }
}

/** RFC 7617 section 2, UTF-8. */
function encodeCredentials({ username, password = '' }: Omit<ParentProxySettings, 'resolve'>): string | undefined {
  if (username === undefined) return undefined
  if (username.includes(':')) throw new ProxyError('parent_unreachable', 'the username of the parent holds a colon')
  return Buffer.from(`${username}:${password}`, 'utf8').toString('base64')
}
