import t from 'tap'
import { checkpointEvent, gapEvent, policyLoadedEvent, policyRejectedEvent, processStartedEvent, processStoppedEvent } from '../../src/audit/service-events.ts'

t.test('a loaded policy says which one it follows', async (t) => {
  const event = policyLoadedEvent({ revision: 'b', previousRevision: 'a', mode: 'monitor', ruleCount: 3, feedNames: 10, files: ['policies/1.toml'], warnings: 1 })
  t.equal(event.severity, 'INFO')
  t.match(event.attributes, { 'sallyport.policy.revision': 'b', 'sallyport.policy.previous_revision': 'a', 'sallyport.mode': 'monitor', 'sallyport.policy.files': ['policies/1.toml'] })
})

t.test('a rejected policy is an error that names the place, and the policy that stays', async (t) => {
  const problems = Array.from({ length: 40 }, (_, at) => ({ file: 'policies/1.toml', line: at + 1, message: 'unknown key' }))
  const event = policyRejectedEvent({ revision: 'a', problems })
  t.equal(event.severity, 'ERROR')
  t.match(event.body, /policy a stays: policies\/1\.toml:1: unknown key and 39 more/)
  t.equal(event.attributes['sallyport.policy.problem_count'], 40)
  t.match(policyRejectedEvent({ revision: undefined, problems: [] }).body, /nothing is allowed/)
})

t.test('process events name version, listeners and the destination of the exporter', async (t) => {
  const started = processStartedEvent({ version: '1.2.3', pid: 7, listeners: ['http://127.0.0.1:3128'], revision: 'a', mode: 'enforce', advisory: true, exporterEndpoint: 'http://collector/v1/logs', destinations: ['otel otlp-http http://collector/v1/logs'] })
  t.match(started.attributes, { 'service.version': '1.2.3', 'process.pid': 7, 'sallyport.advisory': true, 'sallyport.exporter.endpoint': 'http://collector/v1/logs' })
  t.match(processStoppedEvent({ version: '1.2.3', pid: 7, reason: 'SIGTERM', uptimeMs: 1.5 }).attributes, { 'sallyport.reason': 'SIGTERM', 'sallyport.duration_ms': 2 })
})

t.test('a gap says why, how many and when', async (t) => {
  const event = gapEvent({ cause: 'journal_unavailable', count: 12, detail: 'ENOSPC', sinceMs: 0, untilMs: 1000 })
  t.equal(event.severity, 'ERROR')
  t.match(event.attributes, { 'sallyport.gap.cause': 'journal_unavailable', 'sallyport.gap.count': 12, 'sallyport.gap.since': '1970-01-01T00:00:00.000Z', 'sallyport.gap.until': '1970-01-01T00:00:01.000Z' })
  t.equal(gapEvent({ cause: 'session_quota', count: 1, detail: 'x', session: 's' }).severity, 'WARN')
})

t.test('a checkpoint says where the chain stands', async (t) => {
  t.match(checkpointEvent('closed', { segment: 'segment-1.jsonl', lastSeq: 9, lastHash: 'ab', bytes: 10 }).attributes, { 'sallyport.checkpoint.last_seq': 9, 'sallyport.checkpoint.last_hash': 'ab' })
})
