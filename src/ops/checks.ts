// What readiness comes to: the policy, the journal, the parent cache, and whether the process is stopping. Pure.
import type { Check } from './ops.ts'

export interface Health {
  readonly journal: 'ok' | 'near_full' | 'unavailable'
  /** where records go; `undelivered`: how many it has yet to take; `isFailing`: its last try failed */
  readonly destinations: readonly { readonly name: string; readonly undelivered: number; readonly isFailing: boolean }[]
  readonly policy: 'ok' | 'rejected' | 'none'
  /** why the last change of the policy was rejected, for the operator */
  readonly policyProblem: () => string
  readonly isDraining: boolean
  /** undefined: there is none; `detail`: something is wrong with it */
  readonly parentCache: { readonly isOn: boolean; readonly detail: string | undefined } | undefined
  /** how many revocation lists something is the matter with; undefined: there are to be none */
  readonly revocations: { readonly expired: number; readonly unread: number; readonly unsigned: number } | undefined
}

export function checksOf({ journal, destinations, policy, policyProblem, isDraining, parentCache, revocations }: Health): readonly Check[] {
  const draining: Check = isDraining ? { name: 'draining', state: 'fail', detail: 'the proxy is stopping' } : { name: 'draining', state: 'ok' }
  return [
    policyCheck(policy, policyProblem), journalCheck(journal, destinations), ...(destinations.length === 0 ? [] : [destinationsCheck(destinations)]), draining,
    ...(parentCache === undefined ? [] : [parentCacheCheck(parentCache)]),
    ...(revocations === undefined ? [] : [revocationCheck(revocations)]),
  ]
}

function policyCheck(policy: Health['policy'], problem: () => string): Check {
  if (policy === 'ok') return { name: 'policy', state: 'ok' }
  return { name: 'policy', state: 'fail', detail: policy === 'none' ? 'no valid policy is loaded' : problem() }
}

/** Names are the operator's own words; what a destination answered, and where it is, stands in the log alone. */
function journalCheck(journal: Health['journal'], destinations: Health['destinations']): Check {
  if (journal === 'ok') return { name: 'journal', state: 'ok' }
  const slowest = destinations.reduce<Health['destinations'][number] | undefined>((most, each) => (each.undelivered > (most?.undelivered ?? 0) ? each : most), undefined)
  const held = slowest === undefined ? '' : `; destination ${slowest.name} has yet to take ${slowest.undelivered} of them`
  if (journal === 'near_full') return { name: 'journal', state: 'warn', detail: `the journal is 80 % full of records that may not be removed${held}` }
  return { name: 'journal', state: 'fail', detail: `the journal cannot be written, so nothing is allowed${held}` }
}

function destinationsCheck(destinations: Health['destinations']): Check {
  const failing = destinations.filter(({ isFailing }) => isFailing).map(({ name }) => name)
  if (failing.length === 0) return { name: 'destinations', state: 'ok' }
  return { name: 'destinations', state: 'warn', detail: `records wait in the journal for ${failing.join(', ')}: the operator log says why` }
}

/** What it cannot answer is a miss, which is safe: the instance stays ready. Its address is not shown here. */
function parentCacheCheck({ isOn, detail }: NonNullable<Health['parentCache']>): Check {
  if (!isOn) return { name: 'parent_cache', state: 'warn', detail: 'the parent cache is not asked: it does not answer, or its test has not passed; the operator log says which' }
  return detail === undefined ? { name: 'parent_cache', state: 'ok' } : { name: 'parent_cache', state: 'warn', detail: 'the parent cache is not asked for https pages: it does not hold them by their URL' }
}

/** What was revoked stays refused; what has been revoked since is not known, which stops nothing. */
function revocationCheck({ expired, unread, unsigned }: NonNullable<Health['revocations']>): Check {
  const faults = [[expired, 'due to be replaced'], [unread, 'not readable'], [unsigned, 'not signed by the authority that they name']] as const
  const found = faults.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]))
  return found.length === 0 ? { name: 'revocation_lists', state: 'ok' } : { name: 'revocation_lists', state: 'warn', detail: `of the revocation lists ${found.join(', ')}; the operator log names them` }
}
