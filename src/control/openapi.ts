// The OpenAPI 3.1 document of the API, made from the routes themselves: what is not in a route cannot be in it,
// and docs/openapi.json is held to it by a test. Pure.
import { rolePermissions } from './permissions.ts'
import { controlFaults } from './problem.ts'
import type { Conditional, Route } from './route.ts'
import { identifier, named, type Schema, type SchemaName } from './schemas.ts'

const headerText: Readonly<Record<Conditional, string>> = {
  'If-Match': 'The ETag of what this is about',
  'If-None-Match': 'The ETag that the caller has: 304 while it is still right',
  'Idempotency-Key': '1 to 128 visible ASCII characters; the answer is kept for 24 h, a replay does nothing again',
  Prefer: '`wait=N`: wait up to N seconds, 30 at most, for a change',
  'Last-Event-ID': 'Of an event stream: go on after this event',
}

const names = new Map<unknown, string>(Object.entries(named).map(([name, schema]) => [schema, name]))

/** The document, with its members in the order of the routes. */
export function openApiOf(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) }
  return {
    openapi: '3.1.1',
    info: {
      title: 'sallyport control API',
      version: '1',
      description: 'For reviewers, auditors, launchers and admins; never for agents. Times are RFC 3339 in UTC. Errors are application/problem+json: match on `code`. On the unix socket no token is needed: whoever may open it is an admin.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:3129' }],
    security: [{ token: [] }, { page: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token of a person or a program: `sp_…`' },
        page: { type: 'apiKey', in: 'cookie', name: 'sallyport_INSTANCE', description: 'The page for reviewers; INSTANCE is different for every instance' },
      },
      schemas: Object.fromEntries(Object.entries(named).map(([name, schema]) => [name, membersOf(schema)])),
    },
  }
}

function operationOf(route: Route): object {
  const { query, headers = [] } = route
  const parameters = [
    ...(route.path.includes('{id}') ? [{ name: 'id', in: 'path', required: true, schema: identifier }] : []),
    ...queryParameters(query),
    ...headers.map((name) => ({ name, in: 'header', required: name === 'If-Match', description: headerText[name], schema: { type: 'string' } })),
  ]
  const isFor = Object.entries(rolePermissions).filter(([, permissions]) => route.needs.some((need) => permissions.includes(need))).map(([role]) => role)
  return {
    operationId: route.name,
    summary: route.summary,
    description: `For: ${isFor.join(', ')}.`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: refs(route.body) } } } }),
    responses: { ...answersOf(route), ...faultsOf(route) },
  }
}

function queryParameters(query: Schema | undefined): object[] {
  const members = query?.['properties']
  if (typeof members !== 'object' || members === null) return []
  return Object.entries(members).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
}

function answersOf(route: Route): Record<string, object> {
  const { answers, isStream, isBytes, mayStream, mayBeLines, headers = [] } = route
  const found: Record<string, object> = {}
  for (const [status, schema] of Object.entries(answers)) {
    const content = {
      ...(isBytes === true ? { 'application/octet-stream': {} } : {}),
      ...(isStream === true || isBytes === true ? {} : { 'application/json': { schema: typeof schema === 'string' ? refTo(schema) : refs(schema) } }),
      ...(isStream === true ? { 'text/event-stream': { schema: { type: 'string', description: '`data` of each event is JSON' } } } : {}),
      ...(mayBeLines === true ? { 'application/x-ndjson': { schema: { type: 'string', description: 'Each line is one record' } } } : {}),
      ...(mayStream === true ? { 'text/event-stream': { schema: { type: 'string', description: '`data` of each event is one record' } } } : {}),
    }
    found[status] = { description: status === '201' ? 'Made' : 'Done', content }
  }
  if (headers.includes('If-None-Match')) found['304'] = { description: 'The caller has it already' }
  return found
}

/** Codes that every route can say no with. */
const common = ['bad_request', 'unauthenticated', 'agent_credential', 'not_permitted', 'foreign_origin', 'cross_site', 'misdirected', 'rate_limited', 'internal_error', 'audit_unavailable'] as const

function faultsOf(route: Route): Record<string, object> {
  const withBody = route.method === 'POST' ? ['invalid', 'body_too_large', 'unsupported_media_type'] : []
  const withQuery = route.query === undefined ? [] : ['invalid']
  const withKey = route.headers?.includes('Idempotency-Key') === true ? ['key_reused', 'in_progress'] : []
  const streams = route.isStream === true || route.mayStream === true ? ['too_many_streams'] : []
  const codes = new Set([...common, ...withBody, ...withQuery, ...withKey, ...streams, ...(route.faults ?? [])])
  const byStatus = new Map<string, string[]>()
  for (const [code, status] of Object.entries(controlFaults)) {
    if (codes.has(code)) byStatus.set(String(status), [...(byStatus.get(String(status)) ?? []), code])
  }
  return Object.fromEntries([...byStatus].toSorted(([a], [b]) => Number(a) - Number(b)).map(([status, found]) => [
    status,
    { description: found.map((code) => `\`${code}\``).join(', '), content: { 'application/problem+json': { schema: refTo('Problem') } } },
  ]))
}

function refTo(name: SchemaName): Schema {
  return { $ref: `#/components/schemas/${name}` }
}

/** A schema with those that have a name by their name. */
function refs(schema: Schema): Schema {
  const name = names.get(schema)
  return name === undefined ? membersOf(schema) : { $ref: `#/components/schemas/${name}` }
}

function membersOf(schema: Schema): Schema {
  return Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, inner(value)]))
}

function inner(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inner)
  return isSchema(value) ? refs(value) : value
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
