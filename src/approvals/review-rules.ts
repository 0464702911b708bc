// Who may give which answer to which question: roles, teams, owners, programs, four eyes, comments. Pure: it
// looks at nothing but what it is handed, and decides nothing by itself.
import { needsFourEyes } from '../policy/approval-rules.ts'
import type { ApprovalRules, CommentCase } from '../policy/policy.ts'
import { isPublicSuffix } from '../target/registrable-domain.ts'
import type { Actor } from './actor.ts'
import type { Answer, Approval } from './approval.ts'
import { hostOf } from './question.ts'
import { ReviewFault } from './review-fault.ts'
import { doubtsAbout } from './url-look.ts'

/** The first yes of two. */
export interface FirstYes {
  readonly by: string
  /** who made the token of whoever said it */
  readonly mintedBy: string | undefined
  /** the second may say yes to this, or to less */
  readonly answer: Answer
}

export interface ReviewRules {
  /** of the policy in force */
  readonly policy: ApprovalRules
  /** wall clock, `ms` */
  readonly nowMs: number
  /** the latest end that an answer may have: wall clock, `ms` */
  readonly maxUntilMs: number
  /** undefined: nobody said yes yet */
  readonly first: FirstYes | undefined
}

/** Whether the question exists for this actor: an owner sees its own, who has teams sees theirs. */
export function maySee(approval: Pick<Approval, 'owner' | 'team'>, actor: Actor): boolean {
  if (isOwner(approval, actor) || isBoundless(actor)) return true
  // a launcher starts agents, and is nobody's colleague
  if (actor.role === 'launcher') return false
  return actor.teams.length === 0 || (approval.team !== undefined && actor.teams.includes(approval.team))
}

/** Of `maySee`, what a database can look for: it leaves out nothing that the actor may see, however it is spelled by
 * people who type ASCII. Undefined: the actor sees all. */
export function boundsOf(actor: Actor): { readonly owner: string; readonly teams: readonly string[] } | undefined {
  return isBoundless(actor) || actor.teams.length === 0 ? undefined : { owner: actor.name.toLowerCase(), teams: actor.teams }
}

/** Throws ReviewFault when the actor may not give this answer. State and version are the queue's. */
export function judgeAnswer(approval: Approval, answer: Answer, actor: Actor, rules: ReviewRules): void {
  if (!maySee(approval, actor)) throw new ReviewFault('not_found', 'there is no such approval')
  checkShape(approval, answer, rules)
  if (answer.verdict === 'deny') judgeDeny(approval, answer, actor, rules)
  else judgeAllow(approval, answer, actor, rules)
  checkCaps(approval, answer, actor)
  const missing = commentCasesOf(answer).find((each) => rules.policy.commentRequired.includes(each))
  if (missing !== undefined && (answer.comment ?? '').trim() === '') {
    throw new ReviewFault('comment_required', `policy wants a comment with ${commentWords[missing]}`)
  }
  checkFetch(approval, answer, actor)
}

/** Throws ReviewFault when the actor may not put the question off, or take back what was opened by it. */
export function judgeOnlooker(approval: Approval, actor: Actor): void {
  if (!decides(approval, actor)) throw notAReviewer(actor)
}

/** A URL that may carry something out is looked at twice by whoever has it fetched, and a program cannot look. */
function checkFetch({ url }: Pick<Approval, 'url'>, { isFetch, isConfirmed }: Answer, actor: Actor): void {
  if (isFetch !== true) return
  const doubts = doubtsAbout(url ?? '')
  if (doubts.length === 0) return
  if (!isPerson(actor)) throw new ReviewFault('scope_not_allowed', `a person has to look at this URL: ${doubts.join('; ')}`)
  if (isConfirmed !== true) throw new ReviewFault('confirmation_required', `look at the whole URL again and confirm it: ${doubts.join('; ')}`)
}

/** Whether this answer, once judged, still needs a second person. A deny never does. */
export function needsSecond(approval: Pick<Approval, 'host'>, answer: Answer, rules: ReviewRules): boolean {
  return answer.verdict === 'allow' && rules.first === undefined && isFourEyes(approval, answer, rules)
}

