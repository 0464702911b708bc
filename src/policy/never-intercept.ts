// Hosts whose TLS is never ended here: `never_intercept` of all layers. Pure.
import type { Host } from '../target/host.ts'
import { patternsFor } from './pattern-index.ts'
import type { Policy } from './policy.ts'

export function isNeverIntercepted(policy: Policy, host: Host): boolean {
  return patternsFor(policy.neverIntercept, host).length > 0
}
