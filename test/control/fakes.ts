// Stand-ins for what the control API is made of: a desk with approvals that are decided once, sessions, tokens
// and a journal in memory. They keep the promises of the contracts and nothing else.
import type { Actor, ControlToken, ControlTokens, Role } from '../../src/approvals/actor.ts'
import type { Approval } from '../../src/approvals/approval.ts'
import type { Card } from '../../src/approvals/card.ts'
import type { Desk, Proposal } from '../../src/approvals/desk.ts'
import { ReviewFault } from '../../src/approvals/review-fault.ts'
import type { Session, Sessions } from '../../src/approvals/session.ts'
import type { EventPage } from '../../src/audit/event-search.ts'
import type { JournalEvents } from '../../src/audit/journal-events.ts'
import type { JournalRecord } from '../../src/audit/record.ts'
import { RecordFilter } from '../../src/audit/record-filter.ts'
import { isInScope, type Search } from '../../src/audit/record-search.ts'
import type { Clock } from '../../src/clock.ts'
import type { ExplainAnswer, SessionSocketPort } from '../../src/control/deps.ts'
import type { ErasedThings, PersonErasure } from '../../src/config/listening.ts'
import type { Grant } from '../../src/policy/grant.ts'

export const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  wall = nowMs
  mono = 1000

  now(): number {
    return this.wall
  }

  monotonic(): number {
    return this.mono
  }

  move(ms: number): void {
    this.wall += ms
    this.mono += ms
  }
}

export function approvalOf(id: string, more: Partial<Approval> = {}): Approval {
  return {
    id, version: 1, state: 'pending', kind: 'host', session: 's-1', agent: 'codex', owner: 'alice', team: 'web', scheme: 'https', host: `${id.toLowerCase()}.example`,
    port: 443, method: undefined, url: undefined, requestDigest: undefined, upgrade: undefined, reason: 'no rule names it', rule: undefined, isReview: false,
    statedReason: undefined, userAgent: 'curl/8', clientAddress: '127.0.0.1', advisory: false, attempts: 1, waiting: 1, firstSeenMs: nowMs, lastSeenMs: nowMs,
    expiresMs: nowMs + 600_000, snoozedUntilMs: undefined, firstYes: undefined, decision: undefined, ...more,
  }
}

type Change = Parameters<Parameters<Desk['onChange']>[0]>[0]

/** Teams are kept apart; everything else an actor asks for is granted, once. */
export class FakeDesk implements Desk {
  readonly approvals = new Map<string, Approval>()
  readonly grantsById = new Map<string, Grant>()
  readonly proposalsById = new Map<string, Proposal>()
  readonly calls: string[] = []
  readonly #listeners = new Set<(change: Change) => void>()
  #decided = 0

  put(approval: Approval): void {
    this.approvals.set(approval.id, approval)
    this.#tell({ kind: 'approval', id: approval.id })
  }

  get listeners(): number {
    return this.#listeners.size
  }

  list(...[{ state, session, host }, actor, after, limit]: Parameters<Desk['list']>): readonly Approval[] {
    return [...this.approvals.values()]
      .filter((approval) => sees(actor, approval) && (after === undefined || approval.id > after))
      .filter((approval) => (state ?? approval.state) === approval.state && (session ?? approval.session) === approval.session && (host ?? approval.host) === approval.host)
      .slice(0, limit)
  }

  get(id: string, actor: Actor): Approval | undefined {
    const approval = this.approvals.get(id)
    return approval !== undefined && sees(actor, approval) ? approval : undefined
  }

  async wait(id: string, version: number, ms: number): Promise<Approval | undefined> {
    const found = this.approvals.get(id)
    if (found !== undefined && found.version > version) return found
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        end()
        resolve(this.approvals.get(id))
      }
      const timer = setTimeout(finish, ms)
      const end = this.onChange((change) => {
        if (change.id === id && (this.approvals.get(id)?.version ?? 0) > version) finish()
      })
    })
  }

  async decide(...[id, answer, actor]: Parameters<Desk['decide']>): Promise<Approval> {
    this.calls.push(`decide ${id} ${answer.verdict}`)
    // a desk journals before anything takes effect: others get their turn meanwhile
    await Promise.resolve()
    const approval = this.#pending(id, answer.version)
    if (approval.owner === actor.name) throw new ReviewFault('self_approval', 'requester and approver are the same')
    if (answer.comment === undefined && approval.host === 'comment.example') throw new ReviewFault('comment_required', 'say why')
    this.#decided += 1
    const decided: Approval = {
      ...approval, version: approval.version + 1, state: answer.verdict === 'allow' ? 'allowed' : 'denied', waiting: 0,
      decision: { verdict: answer.verdict, term: answer.term, by: actor.name, secondBy: undefined, atMs: nowMs, comment: answer.comment, grantId: `g-${this.#decided}` },
    }
    this.put(decided)
    return decided
  }

  async snooze(...[id, untilMs, version]: Parameters<Desk['snooze']>): Promise<Approval> {
    const approval = this.#pending(id, version)
    const snoozed = { ...approval, version: approval.version + 1, snoozedUntilMs: untilMs }
    this.put(snoozed)
    return snoozed
  }

  grants(): readonly Grant[] {
    return [...this.grantsById.values()]
  }

  async revoke(grantId: string): Promise<Grant> {
    const grant = this.grantsById.get(grantId)
    if (grant === undefined) throw new ReviewFault('not_found', 'there is no such grant')
    this.grantsById.delete(grantId)
    this.#tell({ kind: 'grant', id: grantId })
    return grant
  }

  proposals(): readonly Proposal[] {
    return [...this.proposalsById.values()]
  }

  async resolveProposal(...[id, accept, actor]: Parameters<Desk['resolveProposal']>): Promise<Proposal> {
    const proposal = this.proposalsById.get(id)
    if (proposal === undefined) throw new ReviewFault('not_found', 'there is no such proposal')
    const resolved: Proposal = { ...proposal, state: accept ? 'accepted' : 'rejected', decidedBy: actor.name }
    this.proposalsById.set(id, resolved)
    return resolved
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #pending(id: string, version: number): Approval {
    const approval = this.approvals.get(id)
    if (approval === undefined) throw new ReviewFault('not_found', 'there is no such approval')
    if (approval.state !== 'pending') throw new ReviewFault('already_decided', 'it is decided')
    if (approval.version !== version) throw new ReviewFault('version_conflict', 'it changed')
    return approval
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change)
  }
}

