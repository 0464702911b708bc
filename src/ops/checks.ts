// What readiness comes to: the policy, the journal, and whether the process is stopping. Pure.
import type { Check } from './ops.ts'

export interface Health {
  readonly journal: 'ok' | 'near_full' | 'unavailable'
  readonly policy: 'ok' | 'rejected' | 'none'
  /** why the last change of the policy was rejected, for the operator */
  readonly policyProblem: () => string
  readonly isDraining: boolean
}

export function checksOf({ journal, policy, policyProblem, isDraining }: Health): readonly Check[] {
  return [policyCheck(policy, policyProblem), journalCheck(journal), isDraining ? { name: 'draining', state: 'fail', detail: 'the proxy is stopping' } : { name: 'draining', state: 'ok' }]
}

function policyCheck(policy: Health['policy'], problem: () => string): Check {
  if (policy === 'ok') return { name: 'policy', state: 'ok' }
  return { name: 'policy', state: 'fail', detail: policy === 'none' ? 'no valid policy is loaded' : problem() }
}

function journalCheck(journal: Health['journal']): Check {
  if (journal === 'ok') return { name: 'journal', state: 'ok' }
  if (journal === 'near_full') return { name: 'journal', state: 'warn', detail: 'the journal is 80 % full of records that may not be removed' }
  return { name: 'journal', state: 'fail', detail: 'the journal cannot be written, so nothing is allowed' }
}
