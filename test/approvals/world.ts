// A gate, the room of approvals and a desk on a database in memory, with a clock that stands still until it is
// moved: what most tests of holding and deciding begin with.
import type { Actor } from '../../src/approvals/actor.ts'
import type { Answer, Approval } from '../../src/approvals/approval.ts'
import { Approvals } from '../../src/approvals/approvals.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import type { PendingLimits } from '../../src/approvals/pending.ts'
import { ReviewDesk, type FetchPage } from '../../src/approvals/review-desk.ts'
import type { Session, SessionDirectory } from '../../src/approvals/session.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { Deadlines } from '../../src/deadlines.ts'
import type { Admitted } from '../../src/gate/admitted.ts'
import type { Exchange } from '../../src/gate/exchange.ts'
import { Gate } from '../../src/gate/gate.ts'
import { NameBudget } from '../../src/gate/name-budget.ts'
import type { Presence } from '../../src/gate/presence.ts'
import type { Refusal } from '../../src/gate/refusal.ts'
import { RequestIds } from '../../src/gate/request-id.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Facts } from '../../src/policy/facts.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import { parseHost } from '../../src/target/host.ts'
import type { Scope } from '../support/scope.ts'

export const asking = '[network]\nunknown = "ask"\nallowed_domains = ["allowed.test"]\ndenied_domains = ["denied.test"]\nreview_domains = ["review.test"]\n'

export const admin: Actor = { kind: 'person', name: 'ada', role: 'admin', teams: [], tokenId: 't1', mintedBy: 'root' }
export const reviewer: Actor = { kind: 'person', name: 'rita', role: 'reviewer', teams: [], tokenId: 't2', mintedBy: 'root' }

const limits: PendingLimits = { perSession: 20, perSessionPerMinute: 30, total: 1000, waitingTtlMs: 600_000, idleTtlMs: 86_400_000 }

export interface WorldOptions {
  readonly policy?: string
  readonly limits?: Partial<PendingLimits>
  readonly file?: string
  readonly holdMs?: number
  readonly append?: (event: AuditEvent) => Promise<void>
  /** there is a web cache */
  readonly fetchPage?: FetchPage
  /** what stands before the database */
  readonly wrap?: (store: Store) => Store
}

export interface Asked {
  readonly answer: Promise<Admitted | Refusal>
  readonly leave: () => void
}

export function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

export class World {
  readonly events: AuditEvent[] = []
  readonly faults: unknown[] = []
  readonly sessions = new Map<string, Session>()
  readonly approvals: Approvals
  readonly desk: ReviewDesk
  readonly gate: Gate
  nowMs = 1_700_000_000_000
  policy: Policy
  /** exchanges that the gate was told to judge again */
  narrowed = 0
  #requests = 0

  constructor(t: Scope, options: WorldOptions = {}) {
    const clock = { now: () => this.nowMs, monotonic: () => performance.now() }
    const opened = openSqliteStore(options.file ?? ':memory:', migrations)
    const store = options.wrap?.(opened) ?? opened
    const audit = { append: options.append ?? (async (event: AuditEvent) => void this.events.push(event)) }
    const ids = new RequestIds(clock)
    const nextId = (): string => ids.next()
    const policy = (): Policy => this.policy
    const directory: SessionDirectory = {
      authenticate: () => undefined,
      live: (id) => this.sessions.get(id),
      arrived: (id) => this.sessions.get(id),
      credentialsNeeded: () => false,
    }
    const onNarrowed = (): void => {
      this.narrowed += 1
      void this.gate.live.judgeAgain()
    }
    this.policy = policyOf(options.policy ?? asking)
    this.approvals = new Approvals({
      store, clock, deadlines: new Deadlines(clock), audit, sessions: directory, policy, limits: { ...limits, ...options.limits }, hold: options.holdMs ?? 60_000,
      nextId, onNarrowed, onRequested: () => {}, onEnded: () => {}, onFault: (error) => this.faults.push(error),
    })
    this.desk = new ReviewDesk({
      fetchPage: options.fetchPage,
      approvals: this.approvals, store, clock, audit, policy, maxTtlMs: 30 * 86_400_000, nextId, onNarrowed, onDecided: () => {},
      proposals: { list: () => [], propose: async () => {}, resolve: () => Promise.reject(new Error('none')) },
    })
    this.gate = new Gate({
      policy, approvals: this.approvals, audit: { ...audit, overQuota: () => false }, redaction: { url: 'path', key: new Uint8Array(32) }, clock,
      isLive: (session) => session === 'anonymous' || this.sessions.has(session),
      surroundings: () => ({ ownPorts: [3128], ownAddresses: [], onlyLoopback: true }), nameBudget: new NameBudget(clock, 100),
      hasCache: options.fetchPage !== undefined, usesParent: false, parentResolves: false, onFault: (error) => this.faults.push(error), onVerdict: () => {},
    })
    t.teardown(() => {
      this.approvals.close()
      store.close()
    })
  }

  addSession(id: string, change: Partial<Session> & { readonly owner?: string; readonly team?: string; readonly agent?: string } = {}): Session {
    const { owner, team, agent = 'coder', ...rest } = change
    const session: Session = {
      id, principal: { session: id, agent, owner, team }, hold: 60_000, unattended: false, hasSocket: false, isIsolated: false, createdMs: this.nowMs, createdBy: 'root',
      expiresMs: undefined, endedMs: undefined, lastSeenMs: undefined, ...rest,
    }
    this.sessions.set(id, session)
    return session
  }

  exchange(host: string, change: Partial<Facts> & { readonly session?: string } = {}): Exchange {
    const { session = 'anonymous', ...rest } = change
    const principal = this.sessions.get(session)?.principal ?? { session, agent: 'local', team: undefined, owner: undefined }
    const facts: Facts = { stage: 'connect', scheme: 'https', host: parseHost(host), port: 443, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal, ...rest }
    this.#requests += 1
    return { id: `request-${this.#requests}`, facts, client: { address: '127.0.0.1', port: 1, advisory: false }, protocol: 'https_connect', userAgent: undefined, startedMs: 0 }
  }

  /** A client that asks and waits. */
  ask(host: string, change: Partial<Facts> & { readonly session?: string } = {}, digest?: string): Asked {
    const left: (() => void)[] = []
    const presence: Presence = {
      watch: (onLeft) => {
        left.push(onLeft)
        return () => {}
      },
      requestDigest: async () => digest,
    }
    return { answer: this.gate.admit(this.exchange(host, change), presence), leave: () => left.forEach((leave) => leave()) }
  }

  /** Waits until somebody waits for an approval of `host`. */
  async held(host: string, count = 1): Promise<Approval> {
    for (;;) {
      const found = this.approvals.pending.all().find((approval) => approval.host === host && approval.waiting >= count)
      if (found !== undefined) return found
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  decide(approval: Approval, change: Partial<Answer> = {}, actor: Actor = reviewer): Promise<Approval> {
    return this.desk.decide(approval.id, { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', comment: undefined, version: approval.version, ...change }, actor)
  }

  names(): string[] {
    return this.events.map(({ name }) => name)
  }
}

export function codeOf(answer: Admitted | Refusal): string {
  return 'code' in answer ? answer.code : 'admitted'
}
