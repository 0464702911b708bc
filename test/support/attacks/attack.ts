// What an attack on a proxy that looks inside TLS is: something tried against whichever proxy it is given, with
// origins that count beside it, and a finding that says whether the proxy held and what was seen.
import { createServer } from 'node:https'
import { testCertificates } from '../certificates.ts'
import { httpOrigin, rawOrigin, tlsOrigin, type HttpOrigin, type Origin } from '../origins.ts'
import type { Scope } from '../scope.ts'
import { startAttacked, type AttackedProxy, type ProxyKind } from './attacked-proxy.ts'
import { connectTo, secure, type Inside, type Said } from './inside-client.ts'

export interface Finding {
  readonly held: boolean
  /** what came of it, in one line */
  readonly seen: string
}

export interface Attack {
  /** what a proxy that holds does: the name of its test */
  readonly name: string
  /** what is tried: the row of a table */
  readonly tried: string
  readonly run: (world: AttackWorld) => Promise<Finding>
}

/** The rules are: GET /ok inside TLS to allowed.test, what is below it, and [::1]; anything plain to plain.test. */
export interface AttackWorld {
  readonly proxy: AttackedProxy
  /** `allowed.test:PORT` and everything below allowed.test */
  readonly allowed: HttpOrigin
  /** the same server's port on ::1; undefined where there is no IPv6 */
  readonly allowedOnIpv6: Origin | undefined
  /** `plain.test:PORT` */
  readonly plain: HttpOrigin
  /** speaks TLS under `evil.test` */
  readonly evil: HttpOrigin
  /** speaks plain HTTP */
  readonly evilPlain: HttpOrigin
  /** how long a silent proxy is waited for, `ms` */
  readonly patienceMs: number
}

export const allowedPath = '/ok'

/** Two lines of one name, so that an answer's merging shows too. */
const twoLines = ['x-two', 'a', 'x-two', 'b']

export async function startWorld(t: Scope, kind: ProxyKind, patienceMs: number): Promise<AttackWorld> {
  const certificates = await testCertificates()
  const names = ['allowed.test', '*.allowed.test', '::1']
  const allowed = await tlsOrigin(t, names, certificates, (_request, response) => {
    response.writeHead(200, twoLines)
    response.end('from the allowed origin\n')
  })
  const evil = await tlsOrigin(t, ['evil.test'], certificates)
  const plain = await httpOrigin(t)
  const evilPlain = await httpOrigin(t)
  const allowedOnIpv6 = await ipv6Origin(t, await certificates.issue(names))
  const hosts = [`allowed.test:${allowed.port}`, ...(allowedOnIpv6 === undefined ? [] : [`[::1]:${allowedOnIpv6.port}`])]
  const proxy = await startAttacked(t, kind, { hosts, path: allowedPath, plainHost: `plain.test:${plain.port}`, originRoot: `${certificates.ca}\n` })
  return { proxy, allowed, allowedOnIpv6, plain, evil, evilPlain, patienceMs }
}

async function ipv6Origin(t: Scope, identity: { readonly cert: string; readonly key: string }): Promise<Origin | undefined> {
  const server = createServer(identity, (_request, response) => response.end('over IPv6\n'))
  try {
    return await rawOrigin(t, (socket) => server.emit('connection', socket), '::1')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT')) return undefined
    throw error
  }
}

/** How often the origins were reached so far. */
export interface Reached {
  /** requests to the allowed host */
  readonly allowed: number
  /** connections to those that no rule allows */
  readonly evil: number
}

/** A function that says what came since it was made. */
export function watching({ allowed, evil, evilPlain }: AttackWorld): () => Reached {
  const now = (): Reached => ({ allowed: allowed.requests.length, evil: evil.connections() + evilPlain.connections() })
  const before = now()
  return () => ({ allowed: now().allowed - before.allowed, evil: now().evil - before.evil })
}

export interface Entered {
  readonly connect: Said
  /** undefined: no tunnel, or no TLS in it */
  readonly inside: Inside | undefined
}

/** CONNECT to an authority and TLS in the tunnel, for `host`. */
export async function enter({ proxy, patienceMs }: AttackWorld, authority: string, host: string): Promise<Entered> {
  const { socket, said } = await connectTo(proxy.port, authority, patienceMs)
  if (said.status !== 200) {
    socket.destroy()
    return { connect: said, inside: undefined }
  }
  return { connect: said, inside: await secure(socket, host, patienceMs, proxy.root) }
}

/** The same, where the attack needs to be inside; throws when it cannot get there. */
export async function enterAllowed(world: AttackWorld, name = 'allowed.test'): Promise<Inside> {
  const { connect, inside } = await enter(world, `${name}:${world.allowed.port}`, name)
  if (inside === undefined) throw new Error(`no way into a tunnel that is allowed: ${connect.text.slice(0, 200)}`)
  return inside
}

/** How an answer is told in a finding. */
export function toldAs({ status, isClosed, text }: Said): string {
  if (status !== undefined) return String(status)
  return isClosed ? 'closed' : text === '' ? 'no answer' : 'no HTTP'
}
