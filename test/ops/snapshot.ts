// A snapshot with a different figure in every place, so that a mix-up shows.
import type { MetricsSnapshot } from '../../src/ops/metrics.ts'

export function snapshot(): MetricsSnapshot {
  return {
    decisions: { allow: 11, deny: 12 },
    refusals: { ip_denied: 13, denied_by_rule: 14 },
    openConnections: 15,
    openTunnels: 16,
    journal: { records: 17, bytes: 18, undelivered: 19, state: 'near_full' },
    destinations: [{ name: 'otel', undelivered: 24, oldestMs: 25_000, exported: 26, rejected: 27, retries: 28, isFailing: true }],
    policy: { loads: 20, rejections: 21, rules: 22, feedNames: 23 },
  }
}
