// The reviewers' pages: HTML made here, one style sheet, one script, and everything works without the script.
// Registered beside the API on the control listener, whose guards (Host, Origin, Sec-Fetch-Site) come first.
// A page must never run what it shows, and a GET never changes anything.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ReviewFault, reviewFaults } from '../../approvals/review-fault.ts'
import { addApprovalRoutes } from './approval-routes.ts'
import { loadAssets, type Assets } from './assets.ts'
import { addEventRoutes } from './event-routes.ts'
import { FormFields } from './form-fields.ts'
import { addListRoutes } from './list-routes.ts'
import { addLoginRoutes } from './login-routes.ts'
import type { PageDeps } from './page-deps.ts'
import { sendFault, type Door } from './page-door.ts'

/** Longest form, in bytes. */
const maxForm = 16 * 1024

/** CSP level 3 and Trusted Types: own script and style from own files, no markup made by script. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

/** Rejects when the style sheet or the script is not there. */
export async function registerPages(server: FastifyInstance, deps: PageDeps): Promise<void> {
  const assets = await loadAssets()
  // a scope of its own: forms are read here and nowhere else on this listener
  await server.register(async (scope) => {
    const door: Door = { deps, assets }
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string', bodyLimit: maxForm }, async (_request: FastifyRequest, body: string) => new FormFields(body))
    scope.addHook('onRequest', async (request, reply) => leaveSharedHost(door, request, reply))
    scope.addHook('onSend', async (_request, reply) => {
      protect(reply)
    })
    scope.setErrorHandler((error, request, reply) => explain(door, error, request, reply))
    addAssetRoute(scope, assets)
    addLoginRoutes(scope, door)
    addApprovalRoutes(scope, door)
    addListRoutes(scope, door)
    addEventRoutes(scope, door)
  })
}

/** Cookies know no ports (RFC 6265 section 8.5): nobody is signed in under a name that other programs here serve, too. */
function leaveSharedHost({ deps, assets }: Door, request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const [, name = '', port = ''] = /^(.*?)(:\d+)?$/.exec(request.headers.host ?? '') ?? []
  if (deps.ownHost === undefined || !sharedName.test(name)) return undefined
  if (request.method === 'GET' || request.method === 'HEAD') return reply.redirect(`http://${deps.ownHost}${port}${request.url}`, 302)
  return sendFault({ deps, assets }, reply, 403, 'Not here', `These pages are used at http://${deps.ownHost}${port}/, whose cookies no other program of this machine gets.`)
}

const sharedName = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/i

function protect(reply: FastifyReply): void {
  void reply.headers({
    'content-security-policy': contentSecurityPolicy,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    // not `no-referrer`: with it a browser sends forms with `Origin: null`, which the listener refuses
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  })
  if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store')
}

function addAssetRoute(scope: FastifyInstance, assets: Assets): void {
  scope.get('/assets/:name', (request: FastifyRequest<{ Params: { readonly name: string } }>, reply) => {
    const asset = assets.find(request.params.name)
    if (asset === undefined) return reply.code(404).type('text/plain; charset=utf-8').send('no such file\n')
    return reply.header('cache-control', 'public, max-age=31536000, immutable').type(asset.type).send(asset.body)
  })
}

/** What a handler did not expect, as a page. */
function explain(door: Door, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ReviewFault) return sendFault(door, reply, reviewFaults[error.code], 'Not done', error.message)
  const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500
  if (status >= 400 && status < 500) return sendFault(door, reply, status, 'Not understood', 'What was sent is not a form of these pages, or is too long.')
  door.deps.onFault?.(error, request.id)
  return sendFault(door, reply, 500, 'Something failed', `It is not your fault, and nothing is open because of it. The log says more about request ${request.id}.`)
}
