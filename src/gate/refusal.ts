// The one function that makes refusals, whatever went wrong and whoever asked: status line, fields and
// body (RFC 9457 problem+json, RFC 9209 Proxy-Status). Nothing here shows an agent more than its own
// request, the reason and the rule's id.
import { STATUS_CODES } from './status-text.ts'
import { jsonText } from '../audit/json-text.ts'
import { errorEntry, errorTable, type ErrorCode } from '../errors.ts'
import type { RuleRef } from '../policy/decision.ts'

export interface Refusal {
  readonly kind: 'refusal'
  readonly code: ErrorCode
  /** one sentence, safe to show */
  readonly reason: string
  /** host as matched, or the raw target where none could be parsed */
  readonly host: string
  readonly rule: RuleRef | undefined
  readonly requestId: string
  /** the approval that this waits for, or that said no */
  readonly approvalId?: string | undefined
  /** value of Cache-Status (RFC 9211), where the cache was asked */
  readonly cacheStatus?: string
  /** seconds after which trying again makes sense */
  readonly retryAfterS?: number
}

export interface RenderedRefusal {
  readonly status: number
  /** visible ASCII, at most 200 bytes: the only text that many clients show of a refused CONNECT */
  readonly reasonPhrase: string
  /** name, value, name, value ...; without Connection and Date */
  readonly fields: readonly string[]
  readonly body: string
}

