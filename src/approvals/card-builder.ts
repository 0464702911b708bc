// What a reviewer sees of a question: the question, what is known of its host without asking anybody, and what
// policy says nearby. It does no I/O and asks no name server, and it decides nothing.
import { needsFourEyes } from '../policy/approval-rules.ts'
import { explain } from '../policy/explain.ts'
import type { MissedRule } from '../policy/explain.ts'
import type { Policy } from '../policy/policy.ts'
import { isDefaultPort } from '../policy/ports.ts'
import { formatHost, unicodeHost } from '../target/host.ts'
import { isPublicSuffix, registrableDomain } from '../target/registrable-domain.ts'
import type { AllowedNames } from './allowed-names.ts'
import type { Approval } from './approval.ts'
import type { Card, Hint } from './card.ts'
import { hintsOf } from './card-hints.ts'
import { isSafeToShow } from './confusable.ts'
import { factsOf, hostOf } from './question.ts'
import { ownerTermsFor } from './review-rules.ts'
import { doubtsAbout } from './url-look.ts'

/** What the queue knows beside the question. Arrays are shown as they come, twenty of each at most. */
export interface CardContext {
  /** in force */
  readonly policy: Policy
  /** of that policy */
  readonly allowed: AllowedNames
  /** wall clock, `ms` */
  readonly nowMs: number
  /** decided questions about this host or its registrable domain, newest first */
  readonly similar: Card['similar']
  readonly others: Card['others']
  /** questions of this session that are open now, this one included */
  readonly openQuestions: number
  /** whether anybody here asked for, or was let to, a name of this registrable domain (or this very host) before this question */
  isKnown(domain: string): boolean
}

const maxRows = 20
const maxRules = 8

/** Builds the card of a question as it is now. Bounded work, whatever the length of the lists. */
export function buildCard(approval: Approval, context: CardContext): Card {
  const { policy, similar, others } = context
  const host = hostOf(approval.host)
  const domain = registrableDomain(approval.host)
  return {
    approval,
    unicodeHost: shownHost(approval.host),
    registrableDomain: domain,
    hints: hintsFor(approval, domain, context),
    nearestRules: nearestRules(approval, domain, context),
    others: others.slice(0, maxRows),
    similar: similar.slice(0, maxRows),
    doubts: approval.kind === 'fetch' && approval.url !== undefined ? doubtsAbout(approval.url) : [],
    patterns: patternsFor(approval, domain),
    rules: {
      fourEyes: needsFourEyes(policy.approvals, host, false),
      commentFor: policy.approvals.commentRequired,
      ownerMay: ownerTermsFor(approval, policy.approvals),
    },
  }
}

/** The decoded name where it says more than the ASCII one and deceives nobody. */
function shownHost(host: string): string | undefined {
  const decoded = unicodeHost(host)
  return decoded !== host && isSafeToShow(decoded) ? decoded : undefined
}

function hintsFor(approval: Approval, domain: string | undefined, context: CardContext): readonly Hint[] {
  return hintsOf(approval, {
    registrableDomain: domain,
    resembled: domain === undefined ? undefined : context.allowed.resembled(domain),
    isFirst: !context.isKnown(domain ?? approval.host),
    openQuestions: context.openQuestions,
  })
}

/** Rules that nearly speak of it, each with why it does not; then allowed names of the same domain. */
function nearestRules(approval: Approval, domain: string | undefined, { policy, allowed, nowMs }: CardContext): Card['nearestRules'] {
  const near = explain(policy, factsOf(approval), nowMs).near.map((missed) => ({ rule: missed.rule, why: whyNot(missed) }))
  const told = new Set(near.map(({ rule }) => placeOf(rule)))
  for (const { name, rule } of domain === undefined ? [] : allowed.neighbours(domain)) {
    if (name === approval.host || told.has(placeOf(rule))) continue
    near.push({ rule, why: `This allow covers ${rule.pattern}, another name of ${domain ?? name}.` })
  }
  return near.slice(0, maxRules)
}

function whyNot({ verdict, says }: MissedRule): string {
  return `This ${verdict === 'ask' ? 'question' : verdict} ${says}.`
}

function placeOf({ file, line, pattern }: Card['nearestRules'][number]['rule']): string {
  return `${file}:${line} ${pattern}`
}

/** Patterns that would cover it, narrowest first: the host, what is beside it, everything of its domain. */
function patternsFor({ host, port, scheme }: Approval, domain: string | undefined): readonly string[] {
  const suffix = isDefaultPort('request', scheme, port) ? '' : `:${port}`
  const patterns = [`${formatHost(hostOf(host))}${suffix}`]
  if (domain === undefined) return patterns
  const parent = host.slice(host.indexOf('.') + 1)
  if (host !== domain && !isOpenToAll(parent)) patterns.push(`*.${parent}${suffix}`)
  if (!isOpenToAll(domain)) patterns.push(`**.${domain}${suffix}`)
  return patterns
}

function isOpenToAll(name: string): boolean {
  return !name.includes('.') || isPublicSuffix(name)
}
