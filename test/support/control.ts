// The control API as a test uses it: over the socket, as whoever runs the proxy, or by a token over TCP.
import http from 'node:http'

export interface ControlAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** parsed JSON; undefined when there was none */
  readonly body: unknown
}

/** As it is on the wire; what tests look at. */
export interface WireApproval {
  readonly id: string
  readonly version: number
  readonly state: string
  readonly kind: string
  readonly session: string
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly method: string | null
  readonly url: string | null
  readonly advisory: boolean
  readonly user_agent: string | null
  readonly stated_reason: string | null
  readonly attempts: number
  readonly waiting: number
  readonly expires_at: string
  readonly decision: { readonly verdict: string; readonly by: string; readonly comment: string | null; readonly grant_id: string | null } | null
}

export interface WireSession {
  readonly id: string
  readonly token: string
  /** a line of Proxy-Authorization, to be put among the fields of a request */
  readonly line: string
  /** its unix socket, where it was asked for; else '' */
  readonly socket: string
}

export type AnswerBody = Readonly<Record<string, unknown>> & { readonly verdict: 'allow' | 'deny' }

export interface CallOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** `where`: path of the socket, or the URL of the TCP listener. */
export class ControlClient {
  readonly #where: string

  constructor(where: string) {
    this.#where = where
  }

  call(method: string, path: string, { body, headers = {} }: CallOptions = {}): Promise<ControlAnswer> {
    const url = this.#where.startsWith('http') ? new URL(this.#where) : undefined
    const to = url === undefined ? { socketPath: this.#where, headers: { host: 'localhost' } } : { host: url.hostname, port: url.port }
    const text = body === undefined ? undefined : JSON.stringify(body)
    const fields = { ...('headers' in to ? to.headers : {}), ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }), ...headers }
    return new Promise((resolve, reject) => {
      const request = http.request({ ...to, method, path, headers: fields, agent: false }, (response) => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (received += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received === '' ? undefined : JSON.parse(received) }))
      })
      request.on('error', reject)
      request.end(text)
    })
  }

  /** Throws unless the call succeeds. */
  async #asked<T>(method: string, path: string, options?: CallOptions): Promise<T> {
    const answer = await this.call(method, path, options)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body as T
  }

  async approvals(query = 'state=pending'): Promise<readonly WireApproval[]> {
    const found: WireApproval[] = []
    let cursor = ''
    for (;;) {
      const page = await this.#asked<{ readonly items: readonly WireApproval[]; readonly next_cursor: string | null }>('GET', `/v1/approvals?${query}&limit=200${cursor}`)
      found.push(...page.items)
      if (page.next_cursor === null) return found
      cursor = `&cursor=${page.next_cursor}`
    }
  }

  approval(id: string): Promise<WireApproval> {
    return this.#asked('GET', `/v1/approvals/${id}`)
  }

  /** Waits for a pending approval of this host that fits: by default one that somebody waits for. */
  async pending(host: string, fits: (approval: WireApproval) => boolean = ({ waiting }) => waiting > 0): Promise<WireApproval> {
    for (;;) {
      const { items } = await this.#asked<{ readonly items: readonly WireApproval[] }>('GET', `/v1/approvals?state=pending&host=${host}`, { headers: { prefer: 'wait=20' } })
      const found = items.find(fits)
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }

  /** The answer to this version, whatever comes of it. */
  answer({ id, version }: Pick<WireApproval, 'id' | 'version'>, body: AnswerBody, headers: Readonly<Record<string, string>> = {}): Promise<ControlAnswer> {
    return this.call('POST', `/v1/approvals/${id}/decision`, { body, headers: { 'if-match': `"${version}"`, ...headers } })
  }

  /** Waits until the host is asked for, answers, and throws unless that was the decision. */
  async decide(host: string, body: AnswerBody, fits?: (approval: WireApproval) => boolean): Promise<WireApproval> {
    const answer = await this.answer(await this.pending(host, fits), body)
    if (answer.status !== 200) throw new Error(`${host}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body as WireApproval
  }

  revoke(grantId: string): Promise<unknown> {
    return this.#asked('POST', `/v1/grants/${grantId}/revoke`, { body: {} })
  }

  async createSession(wanted: Readonly<Record<string, unknown>> = {}): Promise<WireSession> {
    const { session, token, socket_path: socket } = await this.#asked<{ readonly session: { readonly id: string }; readonly token: string; readonly socket_path: string | null }>('POST', '/v1/sessions', { body: { agent: 'tester', ...wanted } })
    const line = `Proxy-Authorization: Basic ${Buffer.from(`${session.id}:${token}`).toString('base64')}\r\n`
    return { id: session.id, token, line, socket: socket ?? '' }
  }

  endSession(id: string): Promise<unknown> {
    return this.#asked('POST', `/v1/sessions/${id}/end`, { body: {} })
  }

  /** The secret of a new token. */
  async createToken(wanted: Readonly<Record<string, unknown>>): Promise<string> {
    return (await this.#asked<{ readonly secret: string }>('POST', '/v1/tokens', { body: { kind: 'person', ...wanted } })).secret
  }
}