/** The terms that the owner may give to this question; none where it may not answer at all. */
export function ownerTermsFor(approval: Pick<Approval, 'host' | 'isReview'>, policy: ApprovalRules): ApprovalRules['ownerMay'] {
  return approval.isReview || needsFourEyes(policy, hostOf(approval.host), false) ? [] : policy.ownerMay
}

/** Covers more than what was asked about. */
export function isWide({ subdomains, allPorts, who }: Answer): boolean {
  return subdomains || allPorts || who !== 'session'
}

const commentWords: Readonly<Record<CommentCase, string>> = {
  allow: 'an allow',
  deny: 'a deny',
  until: 'an answer until a time',
  always: 'an answer for good',
  wide: 'an answer that covers more than was asked',
}

function commentCasesOf(answer: Answer): readonly CommentCase[] {
  const { term, verdict } = answer
  return [verdict, ...(term === 'until' || term === 'always' ? [term] : []), ...(isWide(answer) ? ['wide' as const] : [])]
}

function judgeAllow(approval: Approval, answer: Answer, actor: Actor, rules: ReviewRules): void {
  const fourEyes = isFourEyes(approval, answer, rules)
  if (isOwner(approval, actor)) checkOwnerAllows(approval, answer, actor, rules, fourEyes)
  else if (!decides(approval, actor)) throw notAReviewer(actor)
  if (!fourEyes) return
  if (!isPerson(actor)) throw new ReviewFault('scope_not_allowed', `${approval.host} needs two people, and a program is neither`)
  if (rules.first !== undefined) checkSecond(answer, actor, rules.first)
}

/** Requester and approver are two, but for what policy leaves to owners. */
function checkOwnerAllows(approval: Approval, answer: Answer, actor: Actor, { policy }: ReviewRules, fourEyes: boolean): void {
  if (!isPerson(actor)) throw selfApproval('a program never allows what its own agent asks for')
  if (approval.isReview) throw selfApproval('policy always asks somebody else about this host')
  if (fourEyes) throw selfApproval(`${approval.host} needs two other people`)
  if (!policy.ownerMay.includes(answer.term)) throw selfApproval(`policy does not leave \`${answer.term}\` to owners`)
  if (answer.who !== 'session') throw new ReviewFault('scope_not_allowed', 'an owner answers for its own session, not for others of the agent or team')
}

function selfApproval(why: string): ReviewFault {
  return new ReviewFault('self_approval', `you own this session, and ${why}`)
}

function judgeDeny(approval: Approval, answer: Answer, actor: Actor, { policy }: ReviewRules): void {
  if (decides(approval, actor)) return
  if (!isOwner(approval, actor) || !isPerson(actor) || !policy.ownerMay.includes(answer.term)) throw notAReviewer(actor)
}

/** What holds for either verdict: long and wide answers are for people who review. */
function checkCaps(approval: Approval, answer: Answer, actor: Actor): void {
  if (!isPerson(actor)) {
    if (isWide(answer) || (answer.term !== 'once' && answer.term !== 'session')) {
      throw new ReviewFault('scope_not_allowed', 'a program answers `once` or `session`, for what was asked and no more')
    }
  } else if ((answer.term === 'always' || isWide(answer)) && !decides(approval, actor)) {
    throw new ReviewFault('scope_not_allowed', 'answers for good or for more than was asked are a reviewer\'s')
  }
  if (answer.who === 'agent' && !isBoundless(actor) && actor.teams.length > 0) {
    throw new ReviewFault('scope_not_allowed', 'the agent may run for other teams than yours: answer for the session or the team')
  }
}

function checkSecond(answer: Answer, actor: Actor, first: FirstYes): void {
  if (sameName(first.by, actor.name)) throw new ReviewFault('not_permitted', 'you said yes already: another person has to say it too')
  if (sameName(first.mintedBy, actor.name) || sameName(actor.mintedBy, first.by)) {
    throw new ReviewFault('not_permitted', 'one of the two made the token of the other: that is one person, not two')
  }
  if (!isWithin(answer, first.answer)) throw new ReviewFault('scope_not_allowed', `${first.by} said yes to less: allow the same or less`)
}

const termOrder: readonly string[] = ['once', 'session', 'until', 'always']

