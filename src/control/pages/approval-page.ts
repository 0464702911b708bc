// One question with everything that is known of it, and the form that answers it. The ASCII form of the host
// comes first and biggest. Nothing here is a link to the destination, and nothing has asked a name server.
import type { Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import type { RuleRef } from '../../policy/decision.ts'
import { answerForm, emptyDraft, snoozeForm, type Draft } from './answer-form.ts'
import { factsList, shortened } from './facts-list.ts'
import { fullName, hostName, schemeAndPort } from './host-name.ts'
import { html, textLines, type Html } from './html.ts'
import type { Page, View } from './layout.ts'
import { doubtsList, wholeUrl } from './page-url.ts'
import { mayReview } from './permissions.ts'
import { outcomeText, waitingMark } from './queue-page.ts'
import { ago, dateText, until } from './times.ts'

/** Longest URL that is shown without being asked for. */
const shownUrl = 400

/** `fault`: why the last try to answer did nothing; `draft`: what it said. */
export function approvalPage(view: View, card: Card, fault?: string, draft: Draft = emptyDraft): Page {
  const { approval } = card
  return {
    title: approval.host,
    place: 'questions',
    shows: [approval.version, approval.state, approval.waiting > 0, approval.snoozedUntilMs, approval.fetching?.sinceMs],
    main: html`
<p class="crumbs"><a href="/" data-up>Questions</a></p>
${fault === undefined ? undefined : html`<p class="fault" role="alert" tabindex="-1" autofocus>${fault}</p>`}
<div class="card">
  <div class="asked">
    ${heading(card)}
    ${approval.kind === 'fetch' ? html`${wholeUrl(approval)}${doubtsList(card)}` : request(approval)}
    ${card.hints.length === 0 ? undefined : html`<ul class="hints" aria-label="Worth knowing">${card.hints.map(({ code, text }) => html`<li data-hint="${code}">${text}</li>`)}</ul>`}
    ${approval.statedReason === undefined ? undefined : html`<figure class="says"><figcaption class="label">The agent says</figcaption><blockquote>${textLines(approval.statedReason)}</blockquote></figure>`}
  </div>
  <aside class="answering" aria-label="Answer">${approval.state === 'pending' ? pending(view, card, draft) : outcome(view, approval)}</aside>
  <div class="context">${context(view, card)}</div>
</div>`,
  }
}

function heading({ approval, unicodeHost }: Card): Html {
  const { host, agent, kind, upgrade } = approval
  return html`<p class="kicker"><strong>${agent}</strong> asks to ${kind === 'fetch' ? 'read a page that is not in the cache, of' : kind === 'request' ? 'send one request to' : 'reach'}</p>
    <h1 class="target" aria-label="${host}">${hostName(host)}</h1>
    ${unicodeHost === undefined ? undefined : html`<p class="unicode">reads as <bdi>${unicodeHost}</bdi></p>`}
    ${fullName(host)}
    <p class="chips">${schemeAndPort(approval)}${upgrade === undefined ? undefined : html` <span class="chip">WebSocket</span>`}</p>`
}

function request({ method, url }: Approval): Html | undefined {
  if (method === undefined && url === undefined) return undefined
  const isCut = url !== undefined && url.length > shownUrl
  return html`<p class="request mono"><strong>${method}</strong> ${url === undefined ? undefined : shortened(url, shownUrl)}</p>
    ${isCut ? html`<details class="whole"><summary>The whole URL</summary><p class="request mono scroll" tabindex="0">${url}</p></details>` : undefined}`
}

function pending(view: View, card: Card, draft: Draft): Html {
  const { approval } = card
  const { snoozedUntilMs, expiresMs } = approval
  return html`
    <p class="meta">${waitingMark(approval, view.nowMs)}<span>expires ${until(expiresMs, view.nowMs)}</span></p>
    ${snoozedUntilMs === undefined || snoozedUntilMs <= view.nowMs ? undefined : html`<p class="note">Snoozed until ${until(snoozedUntilMs, view.nowMs)}.</p>`}
    ${answerForm(view, card, draft)}
    ${mayReview(view.actor) ? snoozeForm(view, card) : undefined}`
}

function outcome({ nowMs }: View, approval: Approval): Html {
  const { decision } = approval
  return html`<p class="outcome">${outcomeText(approval, nowMs)}</p>
    ${decision === undefined ? undefined : factsList([
      ['When', ago(decision.atMs, nowMs)],
      ['Missing', decision.fetchNote],
      ['Comment', decision.comment === undefined ? undefined : textLines(decision.comment)],
      ['Grant', decision.grantId === undefined ? undefined : html`<a href="/grants">${decision.grantId}</a>`],
    ])}`
}

function context(view: View, card: Card): Html {
  return html`${whoAsks(view, card)}${whyAsked(card)}${whoElse(card)}${similar(view, card)}${patterns(card)}`
}

function whoAsks({ nowMs }: View, { approval }: Card): Html {
  const { session, agent, owner, team, userAgent, clientAddress, advisory, attempts, firstSeenMs, lastSeenMs } = approval
  return html`
    <section><h2>Who asks</h2>${factsList([
      ['Agent', agent],
      ['Session', html`<span class="mono">${session}</span>`],
      ['Owner', owner],
      ['Team', team],
      ['Program', userAgent === undefined ? undefined : shortened(userAgent, 300)],
      ['Address', html`<span class="mono">${clientAddress}</span>`],
      ['Trust', advisory ? 'advisory: the agent runs as the proxy’s own user and could go around it' : undefined],
      ['Asked', html`${attempts === 1 ? 'once' : `${attempts} times`}, first ${ago(firstSeenMs, nowMs)}, last ${ago(lastSeenMs, nowMs)}`],
    ])}</section>`
}

function whyAsked({ approval, nearestRules, registrableDomain }: Card): Html {
  return html`
    <section><h2>Why policy asks</h2><p>${approval.reason}${approval.isReview ? '. This is always reviewed.' : ''}</p>
    ${factsList([['Rule', approval.rule === undefined ? undefined : ruleText(approval.rule)], ['Registered', registrableDomain === undefined ? undefined : html`<span class="mono wrap">${registrableDomain}</span>`]])}
    ${nearestRules.length === 0 ? undefined : html`<h3>Nearest rules</h3><ul class="plain-list">${nearestRules.map(({ rule, why }) => html`<li>${ruleText(rule)}<br><span class="quiet">${why}</span></li>`)}</ul>`}</section>`
}

function ruleText({ id, pattern, file, line }: RuleRef): Html {
  return html`<span class="mono wrap">${id}</span> <span class="mono wrap">${pattern}</span> <span class="quiet wrap">${line === 0 ? file : `${file}:${line}`}</span>`
}

function whoElse({ others }: Card): Html | undefined {
  if (others.length === 0) return undefined
  return html`
    <section><h2>Who else</h2><ul class="plain-list">${others.map(({ agent, session, state }) => html`<li>${agent}, session <span class="mono">${session}</span>: ${state}</li>`)}</ul></section>`
}

function similar({ nowMs }: View, card: Card): Html | undefined {
  if (card.similar.length === 0) return undefined
  return html`
    <section><h2>Earlier answers</h2><ul class="plain-list">${card.similar.map(({ approvalId, host, verdict, term, by, atMs, comment }) => html`<li><span class="${verdict}-mark">${verdict === 'allow' ? 'Allowed' : 'Denied'}</span> <a class="mono wrap" href="/approvals/${approvalId}">${host}</a> <span class="quiet">${term}, by ${by}, ${ago(atMs, nowMs)}, ${dateText(atMs)}</span>${comment === undefined ? undefined : html`<br>“${textLines(comment)}”`}</li>`)}</ul></section>`
}

function patterns(card: Card): Html | undefined {
  if (card.patterns.length === 0) return undefined
  return html`
    <section><h2>Patterns that would cover it</h2><p class="quiet">For a rule of your own, narrowest first.</p><ul class="plain-list">${card.patterns.map((pattern) => html`<li class="mono wrap">${pattern}</li>`)}</ul></section>`
}
