// One POST to a receiver of notifications, over our own agent: direct, never through a proxy of the environment,
// never a redirect, always in bounded time. What it reports holds neither URL nor key: either would be a secret told.
import { createHmac } from 'node:crypto'
import { request as httpRequest, Agent as HttpAgent } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'
import { parseRetryAfter } from '../audit/otlp-sender.ts'
import type { Clock } from '../clock.ts'
import type { Delivery } from './outbox.ts'

export interface WebhookSenderOptions {
  /** the whole URL; nothing is added to it */
  readonly url: string
  /** key of the signature; undefined: not signed, as Slack wants it */
  readonly secret: string | undefined
  readonly clock: Clock
  /** from the connection to the head of the answer, `ms` */
  readonly timeoutMs: number
}

export interface WebhookSender {
  /** Posts JSON. Never rejects; `stopped` when it was closed meanwhile. */
  send(body: string): Promise<Delivery>
  /** Ends what is under way. */
  close(): void
}

export const signatureField = 'x-sallyport-signature'

/** `t=SECONDS,v1=HEX`: HMAC-SHA256 over the time, a full stop and the body, so that neither can be changed alone. */
export function signatureOf(secret: string, unixSeconds: number, body: string): string {
  return `t=${unixSeconds},v1=${createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex')}`
}

export function createWebhookSender({ url: written, secret, clock, timeoutMs }: WebhookSenderOptions): WebhookSender {
  const url = new URL(written)
  const isTls = url.protocol === 'https:'
  const agent = isTls ? new HttpsAgent({ keepAlive: false, rejectUnauthorized: true }) : new HttpAgent({ keepAlive: false })
  const request = isTls ? httpsRequest : httpRequest
  const closing = new AbortController()
  return {
    send: (body) =>
      new Promise((resolve) => {
        const headers = {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'sallyport',
          // each try is signed anew: a receiver may refuse what is minutes old
          ...(secret === undefined ? {} : { [signatureField]: signatureOf(secret, Math.floor(clock.now() / 1000), body) }),
        }
        const broken = (error: Error): void => {
          resolve(closing.signal.aborted ? { kind: 'stopped' } : { kind: 'failed', reason: reasonOf(error, timeoutMs), retryAfterMs: undefined })
        }
        const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)])
        const message = request(url, { method: 'POST', agent, headers, signal }, (response) => {
          const status = response.statusCode ?? 0
          if (status >= 200 && status < 300) resolve({ kind: 'delivered' })
          else resolve({ kind: 'failed', reason: `status ${status}`, retryAfterMs: parseRetryAfter(response.headers['retry-after']) })
          // of the answer only its head counts; the rest is let pass until the time is over
          response.on('error', broken)
          response.resume()
        })
        message.on('error', broken)
        message.end(body)
      }),
    close: () => {
      closing.abort()
      agent.destroy()
    },
  }
}

/** What went wrong in a word; messages of node's may quote what they are about. */
function reasonOf(error: Error, timeoutMs: number): string {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return `no answer in ${timeoutMs} ms`
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
