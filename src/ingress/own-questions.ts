// What an agent may ask of its own proxy, in origin-form on the proxy listener: what this is and what was
// refused lately, how a question of its own stands, and to say what it is for. It changes nothing but that one
// sentence, and shows nothing of other sessions.
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Approval } from '../approvals/approval.ts'
import { ProxyError } from '../errors.ts'
import type { Malformed } from '../gate/exchange.ts'
import type { Principal } from '../policy/facts.ts'
import { parseAuthority } from '../target/authority.ts'
import { uriHost } from '../target/host.ts'
import { aboutPage } from './about-page.ts'
import type { ClientConnection } from './client-connections.ts'
import type { IngressContext } from './context.ts'
import { identify } from './identity.ts'
import { refuse, type PlainArrival } from './plain.ts'
import { fieldOf, readHead } from './request-head.ts'
import { wholeBody } from './presence.ts'

const questionPath = /^\/approvals\/([0-9A-HJKMNP-TV-Z]{26})(\/reason)?(?:\?wait=(\d{1,2}))?$/
const maxWaitS = 30
const maxReason = 500
const maxBody = 4096

/** Whether a request is one of these: anything else in origin-form is judged as the request that it is not. */
export function isOwnQuestion({ method, url, httpVersion, headers }: IncomingMessage): boolean {
  if (!httpVersion.startsWith('1.') || headers['transfer-encoding'] !== undefined || !isNamedAsProxy(headers.host)) return false
  if (method === 'POST') return questionPath.exec(url ?? '')?.[2] !== undefined && Number(headers['content-length']) <= maxBody
  if (method !== 'GET' && method !== 'HEAD') return false
  if (headers['content-length'] !== undefined) return false
  return url === '/' || (url !== undefined && questionPath.exec(url)?.[2] === undefined && questionPath.test(url))
}

/** By address, or by a name of one label, which no web page can have: a browser's page that points its own name here is not answered. */
export function isNamedAsProxy(host: string | undefined): boolean {
  if (host === undefined || host === '') return true
  try {
    const { host: named } = parseAuthority(host, 80)
    return named.kind === 'ip' || !named.text.includes('.')
  } catch (error) {
    if (error instanceof ProxyError) return false
    throw error
  }
}

/** What is not for the network: asked of the proxy itself. Credentials that are wrong are refused as everywhere. */
export async function serveOwnQuestion(arrival: PlainArrival & { readonly request: IncomingMessage; readonly response: ServerResponse }, context: IngressContext): Promise<void> {
  const { request, response, connection } = arrival
  if (connection.lookup !== undefined) await connection.lookup
  if (connection.isClosing) return
  const startedMs = context.clock.monotonic()
  arrival.bodies.watch(request)
  try {
    await answerOwnQuestion(request, response, connection, context)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    const { method, url = '', headers } = request
    const malformed: Malformed = { id: context.ids.next(), client: connection.client, protocol: 'http', rawTarget: url, method, userAgent: headers['user-agent'], startedMs }
    const refusal = await context.gate.refuseMalformed(malformed, error.code, error.detail)
    refuse(arrival, context, malformed, refusal, true)
  }
}

/** Answers it. Throws ProxyError for credentials that are missing or wrong, as everywhere. */
async function answerOwnQuestion(request: IncomingMessage, response: ServerResponse, connection: ClientConnection, context: IngressContext): Promise<void> {
  const { credentials: shown } = readHead(request, context.limits)
  // a client that takes the proxy's URL for an origin's sends them as an origin is sent them
  const asOrigin = fieldOf(request.rawHeaders, 'authorization')
  const credentials = shown.length > 0 || asOrigin === undefined ? shown : [asOrigin]
  const [, id, reason, wait] = questionPath.exec(request.url ?? '') ?? []
  if (id === undefined) {
    // what this is may be read by whoever has no credentials yet
    const isStranger = credentials.length === 0 && connection.session === undefined && context.sessions.credentialsNeeded()
    const refusals = isStranger ? [] : context.gate.recent.of(identify(credentials, connection, context).session)
    answer(request, response, 200, 'text/plain; charset=utf-8', aboutPage(addressOf(request), refusals))
    return
  }
  const { session }: Principal = identify(credentials, connection, context)
  if (reason !== undefined) {
    await takeReason(request, response, id, session, context)
    return
  }
  const waitMs = Math.min(Number(wait ?? 0), maxWaitS) * 1000
  answerApproval(request, response, waitMs === 0 ? context.questions.get(id, session) : await context.questions.follow(id, session, waitMs, leaving(response)))
}

