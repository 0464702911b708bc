// Signing in and out. A wrong token costs the same work as a right one, and the answer tells nothing of it.
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { cookieField, fitsCookie, readCookie } from './cookie.ts'
import { FormFields, isSealed, sealOf } from './form-fields.ts'
import { loginPage } from './login-page.ts'
import { act, ownPath, sendHtml, type Door, type PageRequest } from './page-door.ts'

export function addLoginRoutes(scope: FastifyInstance, door: Door): void {
  const { deps } = door
  scope.get('/login', (request: PageRequest, reply) => {
    const { next } = request.query
    return showLogin(door, request, reply, { status: 200, next: typeof next === 'string' ? next : '/', fault: undefined })
  })
  scope.post('/login', (request: PageRequest, reply) => {
    const form = request.body instanceof FormFields ? request.body : new FormFields('')
    const next = ownPath(form.get('next'))
    const visitor = readCookie(request.headers.cookie, visitorCookie(deps.cookieName))
    if (visitor === undefined || !isSealed(sealOf(deps.csrfKey, 'form', visitor), form.get('csrf'))) {
      return showLogin(door, request, reply, { status: 403, next, fault: 'The form was too old, or this browser keeps no cookies. Try again.' })
    }
    const token = form.get('token').trim()
    const actor = deps.tokens.authenticate(token)
    if (actor === undefined || !fitsCookie(token)) {
      request.isRefused = true
      return showLogin(door, request, reply, { status: 401, next, fault: 'That token is not in force: it is mistyped, has expired or was revoked.' })
    }
    // whoever signed in is on record as the caller
    request.actor = actor
    return reply.header('set-cookie', [cookieField(deps.cookieName, token, deps.isSecure), cookieField(visitorCookie(deps.cookieName), '', deps.isSecure)]).redirect(next, 303)
  })
  act(scope, door, '/logout', undefined, ({ reply }) => reply.header('set-cookie', cookieField(deps.cookieName, '', deps.isSecure)).redirect('/login', 303))
}

interface Shown {
  readonly status: number
  readonly next: string
  readonly fault: string | undefined
}

/** The sign-in form is bound to this browser by a cookie of its own, so that nobody is signed in as somebody else. */
function showLogin({ deps, assets }: Door, request: PageRequest, reply: FastifyReply, { status, next, fault }: Shown): FastifyReply {
  const name = visitorCookie(deps.cookieName)
  const known = readCookie(request.headers.cookie, name)
  const visitor = known !== undefined && fitsCookie(known) ? known : randomBytes(24).toString('base64url')
  const csrf = sealOf(deps.csrfKey, 'form', visitor)
  if (visitor !== known) void reply.header('set-cookie', cookieField(name, visitor, deps.isSecure))
  return sendHtml(reply, status, loginPage({ assets, nowMs: deps.clock.now(), csrf, next: ownPath(next), fault }))
}

function visitorCookie(cookieName: string): string {
  return `${cookieName}_visitor`
}
