// A control listener that keeps the contract in memory: versions and If-Match, four eyes, tokens, sessions,
// grants, long polling and the stream. It judges nothing beyond that.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

type Json = Record<string, unknown>

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Json | undefined
}

export interface FakeControl {
  /** the data folder that holds its socket */
  readonly data: string
  /** http://127.0.0.1:PORT, when it listens there */
  readonly url: string
  readonly approvals: Map<string, Json>
  readonly grants: Json[]
  /** every call, in order */
  readonly seen: Seen[]
  /** what cards say beside the approval, by id */
  readonly cards: Map<string, Json>
  /** changes an approval as another reviewer would, and tells the streams */
  change(id: string, members: Json): void
  /** tells the streams and the long polls */
  changed(): void
  /** resolves when this many streams are open */
  streaming(count: number): Promise<void>
  close(): Promise<void>
}

export interface FakeOptions {
  /** secrets that are accepted; without it everyone is */
  readonly tokens?: readonly string[]
  readonly hasStream?: boolean
  readonly onPort?: boolean
}

export const nowMs = Date.parse('2027-03-01T12:00:00.000Z')
const at = (agoMs: number): string => new Date(nowMs - agoMs).toISOString()

export const ids = ['01JQ0000000000000000000AAA', '01JQ0000000000000000000BBB', '01JQ1111111111111111111CCC'] as const

export function approval(id: string, host: string, more: Json = {}): Json {
  return {
    id, version: 1, state: 'pending', kind: 'host', session: 's1a2b3c4d5e6f', agent: 'codex', owner: 'ana', team: 'web', scheme: 'https', host, port: 443,
    method: null, url: null, upgrade: null, reason: `no rule names ${host}`, rule: { id: 'unknown', pattern: '', file: 'policies/10-default.toml', line: 9 }, is_review: false,
    stated_reason: null, user_agent: 'curl/8.5.0', client_address: '127.0.0.1', advisory: false, attempts: 3, waiting: 1,
    first_seen: at(120_000), last_seen: at(3000), expires_at: at(-480_000), snoozed_until: null, first_yes: null, decision: null, ...more,
  }
}

const plainCard: Json = { unicode_host: null, registrable_domain: null, hints: [], nearest_rules: [], others: [], similar: [], patterns: [], rules: { four_eyes: false, comment_for: [], owner_may: [] } }

export async function fakeControl(t: Test, approvals: readonly Json[] = [], options: FakeOptions = {}): Promise<FakeControl> {
  const data = mkdtempSync(join(tmpdir(), 'sallyport-fake-'))
  const state = new State(approvals, options)
  const server = createServer((request, response) => {
    void state.take(request, response)
  })
  if (options.onPort === true) server.listen(0, '127.0.0.1')
  else server.listen(join(data, 'control.sock'))
  await once(server, 'listening')
  const address = server.address()
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => { server.close(resolve) })
  }
  t.teardown(async () => {
    await close()
    rmSync(data, { recursive: true, force: true })
  })
  return {
    data,
    url: typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '',
    approvals: state.approvals,
    grants: state.grants,
    seen: state.seen,
    cards: state.cards,
    change: (id, members) => {
      const before = state.approvals.get(id) ?? {}
      state.approvals.set(id, { ...before, ...members, version: Number(before['version']) + 1 })
      state.changed()
    },
    changed: () => state.changed(),
    streaming: (count) => state.streaming(count),
    close,
  }
}

class State {
  readonly approvals: Map<string, Json>
  readonly grants: Json[] = []
  readonly seen: Seen[] = []
  readonly cards = new Map<string, Json>()
  readonly #options: FakeOptions
  readonly #streams = new Set<ServerResponse>()
  #waiters: (() => void)[] = []
  #opened: (() => void)[] = []

  constructor(approvals: readonly Json[], options: FakeOptions) {
    this.approvals = new Map(approvals.map((each) => [String(each['id']), each]))
    this.#options = options
  }

