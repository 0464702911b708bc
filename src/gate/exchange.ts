// What ingress hands to the gate: one request as it was understood, before anything is decided.
import type { Facts } from '../policy/facts.ts'
import type { Authority } from '../target/authority.ts'

export interface Client {
  readonly address: string
  readonly port: number
  /** true when the client runs as our own user, or when nothing proves that it does not */
  readonly advisory: boolean
}

export interface Exchange {
  /** ULID; the request id of every event and refusal */
  readonly id: string
  readonly facts: Facts
  readonly client: Client
  readonly protocol: 'http' | 'https_connect'
  readonly userAgent: string | undefined
  /** monotonic, `ms` */
  readonly startedMs: number
}

/** A request that could not be read as one: all that is known of it, for the event of its refusal. */
export interface Malformed {
  readonly id: string
  readonly client: Client
  /** its address may not use this listener: what it sends counts against nobody's quota but its own */
  readonly isOutsider?: boolean
  readonly protocol: 'http' | 'https_connect'
  /** the target as received, shortened and escaped by the event builder */
  readonly rawTarget: string
  /** what it is aimed at, where that much could be read */
  readonly authority?: Authority | undefined
  readonly method: string | undefined
  readonly userAgent: string | undefined
  readonly startedMs: number
}