function sees(actor: Actor, approval: Approval): boolean {
  return actor.teams.length === 0 || (approval.team !== undefined && actor.teams.includes(approval.team))
}

export function cardOf(approval: Approval): Card {
  return {
    approval,
    unicodeHost: undefined,
    registrableDomain: approval.host,
    hints: [{ code: 'first_time_here', text: 'nobody asked for it before' }],
    nearestRules: [{ rule: { id: 'allowed_domains', pattern: 'other.example', file: 'policies/10-base.toml', line: 3 }, why: 'covers other.example alone' }],
    others: [{ agent: 'codex', session: 's-2', state: 'allowed' }],
    similar: [{ approvalId: 'A0', host: 'b.example', verdict: 'deny', term: 'once', by: 'rita', atMs: nowMs, comment: undefined }],
    doubts: [],
    patterns: [approval.host],
    rules: { fourEyes: false, commentFor: ['always'], ownerMay: ['once'] },
  }
}

export const agentToken = 'agent-token-agent-token-agent-token-agent-0'

export function sessionOf(id: string, owner: string | undefined, more: Partial<Session> = {}): Session {
  return {
    id, principal: { session: id, agent: 'codex', team: 'web', owner }, hold: 'auto', unattended: false, hasSocket: false, isIsolated: false, createdMs: nowMs, createdBy: 'root', expiresMs: undefined,
    endedMs: undefined, lastSeenMs: undefined, ...more,
  }
}

export class FakeSessions implements Sessions {
  readonly byId = new Map<string, Session>()
  readonly tokenById = new Map<string, string>()

  async create(...[session, by]: Parameters<Sessions['create']>): ReturnType<Sessions['create']> {
    const id = `s${String(this.byId.size + 1).padStart(12, '0')}`
    const { agent, owner, team, hold, unattended, ttlMs, trustsCa = false, webFetch = false, record = false, hasSocket = false, isIsolated = false } = session
    const principal = { session: id, agent, team, owner, ...(trustsCa ? { trustsCa } : {}), ...(webFetch ? { webFetch } : {}), ...(record ? { record } : {}) }
    const made = sessionOf(id, owner, { principal, hold, unattended, hasSocket, isIsolated, createdBy: by, expiresMs: ttlMs === undefined ? undefined : nowMs + ttlMs })
    this.byId.set(id, made)
    this.tokenById.set(id, agentToken)
    return { session: made, token: agentToken }
  }

  async end(id: string): Promise<boolean> {
    const session = this.live(id)
    if (session !== undefined) this.byId.set(id, { ...session, endedMs: nowMs })
    return session !== undefined
  }

  list(): readonly Session[] {
    return [...this.byId.values()]
  }

  get(id: string): Session | undefined {
    return this.byId.get(id)
  }

  onEnded(): void {
    throw new Error('the control API does not listen')
  }

  authenticate(): Session | undefined {
    throw new Error('the control API knows no agents')
  }

  live(id: string): Session | undefined {
    const session = this.byId.get(id)
    return session?.endedMs === undefined ? session : undefined
  }

  arrived(id: string): Session | undefined {
    return this.live(id)
  }

  credentialsNeeded(): boolean {
    return this.byId.size > 0
  }
}

/** Paths below /run/sessions; nothing is opened. */
export class FakeSockets implements SessionSocketPort {
  isPossible = true
  readonly opened: string[] = []
  fault: Error | undefined

  async open({ id }: Session): Promise<string> {
    if (this.fault !== undefined) throw this.fault
    this.opened.push(id)
    return `/run/sessions/${id}/proxy.sock`
  }
}

export class FakeTokens implements ControlTokens {
  readonly bySecret = new Map<string, ControlToken>()

