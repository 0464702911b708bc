// The second step of a wide or lasting answer, or of a fetch that is to be looked at twice: exactly what it opens or closes, until when, for whom. What
// is confirmed is what stands here: the seal covers every field, so another answer is asked about again.
import type { Answer, Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import { factsList } from './facts-list.ts'
import { sealOf } from './form-fields.ts'
import { fullName, hostName } from './host-name.ts'
import { html, textLines, Verbatim, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { doubtsList, readers, wholeUrl } from './page-url.ts'
import { until } from './times.ts'

/** What says that this answer to this question was shown to this reader. */
export function confirmationOf(key: Uint8Array, secret: string, id: string, answer: Answer): string {
  const { verdict, term, untilMs, subdomains, allPorts, who, comment, version, isFetch = false } = answer
  return sealOf(key, 'answer', secret, id, JSON.stringify([verdict, term, untilMs, subdomains, allPorts, who, comment, version, isFetch]))
}

export function confirmPage(view: View, card: Card, answer: Answer, confirmation: string): Page {
  const { approval } = card
  if (answer.isFetch === true) return fetchPage(view, card, answer, confirmation)
  const isAllow = answer.verdict === 'allow'
  return {
    title: `${isAllow ? 'Allow' : 'Deny'} ${approval.host}?`,
    place: 'questions',
    main: html`
<div class="confirm">
  <p class="kicker">${isAllow ? 'Allow' : 'Deny'} more than was asked?</p>
  <h1 class="target" aria-label="${approval.host}">${hostName(approval.host)}</h1>
  ${fullName(approval.host)}
  ${factsList([
    [isAllow ? 'Opens' : 'Closes', what(card, answer)],
    ['Until', howLong(view, card, answer)],
    ['For', forWhom(card, answer)],
    ['Comment', answer.comment === undefined ? undefined : textLines(answer.comment)],
  ])}
  ${confirmForm(view, approval, { answer, confirmation, text: isAllow ? 'Allow all of this' : 'Deny all of this' })}
</div>`,
  }
}

/** All of the URL, and what is odd about it. */
function fetchPage(view: View, card: Card, answer: Answer, confirmation: string): Page {
  const { approval } = card
  return {
    title: `Fetch a page of ${approval.host}?`,
    place: 'questions',
    main: html`
<div class="confirm">
  <p class="kicker">Look at the whole URL again: it may carry something out</p>
  <h1 class="target" aria-label="${approval.host}">${hostName(approval.host)}</h1>
  ${fullName(approval.host)}
  ${wholeUrl(approval)}
  ${doubtsList(card)}
  ${factsList([
    ['Sends', 'a GET request with this URL, all of it, and nothing else of the agent’s'],
    ['Opens', 'nothing: the page is put into the cache'],
    ['Read by', readers(approval)],
    ['Comment', answer.comment === undefined ? undefined : textLines(answer.comment)],
  ])}
  ${confirmForm(view, approval, { answer, confirmation, text: 'Fetch this URL' })}
</div>`,
  }
}

interface Confirmed {
  readonly answer: Answer
  readonly confirmation: string
  readonly text: string
}

function confirmForm(view: View, { id }: Approval, { answer, confirmation, text }: Confirmed): Html {
  return html`<form method="post" action="/approvals/${id}/decision" class="buttons">
    <input type="hidden" name="csrf" value="${view.csrf}">
    <input type="hidden" name="confirmed" value="${confirmation}">
    ${hiddenFields(answer)}
    <a class="button" href="/approvals/${id}" data-up>Back</a>
    <button type="submit" class="${answer.verdict}">${text}</button>
  </form>`
}

function hiddenFields({ verdict, term, untilMs, subdomains, allPorts, who, comment, version, isFetch }: Answer): readonly Html[] {
  const fields: readonly (readonly [name: string, value: string])[] = [
    ['verdict', isFetch === true ? 'fetch' : verdict],
    ['term', term],
    ['until', untilMs === undefined ? '' : String(untilMs)],
    ['subdomains', subdomains ? 'yes' : ''],
    ['all_ports', allPorts ? 'yes' : ''],
    ['who', who],
    ['comment', comment ?? ''],
    ['version', String(version)],
  ]
  return fields.map(([name, value]) => html`<input type="hidden" name="${name}" value="${new Verbatim(value)}">`)
}

function what({ approval }: Card, { subdomains, allPorts, verdict }: Answer): Html {
  const { kind, scheme, host, port, method, url } = approval
  if (kind === 'request') return html`<ul class="plain-list"><li>this one request only: <span class="mono wrap">${method} ${url}</span></li></ul>`
  if (kind === 'fetch' && verdict === 'deny') return html`<ul class="plain-list"><li>this one page only: <span class="mono wrap">${url}</span></li></ul>`
  return html`<ul class="plain-list">
    ${kind === 'fetch' ? html`<li>reading live, by GET and HEAD and nothing else, of</li>` : undefined}
    <li><strong class="mono wrap">${host}</strong></li>
    ${subdomains ? html`<li><strong class="mono wrap">*.${host}</strong> every name below it, at any depth</li>` : undefined}
    <li>${allPorts ? html`<strong>every port</strong> that policy does not deny, http and https` : html`${scheme} on port ${port}`}</li>
  </ul>`
}

function howLong({ nowMs }: View, { approval }: Card, { term, untilMs, verdict }: Answer): Html {
  if (term === 'until' && untilMs !== undefined) return until(untilMs, nowMs)
  if (term === 'session') return html`session <span class="mono">${approval.session}</span> ends`
  if (term === 'once') return html`whoever waits has been answered, or the first retry`
  if (approval.kind !== 'host') return html`<strong>no end</strong>: for as long as a grant may last; no rule is made of it`
  return html`<strong>no end</strong>: in force at once for as long as a grant may last, and as a rule to ${verdict} it for all sessions of the agent: proposed to the admins, or written at once when an admin answers`
}

function forWhom({ approval }: Card, { who }: Answer): Html {
  const { session, agent, team } = approval
  if (who === 'agent') return html`<strong>every session of ${agent}</strong>, now and later`
  if (who === 'team') return html`<strong>everybody in team ${team}</strong>, every agent and every session`
  return html`session <span class="mono">${session}</span> of ${agent} only`
}
