// The questions that wait for an answer, grouped as people think of them: by what was registered, agent and
// team. The order is that of first asking, so that asking again moves nobody to the top.
import type { Approval } from '../../approvals/approval.ts'
import { registrableDomain } from '../../target/registrable-domain.ts'
import { counted, emptyState, shortened } from './facts-list.ts'
import { hostName, schemeAndPort } from './host-name.ts'
import { html, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { ago, since, until } from './times.ts'

export interface Queue {
  readonly approvals: readonly Approval[]
  /** there are more than these */
  readonly hasMore: boolean
  /** the one that was just answered or put off, as it is now */
  readonly about: Approval | undefined
}

interface Group {
  readonly domain: string
  readonly agent: string
  readonly team: string | undefined
  readonly approvals: readonly Approval[]
}

export function queuePage(view: View, { approvals, hasMore, about }: Queue): Page {
  const { nowMs } = view
  const isSnoozed = ({ snoozedUntilMs }: Approval): boolean => snoozedUntilMs !== undefined && snoozedUntilMs > nowMs
  const open = approvals.filter((approval) => !isSnoozed(approval)).toSorted(newestWaitingFirst)
  const snoozed = approvals.filter(isSnoozed).toSorted(newestWaitingFirst)
  const waiting = open.filter((approval) => approval.waiting > 0).length
  return {
    title: waiting > 0 ? `(${waiting}) Questions` : 'Questions',
    place: 'questions',
    shows: approvals.map(({ id, version, waiting: held, snoozedUntilMs, fetching }) => [id, version, held > 0, snoozedUntilMs, fetching?.sinceMs]),
    main: html`
<div class="head"><h1>Questions</h1><p class="quiet">${summary(open, waiting)}</p><a class="reload" href="/">Reload</a></div>
${about === undefined ? undefined : notice(about, nowMs)}
${open.length === 0 ? nothing(snoozed.length) : groups(open).map((group) => groupOf(group, nowMs))}
${snoozed.length === 0 ? undefined : html`<details class="snoozed"><summary>${counted(snoozed.length, 'snoozed question')}</summary>${groups(snoozed).map((group) => groupOf(group, nowMs))}</details>`}
${hasMore ? html`<p class="quiet">There are more: answer some of these, and the next ones appear.</p>` : undefined}`,
  }
}

function summary(open: readonly Approval[], waiting: number): string {
  if (open.length === 0) return 'nothing waits for an answer'
  return waiting === 0 ? `${counted(open.length, 'open question')}, nobody waiting` : `${counted(open.length, 'open question')}, ${waiting} with somebody waiting`
}

function nothing(snoozed: number): Html {
  return emptyState(
    snoozed === 0 ? 'No questions' : 'No questions but the snoozed ones',
    'When an agent wants to reach a host that no rule names, it is held, and its question appears here. This page follows by itself.',
  )
}

/** Those whose client is held now come first; then by first asking, newest first. */
function newestWaitingFirst(a: Approval, b: Approval): number {
  return Number(b.waiting > 0) - Number(a.waiting > 0) || b.firstSeenMs - a.firstSeenMs
}

/** Groups in the order of their first members. */
function groups(approvals: readonly Approval[]): readonly Group[] {
  const byKey = new Map<string, { domain: string; agent: string; team: string | undefined; approvals: Approval[] }>()
  for (const approval of approvals) {
    const { host, agent, team } = approval
    const domain = registrableDomain(host) ?? host
    const key = JSON.stringify([domain, agent, team])
    const group = byKey.get(key)
    if (group === undefined) byKey.set(key, { domain, agent, team, approvals: [approval] })
    else group.approvals.push(approval)
  }
  return [...byKey.values()]
}

function groupOf({ domain, agent, team, approvals }: Group, nowMs: number): Html {
  return html`
<section class="group">
  <h2><strong>${agent}</strong>${team === undefined ? undefined : html` in team ${team}`} · <span class="mono wrap">${domain}</span>${approvals.length > 1 ? html` <span class="count">${approvals.length}</span>` : undefined}</h2>
  <ul class="rows">${approvals.map((approval) => row(approval, nowMs))}
  </ul>
</section>`
}

function row(approval: Approval, nowMs: number): Html {
  const { id, kind, method, url, upgrade, statedReason, session, owner, attempts, firstSeenMs, firstYes, snoozedUntilMs, fetching } = approval
  return html`
    <li class="${approval.waiting > 0 ? 'row is-waiting' : 'row'}">
      <div class="row-head"><a class="row-link" href="/approvals/${id}" data-row="${id}" aria-label="${approval.host}">${hostName(approval.host)}</a><span class="chips">${schemeAndPort(approval)}${upgrade === undefined ? undefined : html` <span class="chip">WebSocket</span>`}${kind === 'fetch' ? html` <span class="chip">page not in the cache</span>` : undefined}</span></div>
      ${method === undefined && url === undefined ? undefined : html`<p class="request mono">${method} ${url === undefined ? undefined : shortened(url, 160)}</p>`}
      ${statedReason === undefined ? undefined : html`<p class="says"><span class="label">The agent says</span> ${shortened(statedReason.replace(/\s+/g, ' '), 160)}</p>`}
      <p class="meta">${waitingMark(approval, nowMs)}<span>asked ${attempts === 1 ? 'once' : `${attempts} times`}, first ${ago(firstSeenMs, nowMs)}</span><span>session <span class="mono">${session}</span>${owner === undefined ? undefined : html` of ${owner}`}</span>${firstYes === undefined ? undefined : html`<span>${firstYes.by} said yes, one more is needed</span>`}${fetching === undefined ? undefined : html`<span>${fetching.by} has it fetched, since ${since(fetching.sinceMs, nowMs)}</span>`}${snoozedUntilMs === undefined || snoozedUntilMs <= nowMs ? undefined : html`<span>snoozed until ${until(snoozedUntilMs, nowMs)}</span>`}</p>
    </li>`
}

/**
 * `2 waiting, 12 s`. When every exchange that asked is still held, the first one has waited since the first
 * asking; after retries all that is known is when the last one came.
 */
export function waitingMark({ waiting, attempts, firstSeenMs, lastSeenMs }: Approval, nowMs: number): Html {
  if (waiting === 0) return html`<span class="mark-nobody">nobody waiting</span>`
  return html`<span class="mark-waiting">${waiting} waiting, ${since(attempts <= waiting ? firstSeenMs : lastSeenMs, nowMs)}</span>`
}

/** What became of a question, in one sentence. */
export function outcomeText({ host, kind, state, decision, firstYes, snoozedUntilMs }: Approval, nowMs: number): string | undefined {
  if (decision !== undefined) {
    const second = decision.secondBy === undefined ? '' : ` and ${decision.secondBy}`
    if (decision.isFetched === true) return `A page of ${host} was fetched into the cache by ${decision.by}${second}. Nothing was opened.${decision.fetchNote === undefined ? '' : ` But ${decision.fetchNote}.`}`
    if (kind === 'fetch') return decision.verdict === 'allow' ? `${host} may be read live, ${termTexts[decision.term]}, by ${decision.by}${second}.` : `A page of ${host} was denied ${termTexts[decision.term]} by ${decision.by}.`
    return `${host} was ${decision.verdict === 'allow' ? 'allowed' : 'denied'} ${termTexts[decision.term]} by ${decision.by}${second}.`
  }
  if (state === 'expired') return `The question about ${host} expired without an answer: the agent was refused.`
  if (state === 'withdrawn') return `The question about ${host} was withdrawn: its session ended, policy answers it now, or its page was fetched for somebody else.`
  if (firstYes?.answer.isFetch === true) return `${firstYes.by} would have a page of ${host} fetched. That takes a second person.`
  if (firstYes !== undefined) return `${firstYes.by} said yes to ${host}. It stays closed until a second person does.`
  if (snoozedUntilMs !== undefined && snoozedUntilMs > nowMs) return `${host} is snoozed. It is neither allowed nor denied.`
  return undefined
}

const termTexts = { once: 'once', session: 'for the session', until: 'for a time', always: 'for good' } as const

function notice(approval: Approval, nowMs: number): Html | undefined {
  const text = outcomeText(approval, nowMs)
  return text === undefined ? undefined : html`<p class="notice" role="status">${text} <a href="/approvals/${approval.id}">Look at it</a></p>`
}
