// The form that answers a question, and how it is read. Everything wider than what was asked stands apart,
// is off, and leads to a second page. It must never let Enter allow or deny: the form's default button, which
// Enter presses in most fields, says neither.
import { ReviewFault } from '../../approvals/review-fault.ts'
import type { Answer, Approval } from '../../approvals/approval.ts'
import type { Card } from '../../approvals/card.ts'
import { grantTerms, grantWhos, type GrantTerm } from '../../policy/grant.ts'
import { parseIp } from '../../target/address.ts'
import type { FormFields } from './form-fields.ts'
import { Flag, html, Verbatim, type Html } from './html.ts'
import type { View } from './layout.ts'
import { readers } from './page-url.ts'
import { termsFor } from './permissions.ts'
import { durations, since } from './times.ts'

/** What a form sent that has to be shown again, with the reader's own words. */
export interface Draft {
  /** as the form has it: a term, or `until:` and a duration */
  readonly term: string
  readonly comment: string
}

export const emptyDraft: Draft = { term: 'once', comment: '' }

/** Longest comment that a form takes, in UTF-16 units. */
export const maxComment = 1000

/** Reads an answer. Throws ReviewFault `invalid`. */
export function readAnswer(form: FormFields, nowMs: number): Answer {
  const verdict = form.get('verdict')
  if (verdict === 'fetch') return { ...fetchAnswer, comment: readComment(form), version: readVersion(form) }
  if (verdict !== 'allow' && verdict !== 'deny') throw new ReviewFault('invalid', 'Say whether to allow or to deny.')
  const term = termOf(form)
  const who = grantWhos.find((known) => known === (form.get('who') || 'session'))
  if (term === undefined || who === undefined) throw new ReviewFault('invalid', 'The form is not complete: open the question again.')
  return {
    verdict,
    term,
    untilMs: term === 'until' ? readUntil(form, nowMs) : undefined,
    subdomains: form.get('subdomains') === 'yes',
    allPorts: form.get('all_ports') === 'yes',
    who,
    comment: readComment(form),
    version: readVersion(form),
  }
}

/** A yes to one page, which opens nothing. */
const fetchAnswer = { verdict: 'allow', term: 'once', untilMs: undefined, subdomains: false, allPorts: false, who: 'session', isFetch: true } as const

/** The version that was looked at. Throws ReviewFault `invalid`. */
export function readVersion(form: FormFields): number {
  const version = form.get('version')
  if (!/^\d{1,9}$/.test(version)) throw new ReviewFault('invalid', 'The form is not complete: open the question again.')
  return Number(version)
}

/** End of a duration that the forms offer. Throws ReviewFault `invalid`. */
export function endOf(name: string, nowMs: number): number {
  const duration = durations.get(name)
  if (duration === undefined) throw new ReviewFault('invalid', 'Choose until when.')
  return nowMs + duration.ms
}

export function readDraft(form: FormFields): Draft {
  return { term: form.get('term'), comment: form.get('comment') }
}

/** Whether an answer reaches beyond this session and this question, or has no end: then it is confirmed. */
export function isWide({ term, subdomains, allPorts, who }: Answer): boolean {
  return term === 'always' || subdomains || allPorts || who !== 'session'
}

/** The confirmation page names a moment; it is kept when the answer comes back. */
function readUntil(form: FormFields, nowMs: number): number {
  const until = form.get('until')
  return /^\d{13}$/.test(until) ? Number(until) : endOf(form.get('term').slice(untilPrefix.length), nowMs)
}

const untilPrefix = 'until:'

function termOf(form: FormFields): GrantTerm | undefined {
  const term = form.get('term')
  return term.startsWith(untilPrefix) ? 'until' : grantTerms.find((known) => known === term)
}

function readComment(form: FormFields): string | undefined {
  // browsers send line breaks as CRLF
  const comment = form.get('comment').replaceAll('\r\n', '\n').trim()
  if (comment.length > maxComment) throw new ReviewFault('invalid', `A comment has ${maxComment} characters at most.`)
  return comment === '' ? undefined : comment
}