  changed(): void {
    for (const stream of this.#streams) stream.write('event: approval\ndata: {"kind":"approval","id":"x"}\n\n')
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  async streaming(count: number): Promise<void> {
    while (this.#streams.size < count) await new Promise<void>((resolve) => { this.#opened.push(resolve) })
  }

  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    const method = request.method ?? ''
    const url = new URL(request.url ?? '/', 'http://x')
    this.seen.push({ method, path: url.pathname + url.search, headers: request.headers, body })
    const refusal = this.#refusalOf(request)
    if (refusal !== undefined) return problem(response, ...refusal)
    const [, , room = '', id, action] = url.pathname.split('/')
    if (method === 'GET' && room === 'approvals' && id === 'stream') return this.#stream(response)
    if (method === 'GET' && room === 'approvals' && id === undefined) return this.#list(request, response, url.searchParams)
    if (method === 'GET' && room === 'approvals' && id !== undefined) return this.#card(request, response, id)
    if (room === 'approvals' && id !== undefined) return this.#act(request, response, id, action ?? '', body ?? {})
    if (room === 'grants' && method === 'GET') return send(response, 200, { items: this.grants })
    if (room === 'grants') return this.#revoke(response, id ?? '')
    if (room === 'sessions') return sessions(response, method, id, body ?? {})
    if (room === 'tokens') return tokens(response, method, id, body ?? {})
    problem(response, 404, 'not_found', 'there is no such thing')
  }

  #refusalOf({ headers: { authorization } }: IncomingMessage): [number, string, string] | undefined {
    const { tokens: known } = this.#options
    const token = authorization?.replace('Bearer ', '')
    if (token === 'agent') return [403, 'agent_credential', 'these are the credentials of an agent']
    if (token === 'viewer') return [403, 'not_permitted', 'the role viewer may not do this']
    return known === undefined || (token !== undefined && known.includes(token)) ? undefined : [401, 'unauthenticated', 'no valid token']
  }

  #stream(response: ServerResponse): void {
    if (this.#options.hasStream === false) return problem(response, 404, 'not_found', 'there is no such question')
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 2000\n\n')
    this.#streams.add(response)
    response.on('close', () => this.#streams.delete(response))
    for (const opened of this.#opened.splice(0)) opened()
  }

  async #list(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const read = (): Json[] => {
      const names = ['state', 'host', 'session'].filter((name) => query.has(name))
      return [...this.approvals.values()].filter((each) => names.every((name) => each[name] === query.get(name)))
    }
    if (read().length === 0 && request.headers.prefer !== undefined) await this.#change()
    const from = Number(query.get('cursor') ?? '0')
    const to = from + Number(query.get('limit') ?? '50')
    send(response, 200, { items: read().slice(from, to), next_cursor: to < read().length ? String(to) : null })
  }

  #change(): Promise<void> {
    return new Promise((resolve) => { this.#waiters.push(resolve) })
  }

  async #card(request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
    const read = (): Json | undefined => this.approvals.get(id)
    const match = request.headers['if-none-match']
    if (request.headers.prefer !== undefined && match === `"${String(read()?.['version'])}"`) await this.#change()
    const found = read()
    if (found === undefined) return problem(response, 404, 'not_found', 'there is no such question')
    if (match === `"${String(found['version'])}"`) return void response.writeHead(304).end()
    send(response, 200, { ...found, ...plainCard, ...this.cards.get(id) })
  }

  #act(request: IncomingMessage, response: ServerResponse, id: string, action: string, body: Json): void {
    const found = this.approvals.get(id)
    const match = request.headers['if-match']
    if (found === undefined) return problem(response, 404, 'not_found', 'there is no such question')
    if (match === undefined) return problem(response, 428, 'version_required', 'If-Match is needed')
    if (found['state'] !== 'pending') return problem(response, 409, 'already_decided', 'it was decided already', { approval: found })
    if (match !== `"${String(found['version'])}"`) return problem(response, 412, 'version_conflict', 'the question changed since you looked at it', { approval: found })
    const version = Number(found['version']) + 1
    const changed = action === 'snooze' ? { ...found, version, snoozed_until: at(-900_000) } : this.#decided({ ...found, version }, body)
    this.approvals.set(id, changed)
    send(response, 200, changed)
    this.changed()
  }

  #decided(found: Json, body: Json): Json {
    const isFirst = found['four_eyes'] === true && body['verdict'] === 'allow' && found['first_yes'] === null
    if (isFirst) return { ...found, first_yes: { by: 'bo', at: at(0) } }
    const isFetched = body['fetch'] === true
    const decision = { verdict: body['verdict'], term: body['term'] ?? 'once', by: 'bo', second_by: null, at: at(0), comment: body['comment'] ?? null, grant_id: isFetched ? null : '01JG0000000000000000000AAA', is_fetched: isFetched, fetch_note: null }
    return { ...found, state: body['verdict'] === 'allow' ? 'allowed' : 'denied', decision }
  }

  #revoke(response: ServerResponse, id: string): void {
    const found = this.grants.find((each) => each['id'] === id)
    if (found === undefined) return problem(response, 404, 'not_found', 'there is no such grant')
    send(response, 200, found)
  }
}

export function session(more: Json = {}): Json {
  return { id: 's1a2b3c4d5e6f', agent: 'codex', owner: 'ana', team: null, hold: 'auto', unattended: false, trusts_ca: false, web_fetch: false, record: false, socket: false, isolated: false, refused: 0, created_at: at(60_000), created_by: 'ana', expires_at: null, ended_at: null, last_seen: null, ...more }
}

function sessions(response: ServerResponse, method: string, id: string | undefined, body: Json): void {
  if (method === 'GET') return send(response, 200, { items: [session(), session({ id: 's9', hold: 4, record: true, ended_at: at(5000), last_seen: at(9000), team: 'web\u202e' })] })
  if (id !== undefined) return send(response, 200, session({ id, ended_at: at(0) }))
  send(response, 201, { session: session(body), token: 'T0ken-secret_x', proxy_url: 'http://s1a2b3c4d5e6f:T0ken-secret_x@127.0.0.1:3128', socket_path: null, keep_out: [] })
}

function tokens(response: ServerResponse, method: string, id: string | undefined, body: Json): void {
  const token = { id: '01JT0000000000000000000AAA', kind: 'person', name: 'ana', role: 'reviewer', teams: [], created_at: at(1000), created_by: 'root', expires_at: at(-86_400_000), revoked_at: null, last_used: null }
  if (method === 'GET') return send(response, 200, { items: [token] })
  if (id !== undefined) return send(response, 200, { ...token, id, revoked_at: at(0) })
  send(response, 201, { token: { ...token, ...body }, secret: 'sp_made' })
}

function send(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function problem(response: ServerResponse, status: number, code: string, detail: string, more: Json = {}): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ type: `urn:sallyport:error:${code}`, title: code, status, detail, code, request_id: 'r-1', ...more }))
}

async function readBody(request: IncomingMessage): Promise<Json | undefined> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text === '' ? undefined : JSON.parse(text)
}
