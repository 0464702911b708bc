// Who asked for what: the attributes that every event of an exchange shares. Pure. Fields are cut to
// the caps of docs/events.md; nothing here may hold a credential, a cookie or a query value.
import type { Principal } from '../policy/facts.ts'
import type { Redaction } from './redaction.ts'
import { redactUrl, scrubText } from './redaction.ts'

export interface EventSubject {
  readonly requestId: string
  readonly principal: Principal
  /** the client runs as the proxy's own user, so nothing keeps it from the proxy's files */
  readonly advisory: boolean
  readonly clientAddress: string
  readonly host: string
  readonly port: number
  readonly method: string | undefined
  readonly scheme: 'http' | 'https'
  readonly protocol: 'http' | 'https_connect'
  /** as received; undefined in an opaque tunnel */
  readonly path: string | undefined
  /** as received, without `?` */
  readonly query: string | undefined
  readonly userAgent: string | undefined
  readonly mode: 'enforce' | 'monitor'
}

const maxHost = 253
const maxUserAgent = 512
const maxLabel = 256
const maxMethod = 64

/** Attributes of the subject that every event about it carries. */
export function subjectAttributes(subject: EventSubject) {
  const { principal } = subject
  return {
    'sallyport.request.id': cap(subject.requestId, maxLabel),
    'session.id': cap(principal.session, maxLabel),
    'gen_ai.agent.name': cap(principal.agent, maxLabel),
    'user.name': principal.owner === undefined ? undefined : cap(principal.owner, maxLabel),
    'sallyport.team': principal.team === undefined ? undefined : cap(principal.team, maxLabel),
    'client.address': subject.clientAddress === '' ? 'unknown' : cap(subject.clientAddress, maxLabel),
    'server.address': shownHost(subject.host),
    'server.port': subject.port,
    'network.transport.protocol': subject.protocol,
    // Codex's telemetry says `none` where a tunnel hides the method
    'http.request.method': subject.protocol === 'https_connect' || subject.method === undefined ? 'none' : cap(subject.method, maxMethod),
    'sallyport.advisory': subject.advisory,
    'sallyport.mode': subject.mode,
  }
}

/** Attributes that only a decision carries: how the request looked, redacted. */
export function requestAttributes(subject: EventSubject, redaction: Redaction) {
  const { path, query } = redactUrl(subject.path, subject.query, redaction)
  return {
    'url.scheme': subject.scheme,
    'url.path': path,
    'url.query': query,
    'user_agent.original': subject.userAgent === undefined ? undefined : cap(subject.userAgent, maxUserAgent),
  }
}

/** The host as it may be shown; what could not be parsed may be a whole URL with credentials in it. */
export function shownHost(host: string): string {
  return scrubText(host, maxHost)
}

function cap(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : text.slice(0, maxLength)
}
