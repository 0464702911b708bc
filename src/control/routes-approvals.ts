// Approvals: the queue, one card, a decision, a snooze, and the stream that says that something changed. What
// may be decided by whom is the desk's to say; here it is only read, and said back.
import type { Answer as Decided, Approval, ApprovalState } from '../approvals/approval.ts'
import { parseDuration } from '../approvals/duration.ts'
import { ReviewFault } from '../approvals/review-fault.ts'
import type { GrantTerm, GrantWho } from '../policy/grant.ts'
import { etagOf, hasVersion, requiredVersion, waitOf } from './conditional.ts'
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'
import { approvalsQuery, decisionBody, list, named, object, orNull, snoozeBody, string } from './schemas.ts'
import { approvalJson, cardJson } from './wire.ts'

interface ListQuery {
  readonly state?: ApprovalState
  readonly session?: string
  readonly host?: string
  readonly limit?: string
  readonly cursor?: string
}

interface DecisionBody {
  readonly verdict: 'allow' | 'deny'
  readonly term?: GrantTerm
  readonly until?: string
  readonly duration?: string
  readonly subdomains?: boolean
  readonly all_ports?: boolean
  readonly who?: GrantWho
  readonly comment?: string
  readonly fetch?: boolean
  readonly confirmed?: boolean
}

interface SnoozeBody {
  readonly until?: string
  readonly duration?: string
}

export function approvalRoutes(context: ControlContext): readonly Route[] {
  const { deps } = context
  const listRoute: Route<unknown, ListQuery> = {
    method: 'GET',
    path: '/v1/approvals',
    name: 'listApprovals',
    summary: 'The approvals that the caller may see, newest last. `Prefer: wait=20` waits while there is none.',
    needs: ['read'],
    headers: ['Prefer'],
    query: approvalsQuery,
    answers: { 200: object({ items: list(named.Approval), next_cursor: orNull(string) }) },
    handle: (call) => listApprovals(call, context),
  }
  const getRoute: Route = {
    method: 'GET',
    path: '/v1/approvals/{id}',
    name: 'getApproval',
    summary: 'One approval with everything a reviewer should see. `If-None-Match` with `Prefer: wait=20` waits for its next version.',
    needs: ['read'],
    headers: ['If-None-Match', 'Prefer'],
    answers: { 200: 'Card' },
    faults: ['not_found'],
    handle: (call) => getApproval(call, context),
  }
  const decideRoute: Route<DecisionBody> = {
    method: 'POST',
    path: '/v1/approvals/{id}/decision',
    name: 'decideApproval',
    summary: 'Decide the version that `If-Match` names. With four eyes the first yes leaves it pending.',
    needs: ['review'],
    headers: ['If-Match', 'Idempotency-Key'],
    body: decisionBody,
    answers: { 200: 'Approval' },
    faults: ['not_found', 'not_permitted', 'self_approval', 'scope_not_allowed', 'already_decided', 'version_conflict', 'comment_required', 'confirmation_required', 'fetch_failed', 'version_required', 'audit_unavailable'],
    handle: (call) => decide(call, context),
  }
  const snoozeRoute: Route<SnoozeBody> = {
    method: 'POST',
    path: '/v1/approvals/{id}/snooze',
    name: 'snoozeApproval',
    summary: 'Take it out of the inbox until a time. It is neither allowed nor denied.',
    needs: ['review'],
    headers: ['If-Match', 'Idempotency-Key'],
    body: snoozeBody,
    answers: { 200: 'Approval' },
    faults: ['not_found', 'not_permitted', 'already_decided', 'version_conflict', 'version_required', 'audit_unavailable'],
    handle: (call) => {
      const version = requiredVersion(call.request.headers['if-match'])
      const untilMs = timeFrom(call.body, deps.clock.now())
      if (untilMs === undefined) throw invalidTime('say `until` or `duration`')
      return changed(call, context, () => deps.desk.snooze(call.id, untilMs, version, call.actor))
    },
  }
  const streamRoute: Route = {
    method: 'GET',
    path: '/v1/approvals/stream',
    name: 'streamApprovals',
    summary: 'Server-sent events `approval`, `grant` and `proposal`: kind and id of what changed. `resync`: some were left out, read again.',
    needs: ['read'],
    answers: { 200: object({ kind: string, id: string }) },
    isStream: true,
    handle: (call) => streamChanges(call, context),
  }
  return [listRoute, streamRoute, getRoute, decideRoute, snoozeRoute]
}

async function listApprovals(call: Call<unknown, ListQuery>, context: ControlContext): Promise<Answer> {
  const { desk, limits } = context.deps
  const { state, session, host, cursor } = call.query
  const limit = Number(call.query.limit ?? '50')
  const read = (): readonly Approval[] => desk.list({ state, session, host }, call.actor, cursor, limit + 1)
  const waitMs = waitOf(fieldOf(call, 'prefer'), limits.maxWaitMs)
  let found = read()
  if (found.length === 0 && waitMs !== undefined) found = (await context.hold(call, () => untilFound(read, context, waitMs, call))) ?? []
  const items = found.slice(0, limit)
  return {
    headers: applied(waitMs),
    body: { items: items.map(approvalJson), next_cursor: found.length > limit ? (items.at(-1)?.id ?? null) : null },
  }
}

