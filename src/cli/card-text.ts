// A question with all its context as lines for a terminal, for `approvals show` and the screen of `watch`.
// Pure; every word of it is foreign and comes out escaped.
import { escapeText } from '../audit/escape.ts'
import { decisionText } from './answer.ts'
import type { Question, QuestionCard, ShownRule } from './control-wire.ts'
import { placeOf } from './question-finder.ts'
import { plural } from './plural.ts'
import { point, span } from './time-words.ts'

export interface CardLine {
  /** `host`, `who` …; empty: goes on with the one above */
  readonly label: string
  /** escaped */
  readonly text: string
  readonly isWarning: boolean
}

/** `pending`, `one yes of two`, `snoozed 5 min`, `allowed once by ana` */
export function stateText({ state, firstYes, fetching, snoozedUntilMs, decision }: Question, nowMs: number): string {
  if (decision?.isFetched === true) return `fetched by ${decision.by}`
  if (decision !== undefined) return `${state} ${decision.term} by ${decision.by}`
  if (state === 'pending' && fetching !== undefined) return `being fetched by ${fetching.by}`
  if (state === 'pending' && firstYes !== undefined) return 'one yes of two'
  if (state === 'pending' && snoozedUntilMs !== undefined && snoozedUntilMs > nowMs) return `snoozed ${span(snoozedUntilMs - nowMs)}`
  return state
}

/** What is known of the question itself; for a list that has no card yet. */
export function questionLines(question: Question, nowMs: number): CardLine[] {
  return cardLines({ question, unicodeHost: undefined, registrableDomain: undefined, hints: [], nearestRules: [], others: [], similar: [], doubts: [], patterns: [], fourEyes: false, commentFor: [], ownerMay: [] }, nowMs)
}

export function cardLines(card: QuestionCard, nowMs: number): CardLine[] {
  const { question } = card
  const lines: CardLine[] = []
  const add = (label: string, text: string | undefined, isWarning = false): void => {
    if (text !== undefined) lines.push({ label, text: escapeText(text, 8192), isWarning })
  }
  add('host', hostText(card))
  add(question.kind === 'fetch' ? 'page' : 'request', requestText(question))
  for (const doubt of card.doubts) add('!', `of the URL: ${doubt}`, true)
  add('who', [`agent ${question.agent}`, labelled('owner', question.owner), labelled('team', question.team), `session ${question.session}`].filter((part) => part !== undefined).join(', '))
  add('client', [question.userAgent, labelled('from', question.clientAddress)].filter((part) => part !== undefined).join(', ') || undefined)
  add('says', question.statedReason === undefined ? undefined : `“${question.statedReason}” (the agent's own words)`)
  add('why', whyText(question))
  add('asked', askedText(question, nowMs))
  add('fetching', question.fetching === undefined ? undefined : `${question.fetching.by} has the page fetched, since ${span(nowMs - question.fetching.sinceMs)}`)
  add('four eyes', fourEyesText(card, nowMs))
  for (const { text } of card.hints) add('!', text, true)
  // a card that has no such hint, or none at all, must not hide it
  if (question.advisory && !card.hints.some(({ code }) => code === 'advisory')) add('!', 'this agent runs as the same user as the proxy: what you decide here is advice, not a wall', true)
  for (const [at, { rule, why }] of card.nearestRules.entries()) add(at === 0 ? 'near' : '', `${ruleText(rule)}: ${why}`)
  for (const [at, { agent, session, state }] of card.others.entries()) add(at === 0 ? 'others' : '', `${agent} in session ${session}: ${state}`)
  for (const [at, { host, verdict, term, by, atMs, comment }] of card.similar.entries()) {
    add(at === 0 ? 'before' : '', `${host} ${verdict} ${term} by ${by}, ${span(nowMs - atMs)} ago${comment === undefined ? '' : `: ${comment}`}`)
  }
  add('patterns', card.patterns.length === 0 ? undefined : card.patterns.join('  '))
  add('comment', card.commentFor.length === 0 ? undefined : `has to be given for ${card.commentFor.join(', ')}`)
  add('owner may', card.ownerMay.length === 0 ? undefined : card.ownerMay.join(', '))
  return lines
}

function hostText({ question, unicodeHost, registrableDomain }: QuestionCard): string {
  const more = [
    unicodeHost === undefined ? undefined : `reads ${unicodeHost}`,
    registrableDomain === undefined || registrableDomain === question.host ? undefined : `of ${registrableDomain}`,
    question.isReview ? 'always asked about' : undefined,
  ].filter((part) => part !== undefined)
  return `${question.scheme}://${placeOf(question)}${more.length === 0 ? '' : ` (${more.join('; ')})`}`
}

function requestText({ kind, method, url, upgrade }: Question): string | undefined {
  const upgraded = upgrade === undefined ? '' : ` with an upgrade to ${upgrade}`
  if (kind === 'request') return `${method ?? '?'} ${url ?? '?'}${upgraded}; an answer is for this one request`
  if (kind === 'fetch') return `${method ?? 'GET'} ${url ?? '?'}; not in the cache: it is fetched with this URL and nothing else of the agent's, or the host is read live`
  if (method === undefined && url === undefined) return undefined
  return `${[method, url].filter((part) => part !== undefined).join(' ')}${upgraded}; an answer is for every request to host and port`
}

function labelled(label: string, text: string | undefined): string | undefined {
  return text === undefined ? undefined : `${label} ${text}`
}

function whyText({ reason, rule }: Question): string {
  return rule === undefined ? reason : `${reason} (${ruleText(rule)})`
}

function ruleText({ id, pattern, file, line }: ShownRule): string {
  return `${id}${pattern === '' ? '' : ` ${pattern}`} at ${file}${line === 0 ? '' : `:${line}`}`
}

function askedText(question: Question, nowMs: number): string {
  const { state, attempts, waiting, firstSeenMs, lastSeenMs, expiresMs, snoozedUntilMs } = question
  const held = waiting === 0 ? 'nobody waiting now' : `${waiting} waiting now`
  const seen = `${plural(attempts, 'attempt')}, ${held}; first ${span(nowMs - firstSeenMs)} ago, last ${span(nowMs - lastSeenMs)} ago`
  if (state !== 'pending') return `${seen}; ${question.decision === undefined ? state : `${decisionText(question)}, ${point(question.decision.atMs)}`}`
  const snoozed = snoozedUntilMs !== undefined && snoozedUntilMs > nowMs ? `; snoozed for ${span(snoozedUntilMs - nowMs)}` : ''
  return `${seen}; expires in ${span(expiresMs - nowMs)}${snoozed}`
}

function fourEyesText({ question, fourEyes }: QuestionCard, nowMs: number): string | undefined {
  const { firstYes, state } = question
  if (firstYes !== undefined && state === 'pending') return `${firstYes.by} said yes${firstYes.isFetch ? ' to fetching the page, and to no more,' : ''} ${span(nowMs - firstYes.atMs)} ago; one more person has to`
  return fourEyes ? 'two people have to allow it' : undefined
}
