// Counts for /metrics, kept as plain numbers so that the hot path knows no metrics library.
import type { ErrorCode } from '../errors.ts'
import type { MetricsSnapshot } from './metrics.ts'

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

/** What the metrics are made of, from those who count. */
export function snapshotOf(
  tally: Tally,
  open: { readonly connections: number; readonly tunnels: number },
  { records, bytes, undelivered, state }: MetricsSnapshot['journal'],
  policy: { readonly ruleCount: number; readonly feedNames: number } | undefined,
  destinations: MetricsSnapshot['destinations'],
): MetricsSnapshot {
  return {
    decisions: tally.decisions,
    refusals: tally.refusals,
    openConnections: open.connections,
    openTunnels: open.tunnels,
    journal: { records, bytes, undelivered, state },
    destinations,
    policy: { loads: tally.policyLoads, rejections: tally.policyRejections, rules: policy?.ruleCount ?? 0, feedNames: policy?.feedNames ?? 0 },
  }
}
