// One POST to a collector, over our own agent: never through a proxy of the environment, never a
// redirect, always in bounded time. It knows nothing of records; a broken exchange is an outcome here.
import { request as httpRequest, Agent as HttpAgent } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'
import type { DestinationTls } from './destination.ts'
import { readTls } from './destination-tls.ts'

export type SendOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfterMs: number | undefined; readonly contentType: string; readonly body: Uint8Array }
  /** `wasReached`: a connection stood, so the request itself may be what broke it */
  | { readonly kind: 'broken'; readonly reason: string; readonly wasReached: boolean }

export interface SenderOptions {
  /** the whole URL, path included; nothing is added to it */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string
  readonly contentEncoding: 'gzip' | undefined
  readonly tls: DestinationTls
  /** from the first byte out to the last byte in */
  readonly timeoutMs: number
}

export interface Sender {
  send(body: Uint8Array): Promise<SendOutcome>
  close(): void
}

const maxAnswerBytes = 64 * 1024

/** A sender for one endpoint; it keeps one connection open. */
export function createSender(options: SenderOptions): Sender {
  const url = new URL(options.endpoint)
  const isTls = url.protocol === 'https:'
  const request = isTls ? httpsRequest : httpRequest
  const fields = { ...options.headers, 'content-type': options.contentType, ...(options.contentEncoding === undefined ? {} : { 'content-encoding': options.contentEncoding }), 'user-agent': 'sallyport' }
  let agent: HttpAgent | undefined
  const forget = (): void => {
    agent?.destroy()
    agent = undefined
  }
  return {
    send: async (body) => {
      try {
        agent ??= isTls ? new HttpsAgent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: true, ...(await readTls(options.tls)) }) : new HttpAgent({ keepAlive: true, maxSockets: 1 })
      } catch (error) {
        return { kind: 'broken', reason: error instanceof Error ? error.message : String(error), wasReached: false }
      }
      const outcome = await post(request, url, { method: 'POST', agent, headers: { ...fields, 'content-length': body.length } }, body, options.timeoutMs)
      // certificates may have been renewed on either side: the next connection reads them again
      if (outcome.kind === 'broken') forget()
      return outcome
    },
    close: forget,
  }
}

function post(request: typeof httpRequest, url: URL, options: RequestOptions, body: Uint8Array, timeoutMs: number): Promise<SendOutcome> {
  return new Promise((resolve) => {
    const broken = (error: Error): void => {
      const isTimeout = error.name === 'AbortError' || error.name === 'TimeoutError'
      const wasReached = !('syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo'))
      resolve({ kind: 'broken', reason: isTimeout ? `no answer in ${timeoutMs} ms` : error.message, wasReached })
    }
    const message = request(url, { ...options, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      readAnswer(response).then(resolve, broken)
    })
    message.on('error', broken)
    message.end(body)
  })
}

async function readAnswer(response: IncomingMessage): Promise<SendOutcome> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue
    length += chunk.length
    if (length <= maxAnswerBytes) chunks.push(chunk)
  }
  return {
    kind: 'answered',
    status: response.statusCode ?? 0,
    retryAfterMs: parseRetryAfter(response.headers['retry-after']),
    contentType: response.headers['content-type'] ?? '',
    body: Buffer.concat(chunks),
  }
}

/** RFC 9110 section 10.2.3: seconds or a date; `ms` from now. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000
  // Date.parse alone would read `-1` as a year
  const date = /^[A-Z][a-z]+,/.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}
