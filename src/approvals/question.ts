// What policy asks about, as it is put to a reviewer, and the key under which equal questions share one approval.
// Pure but for SHA-256. The key binds the answer to the asker and to exactly what was asked.
import { hash } from 'node:crypto'
import type { Decision, RuleRef } from '../policy/decision.ts'
import type { Facts } from '../policy/facts.ts'
import { parseIp } from '../target/address.ts'
import { formatHost, type Host } from '../target/host.ts'
import type { Approval } from './approval.ts'

export interface Question {
  readonly facts: Facts
  /** undefined: the question is about host and port, not about one request */
  readonly requestDigest: string | undefined
  readonly reason: string
  readonly rule: RuleRef | undefined
  readonly revision: string
  readonly userAgent: string | undefined
  readonly clientAddress: string
  readonly advisory: boolean
  /** about one page that is not in the web cache */
  readonly isFetch?: boolean
  /** said where the rule itself does not tell whether it is always asked about */
  readonly isReview?: boolean
}

/** Whether policy asks about this very request, and not about its host. */
export function isAboutRequest({ stage }: Pick<Facts, 'stage'>, { verdict, obligations }: Pick<Decision, 'verdict' | 'obligations'>): boolean {
  return stage === 'request' && verdict === 'ask' && obligations.inspect !== 'none'
}

/** Equal keys share one approval. */
export function keyOf({ facts, requestDigest }: Pick<Question, 'facts' | 'requestDigest'>): string {
  const { principal: { session }, scheme, host, port } = facts
  return [session, scheme, host.text, String(port), requestDigest ?? ''].join(' ')
}

/** What a question about one page that is not cached is bound to: its URL, and nothing else of the request, since nothing
 * else of it is sent. */
export function fetchDigestOf(facts: Facts): string {
  return `${pagePrefix}${hash('sha256', urlOf(facts) ?? '', 'hex')}`
}

const pagePrefix = 'fetch:'

/** Whether a digest is that of a page. */
export function isPageDigest(digest: string): boolean {
  return digest.startsWith(pagePrefix)
}

/** Where the request goes, whole; undefined in a tunnel, which hides it. */
export function urlOf({ stage, scheme, host, port, path, query }: Facts): string | undefined {
  if (stage === 'connect' || path === undefined) return undefined
  const isDefault = port === (scheme === 'https' ? 443 : 80)
  return `${scheme}://${formatHost(host)}${isDefault ? '' : `:${port}`}${path}${query === undefined ? '' : `?${query}`}`
}

// what differs from try to try of the same request, in the one form that it has there: anything else in such a
// field could carry what nobody said yes to (docs/approvals.md lists them)
const token = /^"?[0-9A-Za-z-]{1,36}"?$/
const volatileForms: ReadonlyMap<string, RegExp> = new Map([
  ['date', /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/],
  ['traceparent', /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/],
  ['x-request-id', token],
  ['x-correlation-id', token],
  ['idempotency-key', token],
  ['sec-websocket-key', /^[A-Za-z0-9+/]{22}==$/],
])

/**
 * SHA-256, hex, over method, URL, the fields that would be forwarded and the body: what a yes to one request is bound
 * to. `fields` is flat: name, value. Fields of one name keep their order, which says something (RFC 9110 section 5.3).
 */
export function digestOf(facts: Facts, fields: readonly string[], body: Uint8Array): string {
  const lines: (readonly [name: string, value: string])[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at]?.toLowerCase() ?? ''
    const value = fields[at + 1] ?? ''
    if (volatileForms.get(name)?.test(value) !== true) lines.push([name, value])
  }
  const sorted = lines.toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)).map(([name, value]) => `${name}: ${value}`)
  const head = [facts.method ?? '', urlOf(facts) ?? '', facts.upgrade ?? '', ...sorted].join('\n')
  return hash('sha256', `${hash('sha256', head, 'hex')} ${hash('sha256', body, 'hex')}`, 'hex')
}

// the answers of settings, which say of no host that it must be looked at
const unnamed: ReadonlySet<string> = new Set(['unknown', 'ip_literals'])

/** Whether a list or rule says that this is always asked about. */
export function isReview(rule: RuleRef | undefined): boolean {
  return rule !== undefined && !unnamed.has(rule.id)
}

/** The question as policy was asked it. */
export function factsOf(approval: Approval): Facts {
  const { kind, scheme, host, port, method, url, upgrade, session, agent, owner, team } = approval
  const known = { scheme, host: hostOf(host), port, upgrade, principal: { session, agent, owner, team } }
  if (kind === 'host' && method === undefined) return { stage: 'connect', ...known, method, path: undefined, query: undefined }
  const [path, query] = pathAndQuery(url)
  return { stage: 'request', ...known, method, path, query }
}

/** A canonical host, as it stands on an approval. */
export function hostOf(text: string): Host {
  const ip = parseIp(text)
  return ip === undefined ? { kind: 'name', text } : { kind: 'ip', text, ip }
}

/** Their bytes as they stand in the URL: a parser would normalise them. */
function pathAndQuery(url: string | undefined): readonly [string, string | undefined] {
  const start = url?.indexOf('/', url.indexOf('://') + 3) ?? -1
  const target = url === undefined || start === -1 ? '/' : url.slice(start)
  const mark = target.indexOf('?')
  return mark === -1 ? [target, undefined] : [target.slice(0, mark), target.slice(mark + 1)]
}
