// Where records go, as the settings say it. Types and words only: what is sent, and when it counts as delivered,
// is for the sinks. Destinations stand in process settings and nowhere else, and agents may reach none of them.
import type { Verdict } from '../policy/decision.ts'
import { uriHost } from '../target/host.ts'
import type { FormatName } from './formats/formatter.ts'
import type { Facility } from './syslog-frame.ts'

/** A record passes when it fits either list, or is about the journal itself; a destination without lists gets all. */
export interface DestinationFilter {
  /** verdicts of decisions */
  readonly verdicts?: readonly Verdict[] | undefined
  /** names of events, as micromatch patterns */
  readonly events?: readonly string[] | undefined
}

/** PEM files, absolute; they are read when a connection is made, so that a renewed one is taken up. */
export interface DestinationTls {
  /** judges the receiver's certificate instead of the usual roots */
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

export interface OtlpDestination {
  readonly name: string
  readonly type: 'otlp-http'
  readonly filter: DestinationFilter
  /** the whole URL, as in Codex's `otlp-http` settings: no `/v1/logs` is added */
  readonly endpoint: string
  /** `binary` is protobuf */
  readonly protocol: 'binary' | 'json'
  readonly headers: Readonly<Record<string, string>>
  /** the same with `${NAME}` as it was written: the form that may be kept on disk */
  readonly headersWritten: Readonly<Record<string, string>>
  readonly compression: 'gzip' | 'none'
  readonly tls: DestinationTls
}

export interface FileDestination {
  readonly name: string
  readonly type: 'file'
  readonly filter: DestinationFilter
  /** absolute */
  readonly path: string
  readonly format: FormatName
}

export interface SyslogDestination {
  readonly name: string
  readonly type: 'syslog'
  readonly filter: DestinationFilter
  /** a name, or an address without brackets */
  readonly host: string
  readonly port: number
  /** `tcp` is plain text */
  readonly transport: 'tls' | 'tcp'
  readonly tls: DestinationTls
  readonly format: FormatName
  readonly facility: Facility
  readonly appName: string
}

export type Destination = OtlpDestination | FileDestination | SyslogDestination

/** The destination that `[otel]` describes. */
export const otelName = 'otel'

/** Where it is, for people; it may hold a secret in a path or a query, so scrub it before it is journaled. */
export function addressOf(destination: Destination): string {
  if (destination.type === 'otlp-http') return destination.endpoint
  if (destination.type === 'file') return destination.path
  const { transport, host, port } = destination
  return `${transport}://${uriHost(host)}:${port}`
}

/** One line for people: name, kind, address, and what it is sent when that is not everything. */
export function describeDestination(destination: Destination): string {
  const { name, type, filter } = destination
  const only = [...(filter.verdicts ?? []), ...(filter.events ?? [])]
  return `${name} ${type} ${addressOf(destination)}${isFiltered(filter) ? ` only ${only.join(',')}` : ''}`
}

export function isFiltered({ verdicts: wanted, events }: DestinationFilter): boolean {
  return wanted !== undefined || events !== undefined
}
