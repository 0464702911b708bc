// Refusals and denials as values: what the gate answers where no more than a code and a sentence is known.
import type { ErrorCode } from '../errors.ts'
import type { Decision, RuleRef } from '../policy/decision.ts'
import type { Exchange } from './exchange.ts'
import type { Refusal } from './refusal.ts'

export function refusal(exchange: Exchange, code: ErrorCode, reason: string, rule: RuleRef | undefined, approvalId?: string): Refusal {
  return { kind: 'refusal', code, reason, host: exchange.facts.host.text, rule, requestId: exchange.id, approvalId }
}

export function denial(code: ErrorCode, reason: string, revision: string): Decision {
  return {
    verdict: 'deny', code, reason, rule: undefined, revision, monitored: undefined, wildcard: false,
    obligations: { inspect: 'none', raw: undefined, local: [] },
  }
}

/** Of what is refused. */
export function codeOf({ code }: Pick<Decision, 'code'>): ErrorCode {
  return code === 'allowed' ? 'internal_error' : code
}
