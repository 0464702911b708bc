// The reviewers' pages on a listener of their own, over a desk in memory: what it was asked to do stands in
// `calls`, and `state` is all that a page could change.
import fastify, { type FastifyInstance } from 'fastify'
import type { Actor, ControlToken, ControlTokens } from '../../src/approvals/actor.ts'
import type { Answer, Approval } from '../../src/approvals/approval.ts'
import type { Card } from '../../src/approvals/card.ts'
import type { Desk, Proposal } from '../../src/approvals/desk.ts'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import type { Session, Sessions } from '../../src/approvals/session.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { RecordFilter } from '../../src/audit/record-filter.ts'
import { isInScope } from '../../src/audit/record-search.ts'
import { registerPages } from '../../src/control/pages/pages.ts'
import type { Grant } from '../../src/policy/grant.ts'
import { registrableDomain } from '../../src/target/registrable-domain.ts'
import type { Scope } from './scope.ts'

export const startMs = Date.UTC(2026, 10, 20, 14, 32, 5)
export const cookieName = 'sallyport_0123abcd'

export const actorOf = (role: Actor['role'], name: string = role): Actor => ({ kind: 'person', name, role, teams: [], tokenId: `t-${name}`, mintedBy: 'admin' })

/** A token of that person, as the fake knows it. */
export const secretOf = (name: string): string => `sp_${name.padEnd(43, '0')}`

export function approvalOf(over: Partial<Approval> = {}): Approval {
  return {
    id: '01JD000000000000000000AAAA', version: 1, state: 'pending', kind: 'host', session: 's3kq8v0d1m2xz', agent: 'codex', owner: 'mara', team: 'platform',
    scheme: 'https', host: 'files.example.org', port: 443, method: undefined, url: undefined, requestDigest: undefined, upgrade: undefined,
    reason: `no rule names ${over.host ?? 'files.example.org'}`, rule: { id: 'unknown', pattern: '*', file: 'policies/10-base.toml', line: 3 }, isReview: false,
    statedReason: undefined, userAgent: 'git/2.47.1', clientAddress: '127.0.0.1', advisory: false, attempts: 2, waiting: 2,
    firstSeenMs: startMs - 12_000, lastSeenMs: startMs - 4000, expiresMs: startMs + 588_000, snoozedUntilMs: undefined, firstYes: undefined, decision: undefined,
    ...over,
  }
}

export function cardOf(approval: Approval, over: Partial<Card> = {}): Card {
  return {
    approval, unicodeHost: undefined, registrableDomain: registrableDomain(approval.host), hints: [], nearestRules: [], others: [], similar: [],
    doubts: [], patterns: [approval.host], rules: { fourEyes: false, commentFor: [], ownerMay: [] }, ...over,
  }
}

export function sessionOf(over: Partial<Session> = {}): Session {
  return {
    id: 's3kq8v0d1m2xz', principal: { session: 's3kq8v0d1m2xz', agent: 'codex', owner: 'mara', team: 'platform' }, hold: 'auto', unattended: false, hasSocket: false, isIsolated: false,
    createdMs: startMs - 3_600_000, createdBy: 'mara', expiresMs: startMs + 8 * 3_600_000, endedMs: undefined, lastSeenMs: startMs - 4000, ...over,
  }
}

export function grantOf(over: Partial<Grant> = {}): Grant {
  return {
    id: '01JD00000000000000000GRANT', approvalId: '01JD000000000000000000AAAA', verdict: 'allow', term: 'until', who: 'session', holder: 's3kq8v0d1m2xz', scheme: 'https',
    host: 'registry.npmjs.org', subdomains: false, port: 443, requestDigest: undefined, by: 'reviewer', createdMs: startMs - 600_000, expiresMs: startMs + 3_000_000,
    comment: undefined, ...over,
  }
}

export function eventOf(over: Partial<JournalRecord> = {}): JournalRecord {
  return {
    v: 1, seq: 4811, prev: '0'.repeat(64), uid: '01JD00000000000000000EVENT', time: '2026-11-20T14:31:53.120Z', instance: 'i-1', name: 'sallyport.decision', severity: 'INFO', body: 'allowed',
    attributes: {}, hash: '1'.repeat(64), ...over,
  }
}

export interface World {
  now: number
  approvals: Approval[]
  cards: Map<string, Partial<Card>>
  grants: Grant[]
  sessions: Session[]
  proposals: Proposal[]
  events: JournalRecord[]
  readonly actors: Map<string, Actor>
  readonly calls: unknown[][]
  readonly seen: { readonly actor: Actor | undefined; readonly method: string; readonly route: string; readonly status: number; readonly subjectId: string | undefined }[]
  /** thrown by the next method of the desk that changes something */
  fault: ReviewFault | undefined
  /** tells every open stream */
  change(kind: 'approval' | 'grant' | 'proposal', id: string): void
  onChange(listener: (change: { readonly kind: 'approval' | 'grant' | 'proposal'; readonly id: string }) => void): () => void
}

export function worldOf(over: Partial<World> = {}): World {
  const listeners = new Set<Parameters<World['onChange']>[0]>()
  const roles = ['viewer', 'auditor', 'launcher', 'reviewer', 'admin'] as const
  return {
    now: startMs, approvals: [], cards: new Map(), grants: [], sessions: [], proposals: [], events: [], calls: [], seen: [], fault: undefined,
    actors: new Map(roles.map((role) => [secretOf(role), actorOf(role)])),
    change: (kind, id) => listeners.forEach((listener) => listener({ kind, id })),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    ...over,
  }
}

