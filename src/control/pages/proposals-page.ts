// What reviewers answered with `always`: proposals for a rule. An admin's yes writes the policy file, and takes
// two steps; what would be written stands between them.
import type { Proposal } from '../../approvals/desk.ts'
import { counted, emptyState } from './facts-list.ts'
import { html, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { mayResolveProposals } from './permissions.ts'
import { ago } from './times.ts'

export function proposalsPage(view: View, proposals: readonly Proposal[], fault?: string): Page {
  const open = proposals.filter(({ state }) => state === 'open').toSorted(newestFirst)
  const resolved = proposals.filter(({ state }) => state !== 'open').toSorted(newestFirst)
  return {
    title: 'Proposals',
    place: 'proposals',
    shows: proposals.map(({ id, state }) => [id, state]),
    main: html`
<div class="head"><h1>Proposals</h1><p class="quiet">${open.length === 0 ? 'none is open' : counted(open.length, 'open proposal')}</p><a class="reload" href="/proposals">Reload</a></div>
${fault === undefined ? undefined : html`<p class="fault" role="alert">${fault}</p>`}
${open.length === 0
  ? emptyState('No open proposals', 'When a reviewer answers “always”, a rule is proposed here, and an admin decides whether it becomes policy.')
  : html`<ul class="rows">${open.map((proposal) => row(view, proposal))}</ul>`}
${resolved.length === 0 ? undefined : html`<details class="snoozed"><summary>${resolved.length} decided</summary><ul class="rows">${resolved.map((proposal) => row(view, proposal))}</ul></details>`}`,
  }
}

function newestFirst(a: Proposal, b: Proposal): number {
  return b.createdMs - a.createdMs
}

function row(view: View, proposal: Proposal): Html {
  const { id, approvalId, verdict, pattern, by, createdMs, state, decidedBy } = proposal
  return html`
    <li class="row">
      <div class="row-head"><span class="${verdict}-mark">${verdict === 'allow' ? 'Allow' : 'Deny'}</span> <a class="row-link mono wrap" href="/approvals/${approvalId}" data-row="${id}">${pattern}</a></div>
      <p class="meta"><span>for ${forWhom(proposal)}</span><span>proposed by ${by}, ${ago(createdMs, view.nowMs)}</span>${state === 'open' ? undefined : html`<span>${state}${decidedBy === undefined ? '' : ` by ${decidedBy}`}</span>`}</p>
      ${state === 'open' && mayResolveProposals(view.actor) ? steps(view, proposal) : undefined}
    </li>`
}

function steps(view: View, proposal: Proposal): Html {
  const { id, verdict, pattern } = proposal
  return html`
      <details class="step"><summary>Decide</summary>
        <form method="post" action="/proposals/${id}/decision"><input type="hidden" name="csrf" value="${view.csrf}">
          <p>Accepting writes a rule to <span class="mono">90-approved.toml</span>: ${verdict} <strong class="mono wrap">${pattern}</strong> for <strong>${forWhom(proposal)}</strong>, without an end. A deny that policy already holds stays a deny.</p>
          <div class="buttons"><button type="submit" name="accept" value="no">Reject</button><button type="submit" name="accept" value="yes">Accept</button></div></form>
      </details>`
}

function forWhom({ agent, team }: Proposal): string {
  if (agent !== undefined) return team === undefined ? `every session of ${agent}` : `every session of ${agent} in team ${team}`
  return team === undefined ? 'every agent' : `everybody in team ${team}`
}
