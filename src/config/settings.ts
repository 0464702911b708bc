// The process settings, parsed and complete: what every room that is set up from outside is handed.
// Types only. Policy is not here: what agents may reach stands in the policy layers.
import type { Destination, OtlpDestination } from '../audit/destination.ts'
import type { Cidr } from '../target/address.ts'

export interface HostPort {
  /** an IP address or a name, without brackets */
  readonly host: string
  /** 0 picks a free port */
  readonly port: number
}

export interface Limits {
  /** all fields of a request together, `bytes` */
  readonly headerBytes: number
  readonly headerCount: number
  readonly headersTimeoutMs: number
  /** silence of a client within the body of a request; tunnels are not counted */
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly urlBytes: number
  /** a tunnel in which neither side sends for so long is closed */
  readonly tunnelIdleMs: number
  /** silence of an origin, before and within its answer */
  readonly originTimeoutMs: number
  readonly helloTimeoutMs: number
  readonly helloBytes: number
  readonly connectTimeoutMs: number
  readonly connections: number
  readonly connectionsPerClient: number
  readonly drainMs: number
  /** new names below one registrable domain, per session and minute */
  readonly newNamesPerMinute: number
}

export interface DnsSettings {
  /** `ip`, `ip:port` or `[v6]:port`; empty: those of `resolvConf` */
  readonly servers: readonly string[]
  readonly timeoutMs: number
  readonly resolvConf: string
  readonly hosts: string
}

export interface CacheSettings {
  readonly enabled: boolean
  /** of all bodies together */
  readonly maxBytes: number
  readonly maxBodyBytes: number
  /** for a page and its redirects */
  readonly fetchTimeoutMs: number
  /** asked for what the own store does not hold */
  readonly parent: ParentCacheSettings | undefined
}

export interface ParentCacheSettings {
  /** http: or https:, never with credentials in it */
  readonly url: string
  /** until an answer begins, and for a silence within one */
  readonly timeoutMs: number
  readonly username?: string
  readonly password?: string
  readonly caFile?: string
}

export interface AuditSettings {
  readonly url: 'host' | 'path' | 'full'
  readonly maxAgeMs: number
  readonly maxBytes: number
  readonly segmentBytes: number
  /** what a record is safe from before anybody hears of it: the end of the process, or of the power too */
  readonly durability: 'process' | 'power'
  /** a signed checkpoint follows on what was written within this time */
  readonly checkpointIntervalMs: number
  readonly recordsPerSessionPerMinute: number
  /** what belongs to people is sealed under keys of their own, so that it can be erased */
  readonly sealPersonal: boolean
  /** 0: no heartbeat */
  readonly heartbeatMs: number
  /** beside the one of `[otel]` */
  readonly destinations: readonly Destination[]
}

/** The destination that `[otel]` describes, without its name. */
export type OtlpSettings = Omit<OtlpDestination, 'name' | 'type' | 'filter'>

export interface OtelSettings {
  /** value of `deployment.environment.name` */
  readonly environment: string
  readonly exporter: OtlpSettings | undefined
}

export interface UpstreamProxySettings {
  /** http: or https:, never with credentials in it */
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly caFile?: string
  /** `here`: names are resolved and vetted by us and the parent gets addresses; `parent`: it gets names */
  readonly resolve: 'here' | 'parent'
}

export interface OriginTlsSettings {
  /** absolute */
  readonly crlFiles: readonly string[]
  readonly crlDir: string | undefined
}

export interface ApprovalSettings {
  /** open questions of one session */
  readonly perSession: number
  /** new questions of one session in a minute */
  readonly perSessionPerMinute: number
  /** open questions of all sessions */
  readonly total: number
  /** life of a question while a client waits for it */
  readonly waitingTtlMs: number
  /** life of a question that no client waits for */
  readonly idleTtlMs: number
}

export interface SessionSettings {
  /** `ms`; `auto`: as long as the client program is known to wait */
  readonly hold: number | 'auto'
  /** life of a session that is made without a time of its own */
  readonly ttlMs: number
}

export interface GrantSettings {
  /** the longest that an answer of a reviewer holds */
  readonly maxTtlMs: number
}

export interface ControlTlsSettings {
  readonly certFile: string
  readonly keyFile: string
}

export interface NotificationSettings {
  /** base of links, without a final slash; undefined: messages have none */
  readonly pageUrl: string | undefined
  readonly webhook: { readonly url: string; readonly secret: string } | undefined
  readonly slack: { readonly url: string } | undefined
}

/** Where a secret is. */
export type CredentialSource =
  | { readonly kind: 'env'; readonly variable: string }
  /** absolute */
  | { readonly kind: 'file'; readonly path: string }
  /** program and arguments; no shell */
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | { readonly kind: 'keyring'; readonly service: string; readonly account: string }

/** A secret that rules may put into requests, without the secret. */
export interface CredentialSettings {
  readonly name: string
  readonly source: CredentialSource
  /** `host:port`, canonical: where it may be sent */
  readonly hosts: readonly string[]
  /** what agents hold instead of it; undefined: made when asked for */
  readonly dummy: string | undefined
  /** rules below a managed allow list may send it, too */
  readonly anyLayer: boolean
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface Settings {
  /** the file that was read, absolute; undefined when there was none */
  readonly configFile: string | undefined
  readonly listen: HostPort
  readonly control: HostPort | 'off'
  readonly ops: HostPort | 'off'
  readonly policiesDir: string
  /** the managed layer that was named, which must exist; undefined: the system's, if there is one */
  readonly requirementsFile: string | undefined
  readonly dataDir: string
  readonly certsDir: string
  /** files that hold one secret each */
  readonly secretFiles: readonly string[]
  /** print one JSON object instead of the banner */
  readonly json: boolean
  /** client addresses that may connect; empty: loopback only */
  readonly clients: readonly Cidr[]
  readonly requireSession: boolean
  /** undefined: the control listener speaks plain http, on loopback only */
  readonly controlTls: ControlTlsSettings | undefined
  /** canonical, IPv6 in brackets: names that the control listener answers to beside its own address */
  readonly controlHosts: readonly string[]
  readonly approvals: ApprovalSettings
  readonly sessions: SessionSettings
  readonly grants: GrantSettings
  readonly notifications: NotificationSettings
  readonly credentials: readonly CredentialSettings[]
  readonly limits: Limits
  readonly dns: DnsSettings
  readonly cache: CacheSettings
  readonly audit: AuditSettings
  readonly otel: OtelSettings
  readonly originTls: OriginTlsSettings
  readonly upstreamProxy: UpstreamProxySettings | undefined
  readonly log: { readonly level: LogLevel }
}
