// Every way the control API says no: RFC 9457 documents with a stable code. What went wrong inside the
// process is never told here, only its request id.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ReviewFault, reviewFaults } from '../approvals/review-fault.ts'
import { ProxyError } from '../errors.ts'

/** Code -> HTTP status and title, for faults that the approvals room does not name itself. */
export const controlFaults = {
  ...reviewFaults,
  bad_request: 400,
  unauthenticated: 401,
  agent_credential: 403,
  foreign_origin: 403,
  cross_site: 403,
  method_not_allowed: 405,
  in_progress: 409,
  body_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  misdirected: 421,
  key_reused: 422,
  target_refused: 422,
  version_required: 428,
  rate_limited: 429,
  too_many_streams: 429,
  too_many_waits: 429,
  fields_too_large: 431,
  internal_error: 500,
  policy_unavailable: 503,
  ca_unavailable: 503,
  cache_unavailable: 503,
  search_unavailable: 503,
  closing: 503,
} as const

export type ControlFaultCode = keyof typeof controlFaults

export interface FieldError {
  /** JSON pointer (RFC 6901) into the body; of a query, `/name` */
  readonly pointer: string
  readonly message: string
}

/** A refusal of the control API. `message` is one sentence for the caller. */
export class ControlFault extends Error {
  override readonly name = 'ControlFault'
  readonly code: ControlFaultCode
  readonly errors: readonly FieldError[]
  readonly headers: Readonly<Record<string, string>>
  /** further members of the document, in their wire form */
  readonly members: Readonly<Record<string, unknown>>

  constructor(code: ControlFaultCode, message: string, more: { readonly errors?: readonly FieldError[]; readonly headers?: Readonly<Record<string, string>>; readonly members?: Readonly<Record<string, unknown>> } = {}) {
    super(message)
    this.code = code
    this.errors = more.errors ?? []
    this.headers = more.headers ?? {}
    this.members = more.members ?? {}
  }
}

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly request_id: string
  readonly errors?: readonly FieldError[]
}

export function problemOf(code: ControlFaultCode, detail: string, requestId: string, errors: readonly FieldError[] = []): Problem {
  return {
    type: `urn:sallyport:error:${code}`,
    title: code.replaceAll('_', ' '),
    status: controlFaults[code],
    detail,
    code,
    request_id: requestId,
    ...(errors.length === 0 ? {} : { errors }),
  }
}

export const problemType = 'application/problem+json; charset=utf-8'

/** Answers with the problem that `fault` is. */
export function sendFault(request: FastifyRequest, reply: FastifyReply, fault: ControlFault): FastifyReply {
  const problem = problemOf(fault.code, fault.message, request.id, fault.errors)
  request.faultCode = fault.code
  return reply.code(problem.status).headers({ ...fault.headers }).type(problemType).send({ ...problem, ...fault.members })
}

/** Whatever was thrown, as a refusal; undefined for a fault of our own, which goes to the operator and not to the caller. */
export function faultOf(error: unknown): ControlFault | undefined {
  if (error instanceof ControlFault) return error
  if (error instanceof ReviewFault) return new ControlFault(error.code, error.message)
  if (error instanceof ProxyError) {
    return error.code === 'audit_unavailable' ? new ControlFault('audit_unavailable', 'this cannot be recorded now, so nothing is done') : undefined
  }
  return frameworkFault(error)
}

interface Invalid {
  readonly instancePath?: unknown
  readonly params?: unknown
  readonly message?: unknown
}

function frameworkFault(error: unknown): ControlFault | undefined {
  if (!(error instanceof Error)) return undefined
  if ('validation' in error && Array.isArray(error.validation)) {
    const where = 'validationContext' in error && typeof error.validationContext === 'string' ? error.validationContext : 'request'
    return new ControlFault('invalid', `the ${where === 'querystring' ? 'query' : where} is not what this call takes`, { errors: error.validation.map(fieldError) })
  }
  const status = 'statusCode' in error ? error.statusCode : undefined
  if (status === 413) return new ControlFault('body_too_large', 'the body is larger than this call takes')
  if (status === 414) return new ControlFault('uri_too_long', 'the URL is too long')
  if (status === 415) return new ControlFault('unsupported_media_type', 'the body has to be application/json')
  // texts of the framework name nothing but the request itself
  if (typeof status === 'number' && status >= 400 && status < 500) return new ControlFault('bad_request', 'the request is not valid')
  return undefined
}

function fieldError({ instancePath, params, message }: Invalid): FieldError {
  const base = typeof instancePath === 'string' ? instancePath : ''
  const told = typeof message === 'string' ? message : 'is not valid'
  const extra = memberOf(params, 'additionalProperty')
  if (extra !== undefined) return { pointer: `${base}/${escapePointer(extra)}`, message: 'is not known' }
  const missing = memberOf(params, 'missingProperty')
  if (missing !== undefined) return { pointer: `${base}/${escapePointer(missing)}`, message: 'is missing' }
  return { pointer: base, message: told }
}

function memberOf(params: unknown, name: string): string | undefined {
  if (typeof params !== 'object' || params === null) return undefined
  const value: unknown = new Map(Object.entries(params)).get(name)
  return typeof value === 'string' ? value : undefined
}

function escapePointer(text: string): string {
  return text.replaceAll('~', '~0').replaceAll('/', '~1')
}