function isWithin(second: Answer, first: Answer): boolean {
  if (second.subdomains && !first.subdomains) return false
  if (second.allPorts && !first.allPorts) return false
  if (second.who !== 'session' && second.who !== first.who) return false
  // fetching one page is less than anything else
  if (second.isFetch === true) return true
  if (first.isFetch === true) return false
  if (termOrder.indexOf(second.term) > termOrder.indexOf(first.term)) return false
  // a session may outlast any time that was set
  if (second.term === 'session' && first.term === 'until') return false
  return second.term !== 'until' || first.term !== 'until' || (second.untilMs ?? Infinity) <= (first.untilMs ?? -Infinity)
}

/** What nobody may answer, whoever it is. */
function checkShape(approval: Approval, answer: Answer, { nowMs, maxUntilMs }: ReviewRules): void {
  const { term, untilMs } = answer
  if (term !== 'until' && untilMs !== undefined) throw new ReviewFault('invalid', `a time goes with \`until\`, not with \`${term}\``)
  if (term === 'until') {
    if (untilMs === undefined || !Number.isFinite(untilMs) || untilMs <= nowMs) throw new ReviewFault('invalid', '`until` needs a time that is still to come')
    if (untilMs > maxUntilMs) throw new ReviewFault('scope_not_allowed', `the latest time here is ${new Date(maxUntilMs).toISOString()}`)
  }
  if (answer.who === 'team' && approval.team === undefined) throw new ReviewFault('invalid', 'this session has no team')
  if (answer.isFetch === true) {
    if (approval.kind !== 'fetch') throw new ReviewFault('invalid', 'only a page that is not in the web cache can be fetched into it')
    if (answer.verdict !== 'allow' || term !== 'once' || isWide(answer)) throw new ReviewFault('invalid', 'fetching a page is a yes to this one page, once')
  }
  if (approval.kind === 'fetch' && answer.verdict === 'allow' && term === 'always' && answer.who === 'session') {
    throw new ReviewFault('invalid', 'reading a host live for good is for all sessions of the agent or the team: say which, or `session`; no rule is made of it')
  }
  if ((approval.kind === 'request' || (approval.kind === 'fetch' && answer.verdict === 'deny')) && (answer.subdomains || answer.allPorts)) {
    throw new ReviewFault('invalid', `this is about one ${approval.kind === 'fetch' ? 'page' : 'request'}, which has one host and one port`)
  }
  if (!answer.subdomains) return
  if (hostOf(approval.host).kind === 'ip') throw new ReviewFault('scope_not_allowed', 'nothing is below an address')
  if (isSuffix(approval.host)) throw new ReviewFault('scope_not_allowed', `anybody may register names below \`${approval.host}\``)
}

/** A single label is everybody's, also where it is nobody's suffix: `internal`, `localhost`. */
function isSuffix(host: string): boolean {
  return !host.includes('.') || isPublicSuffix(host)
}

function isFourEyes(approval: Pick<Approval, 'host'>, answer: Answer, { policy }: ReviewRules): boolean {
  return needsFourEyes(policy, hostOf(approval.host), answer.subdomains)
}

function decides(approval: Approval, actor: Actor): boolean {
  if (!hasDecidingRole(actor)) return false
  return isBoundless(actor) || actor.teams.length === 0 || (approval.team !== undefined && actor.teams.includes(approval.team))
}

function hasDecidingRole({ kind, role }: Actor): boolean {
  return kind === 'local' || role === 'reviewer' || role === 'admin'
}

/** Teams do not bound an admin. */
function isBoundless({ kind, role }: Actor): boolean {
  return kind === 'local' || role === 'admin'
}

function isPerson({ kind }: Actor): boolean {
  return kind === 'person' || kind === 'local'
}

function isOwner({ owner }: Pick<Approval, 'owner'>, { name }: Actor): boolean {
  return sameName(owner, name)
}

/** Two spellings of one name are one person. */
function sameName(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && folded(one) === folded(other)
}

function folded(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase()
}

function notAReviewer({ role }: Actor): ReviewFault {
  return new ReviewFault('not_permitted', `the role \`${role}\` does not decide this`)
}
