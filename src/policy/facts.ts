// What is known of a request when policy looks at it. Plain data, parsed once in target/.
import type { Host } from '../target/host.ts'

/** Id of the local agent's session, which needs no credentials and lives as long as the process. */
export const anonymousSession = 'anonymous'

/** What fetches into the web cache run under: no agent has it. */
export const cacheSession = 'cache'

export interface Principal {
  /** id of the session, or `anonymousSession` */
  readonly session: string
  /** name of the agent program or role */
  readonly agent: string
  readonly team: string | undefined
  readonly owner: string | undefined
  /** its clients trust our certificate authority: what policy asks about https can be held inside TLS */
  readonly trustsCa?: boolean
  /** the session reads the web, which is all that it does */
  readonly webFetch?: boolean
  /** what the session reads live is kept in the web cache, for others; its clients trust our certificate authority */
  readonly record?: boolean
}

export interface Facts {
  /** `connect`: only host and port are known; `request`: method and path too */
  readonly stage: 'connect' | 'request'
  readonly scheme: 'http' | 'https'
  readonly host: Host
  readonly port: number
  readonly method: string | undefined
  /** path as received, without the query, bytes as Latin-1; starts with `/` */
  readonly path: string | undefined
  /** query as received, without `?` */
  readonly query: string | undefined
  readonly upgrade: 'websocket' | undefined
  /** header fields as received, flat name, value, name, value; absent where none are known */
  readonly fields?: readonly string[]
  /** declared bytes of content, 0 for none; `unknown` where only its end will tell; absent where nothing is known */
  readonly content?: number | 'unknown'
  readonly principal: Principal
}