/** The form; or one sentence, where this actor may not answer. */
export function answerForm(view: View, card: Card, draft: Draft): Html {
  const { approval } = card
  const terms = termsFor(view.actor, approval, card)
  if (terms.length === 0) return html`<p class="quiet">${whyNot(view, card)}</p>`
  if (approval.fetching !== undefined) return busy(view, approval.fetching)
  const required = card.rules.commentFor
  const values = terms.flatMap((term) => (term === 'until' ? [...durations.keys()].map((name) => `${untilPrefix}${name}`) : [term]))
  const chosen = values.includes(draft.term) ? draft.term : values[0]
  return html`
<form method="post" action="/approvals/${approval.id}/decision" class="answer" id="answer">
  <button type="submit" name="verdict" value="" hidden></button>
  <input type="hidden" name="csrf" value="${view.csrf}">
  <input type="hidden" name="version" value="${approval.version}">
  ${fourEyes(view, card)}
  ${fetchWay(approval, terms)}
  <fieldset><legend>For how long</legend>${terms.map((term) => termChoice(term, chosen, approval))}</fieldset>
  ${isFetchOnly(approval) ? undefined : widening(approval)}
  <label class="field"><span>Comment <span class="quiet">${commentNote(required)}</span></span>
    <textarea name="comment" rows="2" maxlength="${maxComment}"${new Flag('required', required.includes('allow') && required.includes('deny'))}>
${new Verbatim(draft.comment)}</textarea></label>
  ${buttons(approval)}
</form>`
}

/** The first of two ways to say yes to a page; what follows in the form is the second. */
function fetchWay(approval: Approval, terms: readonly GrantTerm[]): Html | undefined {
  if (approval.kind !== 'fetch') return undefined
  const note = html`<p class="quiet">The proxy fetches it by itself. Of the agent’s request nothing is sent but this URL, and nothing is opened. From then on it is read by ${readers(approval)}.</p>`
  return html`${terms.includes('once') ? html`
  <div class="way"><h2>Fetch this page once into the cache</h2>${note}
    <div class="buttons"><button type="submit" name="verdict" value="fetch" class="allow">Fetch into the cache</button></div></div>` : undefined}
  ${isFetchOnly(approval) ? undefined : html`<div class="way"><h2>Let the host be read live</h2><p class="quiet">The agent’s own GET requests go to the host, with all of their fields, for as long as this says.</p></div>`}`
}

/** The first of two people said yes to fetching, and the second cannot say yes to more. */
function isFetchOnly({ kind, firstYes }: Approval): boolean {
  return kind === 'fetch' && firstYes?.answer.isFetch === true
}

function buttons(approval: Approval): Html {
  const [deny, allow] = approval.kind === 'fetch' ? ['Deny this page', 'Let it be read live'] : ['Deny', 'Allow']
  return html`<div class="buttons"><button type="submit" name="verdict" value="deny" class="deny">${deny}</button>${isFetchOnly(approval) ? undefined : html`<button type="submit" name="verdict" value="allow" class="allow">${allow}</button>`}</div>`
}

/** Instead of the form, while somebody has the page fetched. */
function busy({ actor, nowMs }: View, { by, sinceMs }: NonNullable<Approval['fetching']>): Html {
  return html`<p class="note" role="status">${by === actor.name ? 'You have' : html`<strong>${by}</strong> has`} the page fetched, since ${since(sinceMs, nowMs)}. What comes of it is shown here.</p>`
}

/** Puts a question off; it answers nothing. */
export function snoozeForm(view: View, { approval }: Card): Html {
  return html`
<form method="post" action="/approvals/${approval.id}/snooze" class="snooze">
  <input type="hidden" name="csrf" value="${view.csrf}">
  <input type="hidden" name="version" value="${approval.version}">
  <label>Ask again in <select name="duration">${[...durations].map(([name, { text }]) => html`<option value="${name}">${text}</option>`)}</select></label>
  <button type="submit">Snooze</button>
</form>`
}

