// The runs of agents: who they are, whose they are, when they were last seen. Tokens stand nowhere here.
import type { Session } from '../../approvals/session.ts'
import { counted, emptyState } from './facts-list.ts'
import { html, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { mayEnd } from './permissions.ts'
import { ago, spanText, until } from './times.ts'

export function sessionsPage(view: View, sessions: readonly Session[], fault?: string): Page {
  const live = sessions.filter(({ endedMs }) => endedMs === undefined).length
  return {
    title: 'Sessions',
    place: 'sessions',
    main: html`
<div class="head"><h1>Sessions</h1><p class="quiet">${counted(live, 'live session')}</p><a class="reload" href="/sessions">Reload</a></div>
${fault === undefined ? undefined : html`<p class="fault" role="alert">${fault}</p>`}
${sessions.length === 0
  ? emptyState('No sessions', 'A session is one run of an agent. sallyport sessions create --agent NAME makes one; it appears here.')
  : html`<ul class="rows">${sessions.map((session) => row(view, session))}</ul>`}`,
  }
}

function row(view: View, session: Session): Html {
  const { nowMs } = view
  const { id, principal, hold, unattended, createdMs, createdBy, expiresMs, endedMs, lastSeenMs } = session
  const isLive = endedMs === undefined && (expiresMs === undefined || expiresMs > nowMs)
  return html`
    <li class="${isLive ? 'row' : 'row is-over'}">
      <div class="row-head"><strong>${principal.agent}</strong> <span class="mono">${id}</span>${unattended ? html` <span class="chip">unattended</span>` : undefined}${isLive ? undefined : html` <span class="chip">ended</span>`}</div>
      <p class="meta"><span>${principal.owner === undefined ? 'no owner' : `of ${principal.owner}`}${principal.team === undefined ? '' : `, team ${principal.team}`}</span><span>made ${ago(createdMs, nowMs)} by ${createdBy}</span><span>${lastSeenMs === undefined ? 'not used yet' : html`last seen ${ago(lastSeenMs, nowMs)}`}</span><span>${end(session, nowMs)}</span>${unattended || !isLive ? undefined : html`<span>questions wait ${hold === 'auto' ? 'as long as the client does' : spanText(hold)}</span>`}</p>
      ${isLive && mayEnd(view.actor, session) ? html`
      <details class="step"><summary>End</summary>
        <form method="post" action="/sessions/${id}/end"><input type="hidden" name="csrf" value="${view.csrf}">
          <p>Its credentials stop working, its questions are withdrawn, its grants and tunnels closed.</p>
          <button type="submit" class="deny">End this session</button></form>
      </details>` : undefined}
    </li>`
}

function end({ expiresMs, endedMs }: Session, nowMs: number): Html {
  if (endedMs !== undefined) return html`ended ${ago(endedMs, nowMs)}`
  return expiresMs === undefined ? html`until it is ended` : html`until ${until(expiresMs, nowMs)}`
}
