// Counts for /metrics, kept as plain numbers so that the hot path knows no metrics library.
import type { ErrorCode } from '../errors.ts'

export class Tally {
  readonly decisions: Record<'allow' | 'deny' | 'ask', number> = { allow: 0, deny: 0, ask: 0 }
  readonly refusals: Partial<Record<ErrorCode, number>> = {}
  policyLoads = 0
  policyRejections = 0

  count(verdict: 'allow' | 'deny' | 'ask', code: ErrorCode | 'allowed'): void {
    this.decisions[verdict] += 1
    if (code !== 'allowed') this.refusals[code] = (this.refusals[code] ?? 0) + 1
  }
}