function whyNot({ actor }: View, { approval }: Card): string {
  if (approval.owner === actor.name) return 'This is your own session: somebody else has to answer.'
  return `Your role, ${actor.role}, may look and not answer.`
}

function fourEyes({ actor }: View, { approval, rules }: Card): Html | undefined {
  if (!rules.fourEyes) return undefined
  const { firstYes } = approval
  if (firstYes === undefined) return html`<p class="note">Two people have to allow this. One deny is enough.</p>`
  if (firstYes.answer.isFetch === true) {
    if (firstYes.by === actor.name) return html`<p class="note">You would have the page fetched. Somebody else has to want that too.</p>`
    return html`<p class="note"><strong>${firstYes.by}</strong> would have the page fetched. If you fetch it too, it is. More than that cannot be allowed now.</p>`
  }
  if (firstYes.by === actor.name) return html`<p class="note">You have allowed this. Somebody else has to allow it too.</p>`
  return html`<p class="note"><strong>${firstYes.by}</strong> has allowed this. If you do too, it is open.</p>`
}

function termChoice(term: GrantTerm, chosen: string | undefined, approval: Approval): Html {
  if (term === 'until') {
    return html`<div class="choices" role="group" aria-label="For a time">${[...durations].map(([name, { text }]) => choice(`${untilPrefix}${name}`, chosen, html`${text}`))}</div>`
  }
  const [name, text] = termWords(term, approval)
  return choice(term, chosen, html`${name} <span class="quiet">${text}</span>`)
}

function choice(value: string, chosen: string | undefined, text: Html): Html {
  return html`<label class="choice"><input type="radio" name="term" value="${value}"${new Flag('checked', value === chosen)}> <span>${text}</span></label>`
}

function termWords(term: 'once' | 'session' | 'always', { kind }: Approval): readonly [name: string, text: string] {
  if (term === 'session') return ['This session', 'until it ends']
  if (term === 'always') return ['Always', kind === 'host' ? 'and a rule for all sessions of the agent' : 'for as long as a grant may last; no rule is made of it']
  if (kind === 'fetch') return ['Once', 'whoever waits or the next try, and a minute from then on']
  return ['Once', kind === 'request' ? 'this one request' : 'whoever waits, or the next try']
}

function widening({ kind, host, agent, team, scheme, port }: Approval): Html {
  const isName = parseIp(host) === undefined
  return html`
  <details class="wider"><summary>Wider than asked</summary>
    ${kind !== 'request' && isName ? html`<label class="choice"><input type="checkbox" name="subdomains" value="yes"> <span>Every name below <span class="mono wrap">${host}</span> too</span></label>` : undefined}
    ${kind !== 'request' ? html`<label class="choice"><input type="checkbox" name="all_ports" value="yes"> <span>Every port, not only ${scheme} on ${port}</span></label>` : undefined}
    <label class="choice"><input type="radio" name="who" value="session" checked> <span>For this session</span></label>
    <label class="choice"><input type="radio" name="who" value="agent"> <span>For every session of ${agent}</span></label>
    ${team === undefined ? undefined : html`<label class="choice"><input type="radio" name="who" value="team"> <span>For everybody in team ${team}</span></label>`}
  </details>`
}

const neededFor: ReadonlyMap<string, string> = new Map([
  ['allow', 'to allow'],
  ['deny', 'to deny'],
  ['until', 'for a time'],
  ['always', 'for always'],
  ['wide', 'for anything wider than asked'],
])

function commentNote(required: readonly string[]): string {
  if (required.includes('allow') && required.includes('deny')) return '(required)'
  const words = required.flatMap((word) => neededFor.get(word) ?? [])
  return words.length === 0 ? '(the agent can read it)' : `(required ${words.join(', ')})`
}

/** Whether policy wants a comment for this answer. */
export function needsComment(answer: Answer, { rules }: Card): boolean {
  const wide = answer.subdomains || answer.allPorts || answer.who !== 'session'
  return [answer.verdict, answer.term, wide ? 'wide' : ''].some((word) => rules.commentFor.includes(word))
}