/** Everything that a request could have changed. */
export function stateOf({ approvals, grants, sessions, proposals, calls }: World): string {
  return JSON.stringify([approvals, grants, sessions, proposals, calls])
}

function replace<T extends { readonly id: string }>(list: T[], id: string, over: Partial<T>): T {
  const index = list.findIndex((one) => one.id === id)
  const found = list[index]
  if (found === undefined) throw new ReviewFault('not_found', 'There is no such thing.')
  return (list[index] = { ...found, ...over })
}

function deskOf(world: World): Desk {
  const enter = (...call: unknown[]): void => {
    world.calls.push(call)
    const { fault } = world
    world.fault = undefined
    if (fault !== undefined) throw fault
  }
  return {
    list: ({ state }, _actor, _after, limit) => world.approvals.filter((approval) => state === undefined || approval.state === state).slice(0, limit),
    get: (id) => world.approvals.find((approval) => approval.id === id),
    wait: async (id) => world.approvals.find((approval) => approval.id === id),
    async decide(id, answer: Answer, actor) {
      enter('decide', id, answer, actor.name)
      const { verdict, term, comment, version } = answer
      const approval = world.approvals.find((one) => one.id === id)
      if (approval === undefined) throw new ReviewFault('not_found', 'There is no such question.')
      if (approval.decision !== undefined) throw new ReviewFault('already_decided', 'The question has its answer.')
      if (approval.version !== version) throw new ReviewFault('version_conflict', 'The question changed.')
      const decided = replace(world.approvals, id, {
        state: verdict === 'allow' ? 'allowed' : 'denied', version: version + 1, waiting: 0,
        decision: { verdict, term, by: actor.name, secondBy: undefined, atMs: world.now, comment, grantId: undefined },
      })
      world.change('approval', id)
      return decided
    },
    async snooze(id, untilMs, version, actor) {
      enter('snooze', id, untilMs, version, actor.name)
      return replace(world.approvals, id, { snoozedUntilMs: untilMs, version: version + 1 })
    },
    grants: () => world.grants,
    async revoke(id, actor) {
      enter('revoke', id, actor.name)
      const grant = replace(world.grants, id, {})
      world.grants = world.grants.filter((one) => one.id !== id)
      return grant
    },
    proposals: () => world.proposals,
    async resolveProposal(id, accept, actor) {
      enter('resolveProposal', id, accept, actor.name)
      return replace(world.proposals, id, { state: accept ? 'accepted' : 'rejected', decidedBy: actor.name })
    },
    onChange: (listener) => world.onChange(listener),
  }
}

function sessionsOf(world: World): Sessions {
  return {
    authenticate: () => undefined,
    live: (id) => world.sessions.find((session) => session.id === id),
    arrived: (id) => world.sessions.find((session) => session.id === id),
    credentialsNeeded: () => true,
    create: async () => { throw new ReviewFault('not_permitted', 'not here') },
    async end(id, by) {
      world.calls.push(['end', id, by])
      replace(world.sessions, id, { endedMs: world.now })
      return true
    },
    list: () => world.sessions,
    get: (id) => world.sessions.find((session) => session.id === id),
    onEnded: () => undefined,
  }
}

function tokensOf(world: World): ControlTokens {
  return {
    create: () => { throw new ReviewFault('not_permitted', 'not here') },
    revoke: () => false,
    list: (): readonly ControlToken[] => [],
    authenticate: (secret) => world.actors.get(secret),
  }
}

/** A bare listener with the pages and the stream that they follow; not listening yet. */
export async function pagesOn(t: Scope, world: World, { isSecure = false, ownHost }: { readonly isSecure?: boolean; readonly ownHost?: string } = {}): Promise<FastifyInstance> {
  const server = fastify({ logger: false, forceCloseConnections: true })
  // the listener makes an event of what stands on the request
  server.addHook('onResponse', async ({ actor, isRefused, subjectId, method, routeOptions }, reply) => {
    if (actor !== undefined || isRefused) world.seen.push({ actor, method, route: routeOptions.url ?? '', status: reply.statusCode, subjectId })
  })
  const desk = deskOf(world)
  const tokens = tokensOf(world)
  server.get('/v1/approvals/stream', (request, reply) => {
    const secret = /sallyport_0123abcd=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? ''
    if (tokens.authenticate(secret) === undefined) return reply.code(401).send()
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    reply.raw.write('retry: 200\n\n')
    const end = world.onChange((change) => reply.raw.write(`event: ${change.kind}\ndata: ${JSON.stringify(change)}\n\n`))
    request.raw.on('close', end)
    return reply
  })
  await registerPages(server, {
    desk, tokens, cookieName, isSecure, ownHost,
    card: (approval) => cardOf(approval, world.cards.get(approval.id)),
    sessions: sessionsOf(world),
    search: async ({ question, from, limit, beforeSeq = Infinity, afterSeq = 0, scope }) => {
      const filter = new RecordFilter(question)
      const fitting = world.events.filter((event) => event.seq > afterSeq && event.seq < beforeSeq && filter.matches(event) && isInScope(event, scope))
      const records = from === 'newest' ? fitting.slice(-limit) : fitting.slice(0, limit)
      return { records, lookedTo: records.length < fitting.length ? records.at(from === 'newest' ? 0 : -1)?.seq : undefined }
    },
    clock: { now: () => world.now, monotonic: () => world.now },
    csrfKey: new Uint8Array(32).fill(7),
  })
  t.teardown(() => server.close())
  return server
}

/** Listens on a free port of loopback; resolves to the URL. */
export async function openPages(t: Scope, world: World): Promise<string> {
  const server = await pagesOn(t, world)
  return server.listen({ host: '127.0.0.1', port: 0 })
}