  /** A token whose secret says what it is: `sp_reviewer`. */
  add(role: Role, name: string, teams: readonly string[] = []): string {
    const secret = `sp_${name}`
    this.bySecret.set(secret, {
      id: `t-${name}`, kind: 'person', name, role, teams, createdMs: nowMs, createdBy: 'root', expiresMs: nowMs + 86_400_000, revokedMs: undefined, lastUsedMs: undefined,
    })
    return secret
  }

  create(...[{ kind, name, role, teams, ttlMs }, by]: Parameters<ControlTokens['create']>): ReturnType<ControlTokens['create']> {
    const token: ControlToken = { id: `t-${name}`, kind, name, role, teams, createdMs: nowMs, createdBy: by.name, expiresMs: nowMs + ttlMs, revokedMs: undefined, lastUsedMs: undefined }
    this.bySecret.set(`sp_${name}`, token)
    return { token, secret: `sp_${name}` }
  }

  revoke(id: string): boolean {
    const [secret, token] = [...this.bySecret].find(([, each]) => each.id === id && each.revokedMs === undefined) ?? []
    if (secret === undefined || token === undefined) return false
    this.bySecret.set(secret, { ...token, revokedMs: nowMs })
    return true
  }

  list(): readonly ControlToken[] {
    return [...this.bySecret.values()]
  }

  authenticate(secret: string): Actor | undefined {
    const token = this.bySecret.get(secret)
    if (token === undefined || token.revokedMs !== undefined) return undefined
    return { kind: token.kind, name: token.name, role: token.role, teams: token.teams, tokenId: token.id, mintedBy: token.createdBy }
  }
}

export function recordOf(seq: number): JournalRecord {
  return {
    v: 1, seq, prev: '0'.repeat(64), uid: String(seq).padStart(26, '0'), time: new Date(nowMs).toISOString(), instance: 'i-1', name: 'sallyport.decision', severity: 'INFO',
    body: `record ${seq}`, attributes: { 'server.address': 'a.example' }, hash: '1'.repeat(64),
  }
}

export class FakeEvents implements Pick<JournalEvents, 'follow'> {
  readonly records: JournalRecord[] = []
  readonly #waiters = new Set<() => void>()
  /** thrown by searches */
  fault: Error | undefined

  add(...records: readonly JournalRecord[]): void {
    this.records.push(...records)
    for (const wake of this.#waiters) wake()
  }

  append(count: number): void {
    for (let index = 0; index < count; index++) this.records.push(recordOf(this.records.length + 1))
    for (const wake of this.#waiters) wake()
  }

  async search({ question, from, limit, afterSeq = 0, beforeSeq = Infinity, scope }: Search): Promise<EventPage> {
    if (this.fault !== undefined) throw this.fault
    const filter = new RecordFilter(question)
    const fitting = this.records.filter((record) => record.seq > afterSeq && record.seq < beforeSeq && filter.matches(record) && isInScope(record, scope))
    const records = from === 'newest' ? fitting.slice(-limit) : fitting.slice(0, limit)
    return { records, lookedTo: records.length < fitting.length ? records.at(from === 'newest' ? 0 : -1)?.seq : undefined }
  }

  async *follow(after: number | undefined, signal: AbortSignal): AsyncIterable<JournalRecord> {
    let at = after ?? this.records.length
    while (!signal.aborted) {
      const record = this.records[at]
      if (record === undefined) {
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            this.#waiters.delete(wake)
            resolve()
          }
          this.#waiters.add(wake)
          signal.addEventListener('abort', wake, { once: true })
        })
      } else {
        at += 1
        yield record
      }
    }
  }
}

export const explained: ExplainAnswer = {
  asked: 'CONNECT a.example:443',
  verdict: 'ask',
  code: 'approval_required',
  reason: 'no rule names a.example',
  rule: undefined,
  monitored: undefined,
  notes: ['the tunnel is opaque'],
  outer: {
    explanation: {
      decision: { verdict: 'ask', code: 'approval_required', reason: 'no rule names a.example', rule: undefined, obligations: { inspect: 'none', raw: undefined, local: [] }, revision: '0123456789ab', monitored: undefined, wildcard: false },
      matched: [],
      near: [{ rule: { id: 'allowed_domains', pattern: '*.a.example', file: 'policies/10-base.toml', line: 3 }, verdict: 'allow', layer: 'policy', says: 'covers what is below', why: 'scope' }],
      lines: [],
    },
  },
  inner: undefined,
}

export const erasedThings: ErasedThings = { records: 7, unsealed: 2, sessions: 1, approvals: 3, grants: 1, tokens: 0, others: 4 }

/** Remembers who was looked for, and who was erased for whom. */
export class FakeErasure implements PersonErasure {
  readonly calls: string[] = []

  async look(person: string): Promise<ErasedThings> {
    this.calls.push(`look ${person}`)
    return erasedThings
  }

  async erase(person: string, by: string | undefined): Promise<{ readonly keys: readonly string[]; readonly counts: ErasedThings }> {
    this.calls.push(`erase ${person} for ${by ?? 'nobody'}`)
    return { keys: ['0123456789abcdefghijklmnop'], counts: erasedThings }
  }
}
