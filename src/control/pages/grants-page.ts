// What answers opened and closed, and until when. Revoking takes two steps, since it may cut what runs.
import { isPageDigest } from '../../approvals/question.ts'
import { liveReading, type Grant } from '../../policy/grant.ts'
import { counted, emptyState } from './facts-list.ts'
import { hostName, schemeAndPort } from './host-name.ts'
import { html, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { mayReview } from './permissions.ts'
import { ago, until } from './times.ts'

export function grantsPage(view: View, grants: readonly Grant[], fault?: string): Page {
  const newestFirst = grants.toSorted((a, b) => b.createdMs - a.createdMs)
  return {
    title: 'Grants',
    place: 'grants',
    shows: newestFirst.map(({ id }) => id),
    main: html`
<div class="head"><h1>Grants</h1><p class="quiet">${grants.length === 0 ? 'nothing is open by an answer' : `${counted(grants.length, 'grant')} in force`}</p><a class="reload" href="/grants">Reload</a></div>
${fault === undefined ? undefined : html`<p class="fault" role="alert">${fault}</p>`}
${grants.length === 0
  ? emptyState('No grants', 'What a reviewer allows or denies for more than a moment appears here, until it ends or is revoked.')
  : html`<ul class="rows">${newestFirst.map((grant) => row(view, grant))}</ul>`}`,
  }
}

function row(view: View, grant: Grant): Html {
  const { nowMs } = view
  const { id, approvalId, verdict, subdomains, by, createdMs } = grant
  const about = aboutOf(grant)
  return html`
    <li class="row">
      <div class="row-head"><span class="${verdict}-mark">${verdict === 'allow' ? 'Allowed' : 'Denied'}</span> <a class="row-link" href="/approvals/${approvalId}" data-row="${id}" aria-label="${grant.host}">${hostName(grant.host)}</a><span class="chips">${schemeAndPort(grant)}${subdomains ? html` <span class="chip unusual">and below</span>` : undefined}${about === undefined ? undefined : html` <span class="chip">${about}</span>`}</span></div>
      <p class="meta"><span>${holder(grant)}</span><span>${end(grant, nowMs)}</span><span>by ${by}, ${ago(createdMs, nowMs)}</span></p>
      ${mayReview(view.actor) ? html`
      <details class="step"><summary>Revoke</summary>
        <form method="post" action="/grants/${id}/revoke"><input type="hidden" name="csrf" value="${view.csrf}">
          <p>${verdict === 'allow' ? 'What it opened is closed, open tunnels within seconds.' : 'The host is asked about again.'}</p>
          <button type="submit" class="deny">Revoke this grant</button></form>
      </details>` : undefined}
    </li>`
}

/** What it is about, where that is less than the host. */
function aboutOf({ requestDigest }: Grant): string | undefined {
  if (requestDigest === liveReading) return 'reading it live'
  if (requestDigest === undefined) return undefined
  return isPageDigest(requestDigest) ? 'one page' : 'one request'
}

function holder({ who, holder: name }: Grant): Html {
  if (who === 'session') return html`for session <span class="mono">${name}</span>`
  return who === 'agent' ? html`for every session of ${name}` : html`for everybody in team ${name}`
}

function end({ term, expiresMs }: Grant, nowMs: number): Html {
  if (expiresMs === undefined) return term === 'session' ? html`as long as the session` : html`without an end`
  return html`${term === 'once' ? 'once, ' : undefined}until ${until(expiresMs, nowMs)}`
}
