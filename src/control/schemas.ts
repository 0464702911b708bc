// JSON schemas of what the API takes and gives: the routes validate with those of requests, the OpenAPI
// document shows all, and tests hold the answers to those of answers.
import { cacheSources } from '../cache/cached-response.ts'
import { approvalStates, grantTerms, grantWhos, roles } from './words.ts'

/** A JSON schema of draft 2020-12 that says no more than AJV's strict mode knows. */
export interface Schema {
  readonly [keyword: string]: unknown
}

type Members = Readonly<Record<string, Schema>>

/** An object with these members and no others. */
export function object(members: Members, optional: Members = {}): Schema {
  const required = Object.keys(members)
  return { type: 'object', additionalProperties: false, ...(required.length === 0 ? {} : { required }), properties: { ...members, ...optional } }
}

export const string: Schema = { type: 'string' }
export const boolean: Schema = { type: 'boolean' }
export const integer: Schema = { type: 'integer' }
export const instant: Schema = { type: 'string', format: 'date-time' }
export const oneOf = (words: readonly string[]): Schema => ({ type: 'string', enum: words })
export const list = (items: Schema): Schema => ({ type: 'array', items })
export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] })
export const describe = (schema: Schema, description: string): Schema => ({ ...schema, description })

/** One line of what people type as a name: nothing that is invisible, no space at either end. */
export const label: Schema = { type: 'string', minLength: 1, maxLength: 100, pattern: '^(?! )[^\\p{C}\\p{Zl}\\p{Zp}]*(?<! )$' }
/** Comments may have line breaks. */
const comment: Schema = { type: 'string', minLength: 1, maxLength: 2000, pattern: '^(?:[^\\p{C}]|[\\n\\t])*$' }
const duration: Schema = describe({ type: 'string', pattern: '^[1-9][0-9]{0,6}[smhd]$' }, 'A whole number and `s`, `m`, `h` or `d`: `15m`')
export const identifier: Schema = { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' }

const verdict = oneOf(['allow', 'deny'])
const rule = object({ id: string, pattern: string, file: string, line: integer })

const approvalMembers: Members = {
  id: string,
  version: describe(integer, 'Grows with every change that a reviewer should see; the ETag'),
  state: oneOf(approvalStates),
  kind: describe(oneOf(['host', 'request', 'fetch']), '`host`: every exchange with host and port; `request`: one request; `fetch`: a page that is not in the web cache'),
  session: string,
  agent: string,
  owner: orNull(string),
  team: orNull(string),
  scheme: oneOf(['http', 'https']),
  host: describe(string, 'Canonical, ASCII'),
  port: integer,
  method: orNull(string),
  url: describe(orNull(string), 'Whole, query included'),
  upgrade: orNull(oneOf(['websocket'])),
  reason: describe(string, 'Why policy asks'),
  rule: orNull(rule),
  is_review: describe(boolean, 'Always asked about: the owner of the session may not answer'),
  stated_reason: describe(orNull(string), 'What the agent says it is for'),
  user_agent: orNull(string),
  client_address: string,
  advisory: boolean,
  attempts: integer,
  waiting: describe(integer, 'Exchanges that are held now'),
  first_seen: instant,
  last_seen: instant,
  expires_at: instant,
  snoozed_until: orNull(instant),
  first_yes: describe(orNull(object({ by: string, at: instant, is_fetch: describe(boolean, 'A yes to fetching the page, and to no more') })), 'Four eyes: the first of two'),
  fetching: describe(orNull(object({ by: string, since: instant })), 'Somebody has the page fetched at this moment, and nobody else decides meanwhile'),
  decision: orNull(object({
    verdict, term: oneOf(grantTerms), by: string, second_by: orNull(string), at: instant, comment: orNull(string), grant_id: orNull(string),
    is_fetched: describe(boolean, 'The page was fetched into the web cache, and nothing opened'),
    fetch_note: describe(orNull(string), 'What is missing of what was fetched: where its redirects lead'),
  })),
}

export const approval = object(approvalMembers)
export const card = object({
  ...approvalMembers,
  unicode_host: orNull(string),
  registrable_domain: orNull(string),
  hints: list(object({ code: string, text: string })),
  nearest_rules: list(object({ rule, why: string })),
  others: list(object({ agent: string, session: string, state: string })),
  similar: list(object({ approval_id: string, host: string, verdict, term: oneOf(grantTerms), by: string, at: instant, comment: orNull(string) })),
  doubts: describe(list(string), 'Of a page: why its URL is to be looked at twice; `fetch` then needs `confirmed`'),
  patterns: list(string),
  rules: object({ four_eyes: boolean, comment_for: list(string), owner_may: list(oneOf(grantTerms)) }),
})
export const grant = object({
  id: string, approval_id: string, verdict, term: oneOf(grantTerms), who: oneOf(grantWhos), holder: string, scheme: oneOf(['http', 'https']),
  host: string, subdomains: boolean, port: describe(orNull(integer), 'null: every port that policy does not deny'), request_digest: orNull(string),
  live_reading: describe(boolean, 'The host may be read live where the policy has it read from the cache, and nothing else'),
  by: string, created_at: instant, expires_at: orNull(instant),
})
export const session = object({
  id: string, agent: string, owner: orNull(string), team: orNull(string),
  hold: describe({ anyOf: [oneOf(['auto']), { type: 'number' }] }, '`auto`, or seconds'),
  unattended: boolean,
  trusts_ca: describe(boolean, 'Its clients trust our certificate authority'),
  web_fetch: describe(boolean, 'It reads the web, which is all that it does'),
  record: describe(boolean, 'What it reads live is kept in the web cache, for all agents of its team'),
  socket: describe(boolean, 'It has a unix socket of its own'),
  isolated: describe(boolean, 'Who made it vouches for what is at that socket: such requests are not advisory'),
  refused: describe(integer, 'Requests of it that were refused since the proxy started'),
  created_at: instant, created_by: string, expires_at: orNull(instant), ended_at: orNull(instant), last_seen: orNull(instant),
})
export const token = object({
  id: string, kind: oneOf(['person', 'program']), name: string, role: oneOf(roles), teams: list(string), created_at: instant, created_by: string,
  expires_at: instant, revoked_at: orNull(instant), last_used: orNull(instant),
})
export const proposal = object({
  id: string, approval_id: string, verdict, pattern: string, agent: orNull(string), team: orNull(string), by: string, created_at: instant,
  state: oneOf(['open', 'accepted', 'rejected']), decided_by: orNull(string),
})
export const policy = object({
  revision: string, mode: oneOf(['enforce', 'monitor']), unknown: oneOf(['ask', 'deny', 'allow']), files: list(string), rule_count: integer, feed_names: integer,
  problems: list(object({ file: string, line: integer, column: integer, severity: oneOf(['error', 'warning', 'notice']), message: string })),
})

const answer: Members = { verdict: oneOf(['allow', 'deny', 'ask']), code: string, reason: string, rule: orNull(rule) }
const spoken: Members = { rule, verdict: oneOf(['allow', 'deny', 'ask']), layer: string, says: string }
const speaks: Members = { matched: list(object(spoken)), near: list(object({ ...spoken, why: string })) }
export const explained = object({
  asked: describe(string, 'First line of what the proxy is sent'), ...answer, monitored: orNull(object(answer)), notes: list(string), revision: string, ...speaks,
  inner: describe(orNull(object({ ...answer, ...speaks })), 'The request inside a tunnel, where rules look at it'),
})
export const cacheEntryMembers: Members = {
  id: integer, url: string,
  partition: describe(string, '`common`, `team:NAME`, or `teamless`: who reads it'),
  status: integer, content_type: orNull(string), bytes: integer,
  digest: describe(string, 'SHA-256 of the content, hexadecimal'),
  source: oneOf(cacheSources), by: string, pinned: boolean, stored_at: instant, captured_at: describe(orNull(instant), 'When an archive captured it'),
  vary: describe(list(object({ name: string, value: orNull(string) })), 'The request fields that choose it'),
}
export const cacheEntry = object(cacheEntryMembers)
export const cacheEntryDetail = object({
  ...cacheEntryMembers,
  reason: describe(string, 'Reason phrase'),
  fields: list(object({ name: string, value: string })),
})
export const record: Schema = {
  type: 'object',
  description: 'A record of the journal, as docs/events.md has it',
  required: ['v', 'seq', 'prev', 'uid', 'time', 'instance', 'name', 'severity', 'body', 'attributes', 'hash'],
  properties: {
    v: { const: 1 }, seq: integer, prev: string, uid: string, time: instant, instance: string, name: string, severity: string, body: string, attributes: { type: 'object' }, hash: string,
  },
}
export const problem: Schema = {
  type: 'object',
  description: 'RFC 9457',
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id'],
  properties: {
    type: string, title: string, status: integer, detail: string, code: describe(string, 'Match on this'), request_id: string,
    errors: list(object({ pointer: describe(string, 'RFC 6901'), message: string })),
    looks_inside: describe(boolean, 'With `ca_unavailable`: some rule of the policy in force looks inside TLS'),
    approval: describe({ $ref: '#/components/schemas/Approval' }, 'With `already_decided` and `version_conflict`: as it is now'),
  },
}

/** Answers by the name that the OpenAPI document gives them. */
export const named = { Approval: approval, Card: card, Grant: grant, Session: session, Token: token, Proposal: proposal, Policy: policy, Explained: explained, Record: record, CacheEntry: cacheEntry, CacheEntryDetail: cacheEntryDetail, Problem: problem } as const
export type SchemaName = keyof typeof named

// what requests say

const until: Members = { until: instant, duration }
export const decisionBody = object({ verdict }, {
  term: describe(oneOf(grantTerms), 'Default: `once`'),
  until: describe(instant, 'With term `until`: this or `duration`'),
  duration,
  subdomains: boolean,
  all_ports: boolean,
  who: describe(oneOf(grantWhos), 'Default: `session`'),
  comment,
  fetch: describe(boolean, 'Of a question about a page that is not in the web cache: have it fetched into the cache, and open nothing'),
  confirmed: describe(boolean, 'With `fetch`: the whole URL was looked at again, where that is asked for'),
})
export const snoozeBody = object({}, until)
export const emptyBody = object({})
export const sessionBody = object({ agent: label }, {
  owner: describe(label, 'Default: the caller; for an admin, none'),
  team: label,
  hold: describe({ type: 'string', pattern: '^(?:auto|[1-9][0-9]{0,6}[smhd])$' }, '`auto` or a duration of at most 10 minutes'),
  unattended: boolean,
  ttl: describe(duration, 'Default: until it is ended'),
  trusts_ca: describe(boolean, 'Its clients trust our certificate authority'),
  web_fetch: describe(boolean, 'It reads the web, which is all that it does: GET and HEAD, answered from the web cache unless policy has the web read live; its clients trust our certificate authority'),
  record: describe(boolean, 'An admin alone, with a `ttl` of at most `24h`, and not with `web_fetch`: what it reads live is kept in the web cache, for all agents of its team, without one for everybody; its clients trust our certificate authority'),
  socket: describe(boolean, 'Open a unix socket on the machine of the proxy: who connects there is this session'),
  isolated: describe(boolean, 'With `socket`: what connects there reaches nothing that the user of the proxy relies on'),
})
export const tokenBody = object({ kind: oneOf(['person', 'program']), name: label, role: oneOf(roles) }, {
  teams: { type: 'array', items: label, maxItems: 100, uniqueItems: true },
  ttl: describe(duration, 'Default: `30d`; at most `366d`'),
})
export const urlText: Schema = { type: 'string', minLength: 1, maxLength: 8192 }
export const explainBody = object({ url: urlText }, {
  method: describe({ type: 'string', pattern: '^[A-Za-z][A-Za-z0-9_-]{0,31}$' }, 'Default: `GET`'),
  agent: label,
  team: label,
})
export const proposalBody = object({ accept: boolean })

export const limit: Schema = describe({ type: 'string', pattern: '^(?:[1-9][0-9]?|[1-4][0-9]{2}|500)$' }, '1 to 500')
export const approvalsQuery = object({}, {
  state: oneOf(approvalStates),
  session: { type: 'string', maxLength: 64 },
  host: describe({ type: 'string', maxLength: 255 }, 'Canonical, ASCII'),
  limit: describe(limit, '1 to 500; default 50'),
  cursor: describe({ type: 'string', maxLength: 128 }, '`next_cursor` of the page before'),
})