/** Aborts when the client is gone: nothing waits for nobody. */
function leaving(response: ServerResponse): AbortSignal {
  const left = new AbortController()
  if (response.destroyed) left.abort()
  response.once('close', () => left.abort())
  return left.signal
}

async function takeReason(request: IncomingMessage, response: ServerResponse, id: string, session: string, context: IngressContext): Promise<void> {
  const text = reasonIn((await wholeBody(request)).toString('utf8'), request.headers['content-type'])
  // what stood there is put back, and nobody else reads it
  request.resume()
  if (text === undefined || text.length === 0 || text.length > maxReason) {
    answer(request, response, 400, 'application/problem+json', problem(400, 'reason', `a reason is 1 to ${maxReason} characters of text, or JSON: {"reason": "..."}`))
    return
  }
  const stated = context.questions.stateReason(id, session, text)
  if (stated === 'too_often') answer(request, response, 429, 'application/problem+json', problem(429, 'too_often', 'the reason of this approval was changed often enough: wait for the answer'))
  else answerApproval(request, response, stated === 'unknown' ? undefined : context.questions.get(id, session))
}

function reasonIn(body: string, contentType: string | undefined): string | undefined {
  if (contentType?.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json') return body.trim()
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null && 'reason' in value && typeof value.reason === 'string' ? value.reason.trim() : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** The agent's view: how it stands, and the reviewer's words; never who the reviewer is. */
function answerApproval(request: IncomingMessage, response: ServerResponse, approval: Approval | undefined): void {
  if (approval === undefined) {
    answer(request, response, 404, 'application/problem+json', problem(404, 'not_found', 'this session has no such open approval'))
    return
  }
  const { id, state, scheme, host, port, method, attempts, statedReason, decision, expiresMs } = approval
  const body = {
    id, state, scheme, host, port, method, attempts, stated_reason: statedReason, comment: decision?.comment, term: state === 'allowed' ? decision?.term : undefined,
    expires_at: state === 'pending' ? new Date(expiresMs).toISOString() : undefined,
    hint: hints[state],
  }
  answer(request, response, 200, 'application/json', `${JSON.stringify(body)}\n`)
}

const hints: Readonly<Record<Approval['state'], string>> = {
  pending: 'A reviewer has been asked. Ask again here with ?wait=20, or say what it is for with POST /approvals/ID/reason.',
  allowed: 'Send the request again now.',
  denied: 'A reviewer looked at it and said no. Use something else, or ask your user; do not work around it.',
  expired: 'Nobody answered in time. Sending the request again asks again.',
  withdrawn: 'The policy changed, the session ended, or the page is in the cache by now. Sending the request again is judged by what holds now.',
}

function problem(status: number, code: string, detail: string): string {
  return `${JSON.stringify({ type: `urn:sallyport:error:${code}`, title: STATUS_CODES[status] ?? 'Error', status, detail, code })}\n`
}

/** As whoever asks reaches it: behind a unix socket stands a bridge, whose address only the client knows. */
function addressOf({ headers, socket: { localAddress, localPort = 0 } }: IncomingMessage): string {
  if (localAddress === undefined) return `http://${headers.host ?? 'localhost'}`
  return `http://${uriHost(localAddress)}:${localPort}`
}

function answer(request: IncomingMessage, response: ServerResponse, status: number, type: string, body: string): void {
  if (response.destroyed) return
  response.writeHead(status, ['Content-Type', type, 'Content-Length', String(Buffer.byteLength(body)), 'Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff'])
  response.end(request.method === 'HEAD' ? undefined : body)
}
