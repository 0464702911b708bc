// The way out, put together: who resolves, who connects, who forwards. It decides nothing.
import type { Clock } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Gate } from '../gate/gate.ts'
import type { Credentials } from './field-changes.ts'
import { createForwarder, type Forwarder } from './forward.ts'
import { OriginTls } from './origin-tls.ts'
import { createParentProxy, type ParentProxySettings } from './parent-proxy.ts'
import { createPemReader } from './pem-files.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { Reach } from './reach.ts'
import { createResolver, type Resolver } from './resolver.ts'
import { RevocationLists, type RevocationSettings } from './revocation-lists.ts'

export interface WayOutOptions {
  readonly dns: { readonly servers: readonly string[]; readonly resolvConf: string; readonly hosts: string; readonly timeoutMs: number }
  readonly limits: { readonly originTimeoutMs: number; readonly connectTimeoutMs: number }
  readonly upstreamProxy: ParentProxySettings | undefined
  readonly originTls: RevocationSettings
  /** the first descriptor that no connection to an origin gets; undefined: every one can be had */
  readonly descriptorCeiling: number | undefined
  readonly gate: Gate
  readonly credentials: Credentials
  /** this proxy's name in Via */
  readonly pseudonym: string
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** what connections to origins read into */
  readonly buffers: ReadBuffers
  /** called for each connection whose certificate a rule says not to judge */
  readonly onInsecure: (host: string) => void
  /** something is wrong with a revocation list, or the folder of them */
  readonly onRevocationWarning: (path: string, message: string) => void
  /** other revocation lists are in force */
  readonly onRevocationChange: () => void
}

export interface WayOut {
  readonly resolver: Resolver
  readonly reach: Reach
  readonly forwarder: Forwarder
  /** to be opened before anything is forwarded */
  readonly revocations: RevocationLists
}

export function openWayOut(options: WayOutOptions): WayOut {
  const { dns, limits, upstreamProxy, gate, credentials, pseudonym, clock, deadlines, buffers, onInsecure } = options
  const revocations = new RevocationLists({ ...options.originTls, clock, onWarning: options.onRevocationWarning, onChange: options.onRevocationChange })
  const resolver = createResolver({ servers: dns.servers, resolvConfPath: dns.resolvConf, hostsPath: dns.hosts, timeoutMs: dns.timeoutMs, clock })
  const parent = upstreamProxy === undefined ? undefined : createParentProxy(upstreamProxy, resolver)
  const originTls = new OriginTls({ readPem: createPemReader(clock), deadlines, onInsecure, revocations })
  return {
    resolver,
    revocations,
    reach: new Reach({ resolver, gate, parent, connectTimeoutMs: limits.connectTimeoutMs, descriptorCeiling: options.descriptorCeiling, clock, deadlines, originTls }),
    forwarder: createForwarder({ pseudonym, originTimeoutMs: limits.originTimeoutMs, credentials, buffers }),
  }
}