/** Looks again after every change, until there is something, the time is up or the client left. */
function untilFound(read: () => readonly Approval[], { deps: { desk } }: ControlContext, ms: number, { reply }: Call): Promise<readonly Approval[]> {
  return new Promise((resolve, reject) => {
    const finish = (found: readonly Approval[]): void => {
      clearTimeout(timer)
      unsubscribe()
      reply.raw.off('close', leave)
      resolve(found)
    }
    const leave = (): void => finish([])
    const look = (): void => {
      try {
        const found = read()
        if (found.length > 0) finish(found)
      } catch (error) {
        leave()
        reject(error)
      }
    }
    const timer = setTimeout(leave, ms)
    const unsubscribe = desk.onChange(({ kind }) => {
      if (kind === 'approval') look()
    })
    reply.raw.once('close', leave)
  })
}

async function getApproval(call: Call, context: ControlContext): Promise<Answer> {
  const { desk, card, limits } = context.deps
  const has = fieldOf(call, 'if-none-match')
  const waitMs = waitOf(fieldOf(call, 'prefer'), limits.maxWaitMs)
  let approval = seen(call, context)
  if (waitMs !== undefined && hasVersion(has, approval.version)) {
    const { version } = approval
    await context.hold(call, () => desk.wait(call.id, version, waitMs))
    approval = seen(call, context)
  }
  const headers = { etag: etagOf(approval.version), ...applied(waitMs) }
  return hasVersion(has, approval.version) ? { status: 304, headers } : { headers, body: cardJson(card(approval, call.actor)) }
}

function decide(call: Call<DecisionBody>, context: ControlContext): Promise<Answer> {
  const { desk, clock } = context.deps
  const version = requiredVersion(call.request.headers['if-match'])
  const { verdict, term = 'once', subdomains = false, all_ports: allPorts = false, who = 'session', comment, fetch: isFetch = false, confirmed: isConfirmed = false } = call.body
  const untilMs = timeFrom(call.body, clock.now())
  if (term === 'until' && untilMs === undefined) throw invalidTime('term `until` needs `until` or `duration`')
  if (term !== 'until' && untilMs !== undefined) throw invalidTime(`goes with term \`until\`, not \`${term}\``)
  const answer: Decided = { verdict, term, untilMs, subdomains, allPorts, who, comment, version, isFetch, isConfirmed }
  return changed(call, context, () => desk.decide(call.id, answer, call.actor))
}

/** The approval after `change`; when it is no longer what the caller saw, the refusal shows what it is now. */
async function changed(call: Call, context: ControlContext, change: () => Promise<Approval>): Promise<Answer> {
  seen(call, context)
  try {
    const approval = await change()
    return { headers: { etag: etagOf(approval.version) }, body: approvalJson(approval) }
  } catch (error) {
    if (!(error instanceof ReviewFault) || (error.code !== 'already_decided' && error.code !== 'version_conflict')) throw error
    const now = context.deps.desk.get(call.id, call.actor)
    if (now === undefined) throw error
    throw new ControlFault(error.code, error.message, { headers: { etag: etagOf(now.version) }, members: { approval: approvalJson(now) } })
  }
}

function seen(call: Call, { deps: { desk } }: ControlContext): Approval {
  const approval = desk.get(call.id, call.actor)
  if (approval === undefined) throw new ControlFault('not_found', 'there is no such approval')
  return approval
}

async function streamChanges(call: Call, context: ControlContext): Promise<undefined> {
  const { desk, onFault } = context.deps
  const stream = await context.openStream(call)
  let isBehind = false
  const maySee = (kind: string, id: string): boolean => {
    try {
      return kind !== 'approval' || desk.get(id, call.actor) !== undefined
    } catch (error) {
      // whoever made the change has no part in this
      onFault(error)
      return false
    }
  }
  const unsubscribe = desk.onChange(({ kind, id }) => {
    if (isBehind || !maySee(kind, id)) return
    if (!stream.isSlow) {
      void stream.send({ event: kind, data: { kind, id } })
      return
    }
    // what a slow reader misses is not kept for it: it is told to look again
    isBehind = true
    void stream.drained().then(() => {
      isBehind = false
      return stream.send({ event: 'resync', data: { kind: 'all', id: '' } })
    })
  })
  stream.signal.addEventListener('abort', unsubscribe, { once: true })
  if (stream.signal.aborted) unsubscribe()
  return undefined
}

/** The time that `until` or `duration` names; undefined when neither is there. */
function timeFrom({ until, duration }: SnoozeBody, nowMs: number): number | undefined {
  if (until !== undefined && duration !== undefined) throw invalidTime('say `until` or `duration`, not both')
  if (until === undefined && duration === undefined) return undefined
  const ms = until === undefined ? nowMs + (parseDuration(duration ?? '') ?? Number.NaN) : Date.parse(until)
  if (!Number.isFinite(ms) || ms > maxTimeMs) throw invalidTime('is no time', until === undefined ? '/duration' : '/until')
  if (ms <= nowMs) throw invalidTime('is in the past')
  return ms
}

/** 9999-12-31: what RFC 3339 can write. */
const maxTimeMs = 253_402_300_799_000

function invalidTime(message: string, pointer = '/until'): ControlFault {
  return new ControlFault('invalid', 'the body is not what this call takes', { errors: [{ pointer, message }] })
}

function fieldOf({ request }: Call, name: 'prefer' | 'if-none-match'): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}

function applied(waitMs: number | undefined): Readonly<Record<string, string>> {
  return waitMs === undefined ? {} : { 'preference-applied': `wait=${waitMs / 1000}` }
}
