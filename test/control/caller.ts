// A caller of the control API, by TCP or by the socket: one request, the whole answer.
import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface Asked {
  readonly method?: string
  readonly token?: string
  readonly headers?: OutgoingHttpHeaders
  /** JSON, unless it is a string: that is sent as it is */
  readonly body?: unknown
  readonly ca?: string
  readonly signal?: AbortSignal
}

export interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** the answer as JSON; undefined when it is none */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

/** `base`: a URL, or the path of a socket. */
export function call(base: string, path: string, asked: Asked = {}): Promise<Got> {
  const { method = 'GET', token, body, ca, signal } = asked
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    ...asked.headers,
  }
  const common = { method, headers, agent: false, path, ...(signal === undefined ? {} : { signal }) }
  return new Promise((resolve, reject) => {
    const sent = base.startsWith('/')
      ? httpRequest({ ...common, socketPath: base })
      : (base.startsWith('https:') ? httpsRequest : httpRequest)({ ...common, ...hostOf(base), ...(ca === undefined ? {} : { ca }) })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let received = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => { received += chunk })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: received, json: jsonOf(received) }))
    })
    sent.end(text)
  })
}

function hostOf(base: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(base)
  return { host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port) }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