const reasonPhraseMaxBytes = 200
const hidden = /[^\x20-\x7e]/
const quoting = /["\\]/g

export function renderRefusal(refusal: Refusal): RenderedRefusal {
  const entry = errorEntry(refusal.code)
  const body = entry.status === 407 ? '' : problem(refusal)
  const fields = [
    ...(body === '' ? [] : ['Content-Type', 'application/problem+json']),
    // ASCII only
    'Content-Length', String(body.length),
    'Cache-Control', 'no-store',
    'Proxy-Status', `sallyport; error=${entry.proxyStatus}; details="${unquoted(asciiOnly(refusal.reason, 180))}"`,
    'X-Request-Id', refusal.requestId,
  ]
  if (entry.xProxyError !== undefined) fields.push('X-Proxy-Error', entry.xProxyError)
  if (entry.status === 407) fields.push('Proxy-Authenticate', 'Basic realm="sallyport"')
  if (refusal.cacheStatus !== undefined) fields.push('Cache-Status', refusal.cacheStatus)
  const retryAfterS = refusal.retryAfterS ?? (entry.status === 503 ? 1 : entry.status === 429 ? 60 : undefined)
  if (retryAfterS !== undefined) fields.push('Retry-After', String(retryAfterS))
  if (entry.status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT')
  return { status: entry.status, reasonPhrase: reasonPhrase(refusal), fields, body }
}

/** The whole message for a raw socket: CONNECT and upgrades, where no ServerResponse exists. */
export function refusalMessage(refusal: Refusal): string {
  const { status, reasonPhrase: phrase, fields, body } = renderRefusal(refusal)
  let head = `HTTP/1.1 ${status} ${phrase}\r\n`
  for (let index = 0; index < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`
  return `${head}Connection: close\r\n\r\n${body}`
}

/** For who reads the body of a 407 as well. */
export function problemOf(refusal: Refusal): string {
  return problem(refusal)
}

/** ASCII only: a terminal that shows the body must not act on what a request put into it. */
function problem({ code, reason, host, rule, requestId, approvalId }: Refusal): string {
  const { start, end } = problemTexts.get(code) ?? problemText(code)
  const reasonJson = jsonText(reason)
  return `${start}${reasonJson}","code":"${code}","host":"${jsonText(host)}","reason":"${reasonJson}"${rule === undefined ? '' : `,"rule":"${jsonText(rule.id)}"`}`
    + `,"request_id":"${jsonText(requestId)}"${approvalId === undefined ? '' : `,"approval":"${jsonText(approvalId)}"`}${end}`
}

/** What the code alone says of a problem, before its detail and at its end; made once for each. */
function problemText(code: ErrorCode): { readonly start: string; readonly end: string } {
  const { status, retryable } = errorEntry(code)
  const title = STATUS_CODES[status] ?? 'Error'
  return {
    start: `{"type":"urn:sallyport:error:${code}","title":"${jsonText(title)}","status":${status},"detail":"`,
    end: `,"retryable":${retryable},"hint":"${jsonText(hint(code))}"}\n`,
  }
}

function reasonPhrase(refusal: Refusal): string {
  const suffix = ` (req ${refusal.requestId})`
  return asciiOnly(`${lead(refusal.code)}: ${refusal.reason}`, reasonPhraseMaxBytes - suffix.length) + suffix
}

function lead(code: ErrorCode): string {
  const { status, proxyStatus } = errorEntry(code)
  if (code === 'approval_pending') return 'Waiting for approval'
  if (code === 'cache_miss' || code === 'only_if_cached') return 'Not in the cache'
  if (status === 403 || status === 429) return 'Denied by policy'
  if (status === 502 || status === 504) return 'Destination failed'
  if (status === 407) return 'Proxy credentials needed'
  return proxyStatus === 'http_request_error' ? 'Request refused' : 'Proxy unavailable'
}

/** the host is open, for other requests */
const requestCodes: ReadonlySet<ErrorCode> = new Set(['request_not_allowed', 'content_not_allowed', 'upgrade_not_allowed', 'provider_search_refused', 'body_unreadable', 'body_too_large_to_inspect'])

const fetchHints: ReadonlyMap<ErrorCode, string> = new Map<ErrorCode, string>([
  ['fetch_syntax', 'Send GET /fetch?url=URL&format=raw|text|markdown to the proxy; all of URL is percent-encoded.'],
  ['fetch_format', 'Ask for it with format=raw, which gives it as it came.'],
  ['fetch_redirects', 'Fetch another URL; trying again will not help.'],
  ['fetch_too_large', 'Fetch a smaller part or another URL; trying again will not help.'],
])

/** What an agent may do next. A refusal that is meant must not read like a fault to work around. */
function hint(code: ErrorCode): string {
  const { status, retryable } = errorEntry(code)
  if (code === 'approval_pending') return 'This is the intended network policy, not a fault. A reviewer has been asked. Try again after the time in Retry-After, or follow and explain the question on this proxy: GET /approvals/ID?wait=20, POST /approvals/ID/reason. Meanwhile use a host that is allowed. Do not try to work around it.'
  if (code === 'approval_denied') return 'A reviewer looked at this and said no. It is the intended network policy, not a fault. Use a host that is allowed, or ask your user. Do not try to work around it.'
  if (code === 'cache_miss') return 'This is the intended network policy, not a fault: only cached content may be read from this host, and nothing was fetched. Use what is in the cache, or ask your user or administrator to have this page put there. Do not try to work around it.'
  if (code === 'approval_limit' || code === 'approval_rate') return 'Too many questions to reviewers are open or were asked. Wait for answers, and ask for fewer hosts. Do not try to work around it.'
  if (code === 'only_if_cached') return 'The policy allows this request. It asked for nothing but a kept answer; without `only-if-cached` in Cache-Control it goes to the destination.'
  if (requestCodes.has(code)) return 'This is the intended network policy, not a fault. The host is allowed, and this request to it is not. Send one that its rules allow, or ask your user or administrator. Do not try to work around it. `sallyport why` tells more.'
  if (code.startsWith('tls_certificate_')) return 'The policy allows this host; the certificate that it shows was refused, for the reason above. Its owner can mend it; where its root is one to be trusted, an administrator names it with `origin_ca` in the rule of the host.'
  if (status === 403) {
    const wait = retryable ? 'Wait a minute and try again, or ask' : 'Ask'
    return `This is the intended network policy, not a fault. ${wait} your user or administrator to allow the host, or use a host that is allowed. Do not try to work around it. \`sallyport why\` tells more.`
  }
  if (fetchHints.has(code)) return fetchHints.get(code) ?? ''
  if (status === 502 || status === 504) return 'The policy allows this host; the destination or its name server failed. Trying again later may help.'
  if (status === 407) return 'Use the HTTPS_PROXY address that was issued for this session.'
  if (status === 503 || status === 500) return 'The proxy cannot serve this now. Trying again shortly may help.'
  return 'The request itself is at fault. Correct it; sending it again unchanged will not help.'
}

const problemTexts: ReadonlyMap<string, ReturnType<typeof problemText>> = new Map(Object.keys(errorTable).filter(isCode).map((code) => [code, problemText(code)]))

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}

/** What ends a quoted-string or escapes within it is left out. */
function unquoted(text: string): string {
  return text.includes('"') || text.includes('\\') ? text.replaceAll(quoting, '') : text
}

/** Control, non-ASCII and line characters become `?`; cut to `max` characters. */
function asciiOnly(text: string, max: number): string {
  const visible = hidden.test(text) ? text.replaceAll(/[^\x20-\x7e]/g, '?') : text
  return visible.length <= max ? visible : `${visible.slice(0, max - 3)}...`
}
