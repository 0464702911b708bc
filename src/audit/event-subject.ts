// Who asked for what: the attributes that events of an exchange share, as JSON text. Pure but for the texts it
// remembers. Fields are cut to the caps of docs/events.md; nothing here may hold a credential, a cookie or a
// query value.
import type { Principal } from '../policy/facts.ts'
import type { ErrorCode } from '../errors.ts'
import { authorityOnly } from '../target/quoted.ts'
import type { Redaction } from './redaction.ts'
import { cappedJson, inOnePiece, jsonNumber, jsonText } from './json-text.ts'
import type { OwnPart } from './prepared-event.ts'
import { redactUrl, scrubAgent, scrubText } from './redaction.ts'
import { placeOf, Slots } from './slots.ts'

export interface EventSubject {
  readonly requestId: string
  readonly principal: Principal
  /** the client runs as the proxy's own user, so nothing keeps it from the proxy's files */
  readonly advisory: boolean
  readonly clientAddress: string
  readonly host: string
  /** 0 where no target could be parsed; `host` is the raw target then */
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
const maxReason = 1024
// their reasons repeat the value of a field, of which only what a host may be is kept
const quoteFields: ReadonlySet<string> = new Set<ErrorCode>(['host_mismatch', 'field_syntax', 'misdirected'])
// what came from a request stands in backticks in a refusal's reason, and holds none itself
const quotation = /`([^`]*)`/g
const maxMethod = 64

/** How every event about the subject begins: the attribute that is its own, up to its value. */
export const subjectStart = '"sallyport.request.id":"'

/** The subject as every event about it shows it. */
export interface ShownSubject {
  readonly host: string
  readonly hostJson: string
  /** JSON members behind `subjectStart`, its value first; without the client's address where `clientJson` has it */
  readonly json: string
  /** the client's address as a member, where it is the owner's */
  readonly clientJson: string | undefined
}

interface KnownSubject extends Pick<EventSubject, 'principal' | 'advisory' | 'clientAddress' | 'port' | 'method' | 'protocol' | 'mode'> {
  /** not cut */
  readonly askedHost: string
  readonly host: string
  readonly hostJson: string
  readonly clientJson: string | undefined
  /** behind the request id */
  text: string
  isInOnePiece: boolean
}

const knownSubjects = new Slots<KnownSubject>()

export function showSubject(subject: EventSubject): ShownSubject {
  const { host, hostJson, clientJson, text } = subject.port === 0 ? describe(subject) : recall(subject)
  return { host, hostJson, clientJson, json: cappedJson(subject.requestId, maxLabel) + text }
}

/** One session asks for few hosts, and each exchange has two events at least. */
function recall(subject: EventSubject): KnownSubject {
  const place = placeOf(subject.host, subject.port)
  const known = knownSubjects.get(place)
  const isSame = known !== undefined && known.askedHost === subject.host && known.port === subject.port && known.principal === subject.principal
    && known.clientAddress === subject.clientAddress && known.method === subject.method && known.protocol === subject.protocol
    && known.mode === subject.mode && known.advisory === subject.advisory
  if (!isSame) {
    const made = describe(subject)
    knownSubjects.put(place, made)
    return made
  }
  if (!known.isInOnePiece) {
    known.text = inOnePiece(known.text)
    known.isInOnePiece = true
  }
  return known
}

function describe(subject: EventSubject): KnownSubject {
  const { principal, advisory, clientAddress, host: askedHost, port, method, protocol, mode } = subject
  const host = shownHost(subject)
  const hostJson = jsonText(host)
  const client = `"client.address":"${clientAddress === '' ? 'unknown' : cappedJson(clientAddress, maxLabel)}"`
  const isOwned = principal.owner !== undefined
  // Codex's telemetry says `none` where a tunnel hides the method
  const asked = method === undefined || method === 'CONNECT' ? 'none' : cappedJson(method, maxMethod)
  const text = `${principalJson(principal)}${isOwned ? '' : `${client},`}"server.address":"${hostJson}","server.port":${jsonNumber(port)}${circumstances(subject)}${asked}"`
  return { principal, advisory, clientAddress, port, method, protocol, mode, askedHost, host, hostJson, clientJson: isOwned ? client : undefined, text, isInOnePiece: false }
}

/** From the end of the request id to the comma behind the agent; a session has many exchanges. */
function principalJson(principal: Principal): string {
  const known = principalTexts.get(principal)
  if (known !== undefined) return known
  const text = inOnePiece(`","session.id":"${cappedJson(principal.session, maxLabel)}","gen_ai.agent.name":"${cappedJson(principal.agent, maxLabel)}",`)
  principalTexts.set(principal, text)
  return text
}

const principalTexts = new WeakMap<Principal, string>()

/** What there are only eight of, to the start of the method. */
function circumstances({ protocol, mode, advisory }: EventSubject): string {
  return circumstancesOf[protocol][mode][advisory ? 1 : 0]
}

const circumstancesOf = { http: modesOf('http'), https_connect: modesOf('https_connect') } as const

