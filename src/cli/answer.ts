// An answer to a question, as it is given on a command line or a screen: how long, how wide, in words and as
// the control API takes it. Pure. What is wider than what was asked is told apart here, and only here.
import { uriHost } from '../target/host.ts'
import { placeOf } from './question-finder.ts'
import type { Question, QuestionCard } from './control-wire.ts'
import { point } from './time-words.ts'

export type Verdict = 'allow' | 'deny'
export type Who = 'session' | 'agent' | 'team'

export type Term =
  | { readonly kind: 'once' | 'session' | 'always' }
  /** no grant at all: the page is fetched into the cache */
  | { readonly kind: 'fetch'; readonly isConfirmed: boolean }
  | { readonly kind: 'for'; readonly duration: string }
  | { readonly kind: 'until'; readonly at: string }

export interface AnswerDraft {
  readonly verdict: Verdict
  readonly term: Term
  readonly subdomains: boolean
  readonly allPorts: boolean
  readonly who: Who
  readonly comment: string | undefined
}

/** The body of a decision. */
export function answerBody({ verdict, term, subdomains, allPorts, who, comment }: AnswerDraft): object {
  if (term.kind === 'fetch') return { verdict, fetch: true, ...(term.isConfirmed ? { confirmed: true } : {}), ...(comment === undefined ? {} : { comment }) }
  const limit = term.kind === 'for' ? { term: 'until', duration: term.duration } : term.kind === 'until' ? { term: 'until', until: term.at } : { term: term.kind }
  return {
    verdict,
    ...limit,
    ...(subdomains ? { subdomains } : {}),
    ...(allPorts ? { all_ports: true } : {}),
    ...(who === 'session' ? {} : { who }),
    ...(comment === undefined ? {} : { comment }),
  }
}

/** Reaches further than what was asked: other names, ports or sessions, or without end. It is asked for twice. */
export function isWide({ term, subdomains, allPorts, who }: AnswerDraft): boolean {
  return subdomains || allPorts || who !== 'session' || term.kind === 'always'
}

/** A fetch of a URL that stands out, which nobody has said yet that they looked at again. */
export function isDoubtful({ term }: AnswerDraft, { doubts }: QuestionCard): boolean {
  return term.kind === 'fetch' && !term.isConfirmed && doubts.length > 0
}

/** `allow every session of agent codex, until the session ends: lib.test and every name below it on every port` */
export function answerText(draft: AnswerDraft, question: Question): string {
  const { verdict, subdomains, allPorts, who, term } = draft
  const { host } = question
  if (term.kind === 'fetch') return `fetch into the cache, and open nothing: ${question.url ?? placeOf(question)}`
  const place = allPorts ? uriHost(host) : placeOf(question)
  const asked = askedText(question, verdict, place)
  const where = `${asked}${subdomains ? ' and every name below it' : ''}${allPorts ? ' on every port' : ''}`
  return `${verdict} ${whoText(who, question)}, ${termText(term)}: ${where}`
}

function askedText({ kind, method, url }: Question, verdict: Verdict, place: string): string {
  if (kind === 'request') return `one request, ${method ?? 'to'} ${url ?? place}`
  if (kind !== 'fetch') return place
  return verdict === 'deny' ? `one page, ${url ?? place}` : `read live: ${place}`
}

function whoText(who: Who, { agent, team, session }: Question): string {
  if (who === 'agent') return `every session of agent ${agent}`
  return who === 'team' ? `every session of team ${team ?? '-'}` : `${agent} in session ${session}`
}

export function termText(term: Term): string {
  switch (term.kind) {
    case 'fetch':
      return 'into the cache'
    case 'once':
      return 'once'
    case 'session':
      return 'until the session ends'
    case 'for':
      return `for ${term.duration}`
    case 'until':
      return `until ${point(Date.parse(term.at))}`
    default:
      return 'always (at once up to the longest that settings give, and as a rule for all sessions of the agent: proposed, or written at once when an admin answers)'
  }
}

/** What became of it, from the question as the server gave it back. */
export function outcomeText(question: Question, verdict: Verdict): string {
  const { decision, firstYes, state } = question
  if (state === 'pending' && verdict === 'allow' && firstYes !== undefined) {
    return `${placeOf(question)}: yours is the first of two: someone else has to allow it too before anything opens`
  }
  if (decision === undefined) return `${placeOf(question)} is ${state}`
  return `${decisionText(question)}${decision.grantId === undefined ? '' : `; grant ${decision.grantId}`}`
}

/** `lib.test:443 for codex was allowed once by ana and bo` */
export function decisionText(question: Question): string {
  const { decision, state, agent } = question
  const about = `${placeOf(question)} for ${agent}`
  if (decision === undefined) return `${about} is ${state}`
  const by = decision.secondBy === undefined ? decision.by : `${decision.by} and ${decision.secondBy}`
  const comment = decision.comment === undefined ? '' : `: ${decision.comment}`
  if (decision.isFetched) return `a page of ${about} was fetched into the cache by ${by}, and nothing was opened${comment}${decision.fetchNote === undefined ? '' : `; but ${decision.fetchNote}`}`
  const what = question.kind !== 'fetch' ? about : decision.verdict === 'allow' ? `reading ${about} live` : `a page of ${about}`
  const terms: Readonly<Record<string, string>> = { once: 'once', session: 'for the session', until: 'for a time', always: 'always' }
  const term = Object.hasOwn(terms, decision.term) ? terms[decision.term] : decision.term
  return `${what} was ${decision.verdict === 'allow' ? 'allowed' : 'denied'} ${term} by ${by}${comment}`
}
