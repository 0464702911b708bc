// The figures are those of the snapshot at the time of the scrape, under names and labels that never
// hold what a client chose.
import t from 'tap'
import { createMetrics, type MetricsSnapshot } from '../../src/ops/metrics.ts'
import { snapshot } from './snapshot.ts'

async function scrape(figures: () => MetricsSnapshot): Promise<string[]> {
  const metrics = createMetrics({ version: '1.2.3', snapshot: figures })
  const text = await metrics.text()
  metrics.close()
  return text.split('\n')
}

t.test('every figure of the snapshot is exported', async (t) => {
  const lines = await scrape(snapshot)
  for (const line of [
    'sallyport_build_info{version="1.2.3"} 1',
    'sallyport_decisions_total{verdict="allow"} 11',
    'sallyport_decisions_total{verdict="deny"} 12',
    'sallyport_decisions_total{verdict="ask"} 0',
    'sallyport_refusals_total{code="ip_denied"} 13',
    'sallyport_refusals_total{code="denied_by_rule"} 14',
    'sallyport_open_connections 15',
    'sallyport_open_tunnels 16',
    'sallyport_journal_records_total 17',
    'sallyport_journal_bytes 18',
    'sallyport_journal_undelivered_records 19',
    'sallyport_destination_undelivered_records{destination="otel"} 24',
    'sallyport_destination_oldest_undelivered_seconds{destination="otel"} 25',
    'sallyport_destination_records_total{destination="otel"} 26',
    'sallyport_destination_rejected_records_total{destination="otel"} 27',
    'sallyport_destination_retries_total{destination="otel"} 28',
    'sallyport_destination_failing{destination="otel"} 1',
    'sallyport_journal_state{state="ok"} 0',
    'sallyport_journal_state{state="near_full"} 1',
    'sallyport_journal_state{state="unavailable"} 0',
    'sallyport_policy_loads_total 20',
    'sallyport_policy_rejections_total 21',
    'sallyport_policy_rules 22',
    'sallyport_policy_feed_names 23',
  ]) t.ok(lines.includes(line), line)
})

t.test('the process tells of itself', async (t) => {
  const text = (await scrape(snapshot)).join('\n')
  t.match(text, /^process_cpu_seconds_total 0?\.?\d/m)
  t.match(text, /^process_resident_memory_bytes [1-9]/m)
  t.match(text, /^nodejs_heap_size_used_bytes [1-9]/m)
  t.match(text, /^process_start_time_seconds 1\d{9}/m)
  t.match(text, /^sallyport_event_loop_delay_seconds\{quantile="0\.99"\} \d/m)
})

t.test('each scrape replaces the last, and a code that is gone is gone', async (t) => {
  let figures = snapshot()
  const metrics = createMetrics({ version: '0', snapshot: () => figures })
  await metrics.text()
  figures = { ...figures, decisions: { allow: 30 }, refusals: { self: 1 } }
  const lines = (await metrics.text()).split('\n')
  metrics.close()
  t.ok(lines.includes('sallyport_decisions_total{verdict="allow"} 30'))
  t.ok(lines.includes('sallyport_refusals_total{code="self"} 1'))
  t.notOk(lines.some((line) => line.includes('ip_denied')))
})

t.test('no label is a host, an agent, a session or an address', async (t) => {
  const labels = new Set((await scrape(snapshot)).flatMap((line) => [...line.matchAll(/[{,](\w+)="/g)].map(([, label]) => label)))
  t.same(labels, new Set(['version', 'verdict', 'code', 'state', 'quantile', 'destination']))
})

t.test('two instances in one process keep their figures apart', async (t) => {
  const first = createMetrics({ version: '0', snapshot })
  const second = createMetrics({ version: '0', snapshot: () => ({ ...snapshot(), openTunnels: 99 }) })
  t.match(await first.text(), /^sallyport_open_tunnels 16$/m)
  t.match(await second.text(), /^sallyport_open_tunnels 99$/m)
  first.close()
  second.close()
})