function modesOf(protocol: EventSubject['protocol']) {
  const text = (mode: EventSubject['mode'], advisory: boolean): string =>
    inOnePiece(`,"network.transport.protocol":"${protocol}","sallyport.advisory":${advisory},"sallyport.mode":"${mode}","http.request.method":"`)
  return { enforce: [text('enforce', false), text('enforce', true)], monitor: [text('monitor', false), text('monitor', true)] } as const
}

/** JSON members that only a decision carries, each behind a comma: whose session it is, and how the
 * request looked, redacted. Without what is the owner's, where there is one. */
export function requestJson(subject: EventSubject, redaction: Redaction): string {
  const { principal: { owner, team }, userAgent } = subject
  let json = subject.scheme === 'https' ? ',"url.scheme":"https"' : ',"url.scheme":"http"'
  if (team !== undefined) json += `,"sallyport.team":"${cappedJson(team, maxLabel)}"`
  if (owner !== undefined) return json
  const place = placeJson(subject, redaction)
  if (place !== '') json += `,${place}`
  return userAgent === undefined ? json : `${json},${userAgentJson(userAgent)}`
}

/** What of a decision is the owner's: what all of its session's have in common, and what is this exchange's. */
export function ownerParts(subject: EventSubject, owner: string, clientJson: string, redaction: Redaction): OwnPart[] {
  const { principal, requestId } = subject
  const parts: OwnPart[] = [{ person: owner, bound: 'session', context: label(principal.session), json: sessionJson(subject, owner, clientJson) }]
  const place = placeJson(subject, redaction)
  if (place !== '') parts.push({ person: owner, bound: 'own', context: label(requestId), json: place })
  return parts
}

/** The part of an event of which nothing but the client's address is the owner's. */
export function clientPart({ principal }: EventSubject, owner: string, clientJson: string): OwnPart {
  return { person: owner, bound: 'session', context: label(principal.session), json: clientJson }
}

/** A name or an id as events have it. */
function label(text: string): string {
  return text.length <= maxLabel ? text : text.slice(0, maxLabel)
}

interface KnownSession {
  readonly clientJson: string
  readonly userAgent: string | undefined
  readonly json: string
}

/** One program of a session asks again and again from one address. */
function sessionJson({ principal, userAgent }: EventSubject, owner: string, clientJson: string): string {
  const known = knownSessions.get(principal)
  if (known !== undefined && known.clientJson === clientJson && known.userAgent === userAgent) return known.json
  const json = inOnePiece(`"user.name":"${cappedJson(owner, maxLabel)}",${clientJson}${userAgent === undefined ? '' : `,${userAgentJson(userAgent)}`}`)
  knownSessions.set(principal, { clientJson, userAgent, json })
  return json
}

const knownSessions = new WeakMap<Principal, KnownSession>()

function userAgentJson(userAgent: string): string {
  return `"user_agent.original":"${jsonText(scrubAgent(userAgent, maxUserAgent))}"`
}

function placeJson({ path: asked, query: askedQuery }: EventSubject, redaction: Redaction): string {
  if (asked === undefined) return ''
  const { path, query } = redactUrl(asked, askedQuery, redaction)
  const json = path === undefined ? '' : `"url.path":"${jsonText(path)}"`
  return query === undefined ? json : `${json === '' ? '' : `${json},`}"url.query":"${jsonText(query)}"`
}

/** Whether a reason repeats the path of the request, which is the owner's. */
export function repeatsPath(reason: string, { path, port }: EventSubject): boolean {
  return port !== 0 && path !== undefined && path.length > 1 && reason.includes(path)
}

/** The host as it may be shown: the one that was matched, or, where none could be parsed, the authority of a
 * target that may be a whole URL with credentials in it. */
function shownHost({ host, port }: EventSubject): string {
  if (port === 0) return scrubText(authorityOnly(host), maxHost)
  return host.length <= maxHost ? host : host.slice(0, maxHost)
}

/** Whether a reason repeats nothing of the request but its host. */
export function isReasonItself(code: string, reason: string, { port, path }: EventSubject): boolean {
  return port !== 0 && !quoteFields.has(code) && (path === undefined || path.length <= 1 || !reason.includes(path))
}

/** Why, in a sentence that may repeat what was asked for: of that it keeps what the event may say elsewhere. */
export function shownReason({ code, reason }: { readonly code: string; readonly reason: string }, subject: EventSubject, redaction: Redaction): string {
  const { host, port, path } = subject
  if (isReasonItself(code, reason, subject)) return scrubText(reason, maxReason)
  let shown = reason
  if (port === 0) {
    const target = authorityOnly(host)
    const mayHoldUser = target.includes('***')
    shown = reason.replace(quotation, (_, text: string) => {
      const kept = authorityOnly(text)
      // where the target holds user information, what is quoted may be a part of it that has lost its `@`
      return mayHoldUser && (target.endsWith('***') || !target.includes(kept)) ? '`***`' : `\`${kept}\``
    })
  } else if (quoteFields.has(code)) {
    shown = reason.replace(quotation, (_, text: string) => `\`${authorityOnly(text)}\``)
  } else if (path !== undefined) {
    shown = reason.replaceAll(path, () => redactUrl(path, undefined, redaction).path ?? '/...')
  }
  return scrubText(shown, maxReason)
}
