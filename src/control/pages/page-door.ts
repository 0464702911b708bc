// The door that every page is behind: who is signed in, may the role open this, did our own form send this.
// A handler runs only when all of it holds. GET never changes anything; POST answers with a page or a 303.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '../../approvals/actor.ts'
import type { Assets } from './assets.ts'
import { readCookie } from './cookie.ts'
import { FormFields, isSealed, sealOf } from './form-fields.ts'
import { layout, stampOf, type Page, type View } from './layout.ts'
import { arrivalPage, faultPage } from './login-page.ts'
import type { PageDeps } from './page-deps.ts'
import { mayOpen, type Place } from './permissions.ts'

export type PageRequest = FastifyRequest<{
  Params: { readonly id?: string }
  Querystring: Readonly<Record<string, string | readonly string[] | undefined>>
}>

export interface Visit {
  readonly view: View
  readonly request: PageRequest
  readonly reply: FastifyReply
  /** value of the cookie */
  readonly secret: string
  /** the path's `:id`; empty where there is none */
  readonly id: string
  /** empty for a GET */
  readonly form: FormFields
}

export interface Door {
  readonly deps: PageDeps
  readonly assets: Assets
}

type Handler = (visit: Visit) => FastifyReply | Promise<FastifyReply>

/** A page to look at. */
export function look(scope: FastifyInstance, door: Door, path: string, place: Place | undefined, handler: Handler): void {
  scope.get(path, (request: PageRequest, reply) => enter(door, request, reply, place, handler))
}

/** A form that changes something. */
export function act(scope: FastifyInstance, door: Door, path: string, place: Place | undefined, handler: Handler): void {
  scope.post(path, (request: PageRequest, reply) => enter(door, request, reply, place, handler))
}

export function send({ view, reply }: Visit, page: Page, status = 200): FastifyReply {
  const stamp = stampOf(page)
  if (stamp !== '') void reply.header('etag', `"${stamp}"`)
  return sendHtml(reply, status, layout(view, page))
}

export function sendHtml(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(text)
}

/** One sentence with its status. */
export function sendFault({ assets, deps }: Pick<Door, 'assets' | 'deps'>, reply: FastifyReply, status: number, title: string, text: string): FastifyReply {
  return sendHtml(reply, status, faultPage({ assets, nowMs: deps.clock.now() }, title, text))
}

async function enter(door: Door, request: PageRequest, reply: FastifyReply, place: Place | undefined, handler: Handler): Promise<FastifyReply> {
  const { deps, assets } = door
  const secret = readCookie(request.headers.cookie, deps.cookieName)
  const actor = secret === undefined ? undefined : deps.tokens.authenticate(secret)
  if (secret === undefined || actor === undefined) return turnAway(door, request, reply)
  request.actor = actor
  request.subjectId = request.params.id
  const nowMs = deps.clock.now()
  const csrf = sealOf(deps.csrfKey, 'form', secret)
  const form = request.body instanceof FormFields ? request.body : new FormFields('')
  if (request.method === 'POST' && !isSealed(csrf, form.get('csrf'))) {
    return sendFault(door, reply, 403, 'Not from this page', 'The form was not made by a page that you are signed in to, so nothing has changed. Open the page again.')
  }
  if (place !== undefined && !mayOpen(actor, place)) return refuseRole(door, reply, actor)
  return handler({ view: { actor, nowMs, csrf, assets }, request, reply, secret, id: request.params.id ?? '', form })
}

export function refuseRole(door: Pick<Door, 'assets' | 'deps'>, reply: FastifyReply, { role }: Actor): FastifyReply {
  return sendFault(door, reply, 403, 'Not for your role', `Your role, ${role}, may not do this. Nothing has changed.`)
}

function turnAway(door: Door, request: PageRequest, reply: FastifyReply): FastifyReply {
  if (request.method === 'POST') {
    return sendFault(door, reply, 401, 'Signed out', 'You are not signed in any more, so nothing has changed. Sign in, and open the page again.')
  }
  const arrives = request.headers.cookie === undefined && request.headers['sec-fetch-site'] === 'cross-site' && request.headers['sec-fetch-dest'] === 'document'
  if (arrives) return sendHtml(reply, 200, arrivalPage({ assets: door.assets, nowMs: door.deps.clock.now() }))
  return reply.redirect(`/login?next=${encodeURIComponent(ownPath(request.url))}`, 303)
}

/** The path of a page of ours; `/` for everything else, so that signing in leads nowhere else. */
export function ownPath(path: string): string {
  return /^\/(?:approvals\/[0-9A-Za-z]{1,40}|grants|sessions|proposals|events)?$/.test(path) ? path : '/'
}
