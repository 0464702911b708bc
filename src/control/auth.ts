// Who calls: a token of a person or a program, the cookie that holds one, or whoever may open the socket. An
// agent's own credentials, in whatever form, are never any of these.
import type { Actor } from '../approvals/actor.ts'
import type { ControlDeps } from './deps.ts'
import { ControlFault } from './problem.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined: nobody who is known */
    actor: Actor | undefined
    /** what the actor was known by; undefined for the socket's own */
    secret: string | undefined
    /** for its event: of the client, or `local` */
    clientAddress: string
    /** what the call is about, for its event */
    subjectId: string | undefined
    /** what it asks for that stands out, for its event */
    detail: string | undefined
    /** code of its refusal, for its event */
    faultCode: string | undefined
  }
}

export interface Credentials {
  readonly authorization: string | undefined
  readonly proxyAuthorization: string | undefined
  readonly cookie: string | undefined
}

export interface Known {
  readonly actor: Actor | undefined
  readonly secret: string | undefined
  /** browsers send it unasked */
  readonly isByCookie: boolean
  /** why nobody is known although something was presented */
  readonly fault: ControlFault | undefined
}

interface AuthDeps extends Pick<ControlDeps, 'tokens' | 'sessions' | 'isAgentCredential' | 'instanceId' | 'localUser'> {
  /** a token without its session's id is looked for among all sessions: not for who was refused too often */
  readonly mayLook: () => boolean
}

/** Name of the page's cookie: browsers share cookies between ports, so each instance has its own. */
export function cookieName(instanceId: string): string {
  return `sallyport_${instanceId.toLowerCase().replaceAll(/[^0-9a-f]/g, '').slice(0, 8)}`
}

/** The actor of a request; nobody, when it presents nothing. */
export function authenticate(given: Credentials, isSocket: boolean, deps: AuthDeps): Known {
  const { authorization, proxyAuthorization } = given
  const cookie = cookieOf(given.cookie, cookieName(deps.instanceId))
  if (proxyAuthorization !== undefined && isAgents(proxyAuthorization, deps)) return refused(agentFault())
  if (authorization !== undefined) {
    const secret = /^Bearer +([\w.~+/:-]{1,256}=*)$/i.exec(authorization)?.[1]
    const actor = secret === undefined ? undefined : deps.tokens.authenticate(secret)
    if (actor !== undefined) return { actor, secret, isByCookie: false, fault: undefined }
    return refused(isAgents(authorization, deps) ? agentFault() : unknownFault())
  }
  if (cookie !== undefined) {
    const actor = deps.tokens.authenticate(cookie)
    if (actor !== undefined) return { actor, secret: cookie, isByCookie: true, fault: undefined }
    return refused(isAgentToken(cookie, deps) ? agentFault() : unknownFault())
  }
  return { actor: isSocket ? localAdmin(deps.localUser) : undefined, secret: undefined, isByCookie: false, fault: undefined }
}

/** Whether an actor that was known by `secret` still is, in the same role. */
export function isStillKnown(actor: Actor, secret: string | undefined, deps: Pick<AuthDeps, 'tokens'>): boolean {
  if (secret === undefined) return actor.kind === 'local'
  const now = deps.tokens.authenticate(secret)
  return now !== undefined && now.role === actor.role && now.tokenId === actor.tokenId
}

export function unauthenticated(): ControlFault {
  return new ControlFault('unauthenticated', 'this needs a token: Authorization: Bearer sp_…', { headers: challenge })
}

const challenge = { 'www-authenticate': 'Bearer realm="sallyport"' }

function localAdmin(name: string): Actor {
  return { kind: 'local', name, role: 'admin', teams: [], tokenId: undefined, mintedBy: undefined }
}

function refused(fault: ControlFault): Known {
  return { actor: undefined, secret: undefined, isByCookie: false, fault }
}

function agentFault(): ControlFault {
  return new ControlFault('agent_credential', 'an agent may not use the control API: it follows its own questions on the proxy listener')
}

function unknownFault(): ControlFault {
  return new ControlFault('unauthenticated', 'the token is not known, has expired or was revoked', { headers: challenge })
}

/** Basic as a proxy client sends it, or a session's token as Bearer, with its id or alone. */
function isAgents(field: string, deps: AuthDeps): boolean {
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +(\S{1,1024})$/.exec(field) ?? []
  const text = scheme.toLowerCase() === 'basic' ? Buffer.from(value, 'base64').toString('latin1') : value
  const colon = text.indexOf(':')
  if (colon !== -1 && deps.isAgentCredential(text.slice(0, colon), text.slice(colon + 1))) return true
  return isAgentToken(colon === -1 ? text : text.slice(colon + 1), deps)
}

function isAgentToken(token: string, deps: AuthDeps): boolean {
  if (!/^[\w-]{20,200}$/.test(token)) return false
  return deps.mayLook() && deps.sessions.list().some(({ id }) => deps.isAgentCredential(id, token))
}

function cookieOf(field: string | undefined, name: string): string | undefined {
  for (const part of (field ?? '').split(';')) {
    const [key = '', value] = part.trim().split('=', 2)
    if (key === name && value !== undefined && value !== '') return value
  }
  return undefined
}
