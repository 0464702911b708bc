// Sessions, and the tokens of people and programs. A launcher creates sessions for its own owner only. A
// secret is in the answer that makes it, and nowhere else.
import type { Actor, NewControlToken } from '../approvals/actor.ts'
import { parseDuration } from '../approvals/duration.ts'
import type { Hold, Session } from '../approvals/session.ts'
import { ProxyError } from '../errors.ts'
import type { ControlContext } from './context.ts'
import { may } from './permissions.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'
import { describe, emptyBody, list, named, object, orNull, sessionBody, string, tokenBody } from './schemas.ts'
import { sessionJson, tokenJson } from './wire.ts'

interface SessionBody {
  readonly agent: string
  readonly owner?: string
  readonly team?: string
  readonly hold?: string
  readonly unattended?: boolean
  readonly ttl?: string
  readonly trusts_ca?: boolean
  readonly web_fetch?: boolean
  readonly record?: boolean
  readonly socket?: boolean
  readonly isolated?: boolean
}

interface TokenBody extends Pick<NewControlToken, 'kind' | 'name' | 'role'> {
  readonly teams?: readonly string[]
  readonly ttl?: string
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const maxHoldMs = 600_000
const maxTtlMs = 366 * dayMs
const maxRecordMs = dayMs
const tokenTtlMs = 30 * dayMs

export function sessionRoutes(context: ControlContext): readonly Route[] {
  const { sessions, sockets, keepOut, refused, proxyUrl, cache } = context.deps
  const shown = (session: Session) => sessionJson(session, refused(session.id))
  const listRoute: Route = {
    method: 'GET',
    path: '/v1/sessions',
    name: 'listSessions',
    summary: 'The sessions that the caller may see, newest first, ended ones of the last day included.',
    needs: ['read_sessions'],
    answers: { 200: object({ items: list(named.Session) }) },
    handle: async ({ actor }) => ({ body: { items: sessions.list().filter((session) => maySee(session, actor)).map(shown) } }),
  }
  const createRoute: Route<SessionBody> = {
    method: 'POST',
    path: '/v1/sessions',
    name: 'createSession',
    summary: 'Start a session. `proxy_url` holds its token, which is told this once: a replay has null there.',
    needs: ['launch'],
    headers: ['Idempotency-Key'],
    body: sessionBody,
    answers: {
      201: object({
        session: named.Session,
        token: orNull(string),
        proxy_url: orNull(string),
        socket_path: describe(orNull(string), 'With `socket`: where it is reached, on the machine of the proxy'),
        trusted_pem: describe(orNull(string), 'With `trusts_ca`: the certificates that its clients are to trust, PEM'),
        keep_out: describe(list(string), 'With `socket`: paths on that machine that an isolated agent must not get to see; else empty'),
      }),
    },
    faults: ['not_permitted', 'scope_not_allowed', 'audit_unavailable', 'ca_unavailable'],
    keep: (body) => ({ ...body, token: null, proxy_url: null }),
    handle: async (call) => {
      const { body, actor } = call
      const owner = ownerOf(body, actor)
      checkTeam(body, actor)
      const { web_fetch: webFetch = false, record = false, trusts_ca: trustsCa = webFetch || record, socket: hasSocket = false, isolated: isIsolated = false } = body
      if (isIsolated && !hasSocket) throw wrongBody('/isolated', 'is said of what connects to `socket`: ask for both')
      if (webFetch && !trustsCa) throw wrongBody('/trusts_ca', 'is needed for `web_fetch`: what is read inside https is seen nowhere else')
      if (record) checkRecording(body, actor, { trustsCa, hasCache: cache !== undefined })
      if (hasSocket && !sockets.isPossible) throw wrongBody('/socket', 'cannot be opened: the path of the data folder of the proxy is too long for sockets')
      const trustedPem = trustsCa ? await trustedOf(context) : null
      const { session, token } = await sessions.create({
        agent: body.agent,
        owner,
        team: body.team,
        hold: holdOf(body.hold),
        unattended: body.unattended ?? false,
        ttlMs: body.ttl === undefined ? undefined : durationOf(body.ttl, '/ttl', record ? maxRecordMs : maxTtlMs),
        trustsCa,
        webFetch,
        record,
        hasSocket,
        isIsolated,
      }, actor.name)
      call.request.subjectId = session.id
      const socketPath = hasSocket ? await openSocket(context, session, actor) : null
      return { status: 201, body: { session: shown(session), token, proxy_url: withCredentials(proxyUrl(), session.id, token), socket_path: socketPath, trusted_pem: trustedPem, keep_out: hasSocket ? keepOut() : [] } }
    },
  }
  const endRoute: Route = {
    method: 'POST',
    path: '/v1/sessions/{id}/end',
    name: 'endSession',
    summary: 'End a session: its credentials are refused, its questions withdrawn, its grants and tunnels closed.',
    needs: ['launch'],
    headers: ['Idempotency-Key'],
    body: emptyBody,
    answers: { 200: 'Session' },
    faults: ['not_found', 'audit_unavailable'],
    handle: async ({ id, actor }) => {
      const session = sessions.get(id)
      const isOwn = session !== undefined && (may(actor, 'administer') || session.principal.owner === actor.name)
      if (!isOwn || !(await sessions.end(id, actor.name))) throw new ControlFault('not_found', 'there is no such session')
      return { body: shown(sessions.get(id) ?? session) }
    },
  }
  return [listRoute, createRoute, endRoute]
}

/** Before there is a session whose questions could not be held inside TLS. */
async function trustedOf({ deps }: ControlContext): Promise<string> {
  try {
    return await deps.trustedPem()
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new ControlFault('ca_unavailable', `the root cannot be used: ${error.detail}`, { members: { looks_inside: deps.policy.looksInside() } })
  }
}

export function tokenRoutes({ deps: { tokens } }: ControlContext): readonly Route[] {
  const listRoute: Route = {
    method: 'GET',
    path: '/v1/tokens',
    name: 'listTokens',
    summary: 'Tokens of people and programs, without their secrets.',
    needs: ['administer'],
    answers: { 200: object({ items: list(named.Token) }) },
    handle: async () => ({ body: { items: tokens.list().map(tokenJson) } }),
  }
  const createRoute: Route<TokenBody> = {
    method: 'POST',
    path: '/v1/tokens',
    name: 'createToken',
    summary: 'Make a token. Its secret is told this once: a replay has null there.',
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: tokenBody,
    answers: { 201: object({ token: named.Token, secret: orNull(string) }) },
    faults: ['audit_unavailable'],
    keep: (body) => ({ ...body, secret: null }),
    handle: async (call: Call<TokenBody>): Promise<Answer> => {
      const { kind, name, role, teams = [], ttl } = call.body
      const { token, secret } = tokens.create({ kind, name, role, teams, ttlMs: ttl === undefined ? tokenTtlMs : durationOf(ttl, '/ttl', maxTtlMs) }, call.actor)
      call.request.subjectId = token.id
      return { status: 201, body: { token: tokenJson(token), secret } }
    },
  }
  const revokeRoute: Route = {
    method: 'POST',
    path: '/v1/tokens/{id}/revoke',
    name: 'revokeToken',
    summary: 'Revoke a token. Streams that it opened end.',
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: emptyBody,
    answers: { 200: 'Token' },
    faults: ['not_found', 'audit_unavailable'],
    handle: async ({ id }) => {
      const isRevoked = tokens.revoke(id)
      const token = tokens.list().find((each) => each.id === id)
      if (!isRevoked || token === undefined) throw new ControlFault('not_found', 'there is no such token in force')
      return { body: tokenJson(token) }
    },
  }
  return [listRoute, createRoute, revokeRoute]
}

/** An admin sees all; a launcher its own; everyone else those of their teams, all without any, and their own. */
function maySee({ principal }: Session, actor: Actor): boolean {
  if (may(actor, 'administer') || principal.owner === actor.name) return true
  if (!may(actor, 'read')) return false
  return actor.teams.length === 0 || (principal.team !== undefined && actor.teams.includes(principal.team))
}

/** An admin's session has the owner it says, or none: then nobody is kept from answering for it. */
function ownerOf({ owner }: SessionBody, actor: Actor): string | undefined {
  if (may(actor, 'administer')) return owner
  if (owner === undefined || owner === actor.name) return actor.name
  throw new ControlFault('scope_not_allowed', 'this token creates sessions for its own owner only')
}

/** A session has the rules and grants of its team: who starts agents for some teams starts none for others. */
function checkTeam({ team }: SessionBody, actor: Actor): void {
  if (team === undefined || may(actor, 'administer') || actor.teams.length === 0 || actor.teams.includes(team)) return
  throw new ControlFault('scope_not_allowed', 'this token creates sessions for its own teams only')
}

/** It fills what agents only read, so that it is an admin's, and short. */
function checkRecording({ ttl, web_fetch: webFetch = false }: SessionBody, actor: Actor, { trustsCa, hasCache }: { readonly trustsCa: boolean; readonly hasCache: boolean }): void {
  if (!may(actor, 'administer')) throw new ControlFault('not_permitted', 'only an admin makes a session that records')
  if (!hasCache) throw wrongBody('/record', 'needs the web cache, which process settings switch off (`cache.enabled`)')
  if (ttl === undefined) throw wrongBody('/ttl', `is needed for \`record\`: at most ${maxRecordMs / hourMs} hours`)
  if (webFetch) throw wrongBody('/web_fetch', 'is not for a session that records: it reads from the cache, and what is kept is what is read live')
  if (!trustsCa) throw wrongBody('/trusts_ca', 'is needed for `record`: what is read inside https is seen nowhere else')
}

/** A session that cannot be reached as it was asked for is none. */
async function openSocket({ deps: { sessions, sockets } }: ControlContext, session: Session, actor: Actor): Promise<string> {
  try {
    return await sockets.open(session)
  } catch (error) {
    await sessions.end(session.id, actor.name)
    throw error
  }
}

function wrongBody(pointer: string, message: string): ControlFault {
  return new ControlFault('invalid', 'the body is not what this call takes', { errors: [{ pointer, message }] })
}

function holdOf(hold: string | undefined): Hold {
  return hold === undefined || hold === 'auto' ? 'auto' : durationOf(hold, '/hold', maxHoldMs)
}

function durationOf(text: string, pointer: string, maxMs: number): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms <= maxMs) return ms
  const most = maxMs < dayMs ? `${maxMs / 60_000} minutes` : maxMs === dayMs ? '24 hours' : `${maxMs / dayMs} days`
  throw wrongBody(pointer, `is longer than ${most}`)
}

function withCredentials(url: string, id: string, token: string): string {
  return url.replace('://', `://${id}:${token}@`)
}
