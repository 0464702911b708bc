import t from 'tap'
import { endedEvent, type Ending } from '../../src/audit/ended-event.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import { subject } from './fixture.ts'

const ending = { bytesFromClient: 517, bytesFromOrigin: 20_480 }
const durationMs = 12.34567

const severity = (outcome: Ending['outcome'], code?: Ending['code']) => endedEvent(subject, { ...ending, outcome, code }, durationMs).severity

t.test('a completed exchange says how much went each way, how long, and to which address', async (t) => {
  const event = endedEvent(subject, { ...ending, outcome: 'completed', peerAddress: '192.0.2.7', status: 200 }, durationMs)
  t.equal(event.name, 'sallyport.exchange.ended')
  t.equal(event.severity, 'INFO')
  t.match(event.attributes, {
    'sallyport.request.id': subject.requestId,
    'sallyport.outcome': 'completed',
    'sallyport.bytes_from_client': 517,
    'sallyport.bytes_from_origin': 20_480,
    'sallyport.duration_ms': 12.346,
    'network.peer.address': '192.0.2.7',
    'http.response.status_code': 200,
  })
})

t.test('severity follows the outcome, and a fault of our own is an error', async (t) => {
  t.equal(severity('expired'), 'INFO')
  t.equal(severity('refused'), 'WARN')
  t.equal(severity('pending', 'approval_pending'), 'INFO2')
  t.equal(severity('failed', 'connection_refused'), 'WARN')
  t.equal(severity('failed', 'internal_error'), 'ERROR')
})

t.test('what only the decision must carry is not said again', async (t) => {
  const http = { ...subject, protocol: 'http', method: 'GET', path: '/x', query: 'k=hunter2', principal: { ...subject.principal, team: 'web' } } as const
  t.strictSame(Object.keys(endedEvent(http, { ...ending, outcome: 'completed', code: 'policy_changed', status: 200, peerAddress: '192.0.2.7' }, durationMs).attributes).toSorted(), [
    'client.address', 'gen_ai.agent.name', 'http.request.method', 'http.response.status_code', 'network.peer.address', 'network.transport.protocol',
    'sallyport.advisory', 'sallyport.bytes_from_client', 'sallyport.bytes_from_origin', 'sallyport.code', 'sallyport.duration_ms', 'sallyport.mode',
    'sallyport.outcome', 'sallyport.request.id', 'server.address', 'server.port', 'session.id',
  ])
})

t.test('the line for people says what moved, and of a refusal only why', async (t) => {
  t.equal(endedEvent(subject, { ...ending, outcome: 'completed' }, durationMs).body, 'completed api.example.com:443: 517 bytes out, 20480 bytes in, 12 ms')
  t.equal(endedEvent(subject, { ...ending, outcome: 'refused', code: 'denied_by_rule' }, durationMs).body, 'refused api.example.com:443 (denied_by_rule)')
  t.equal(endedEvent(subject, { ...ending, outcome: 'pending', code: 'approval_pending' }, durationMs).body, 'pending api.example.com:443 (approval_pending)')
})

t.test('a number that is none does not break the record', async (t) => {
  const event = endedEvent(subject, { ...ending, outcome: 'failed', bytesFromClient: Number.POSITIVE_INFINITY }, Number.NaN)
  t.match(event.attributes, { 'sallyport.duration_ms': null, 'sallyport.bytes_from_client': null })
})

t.test('a target that could not be parsed is scrubbed here too', async (t) => {
  t.notMatch(encodeEvent(endedEvent({ ...subject, host: 'http://user:hunter2@example.com/', port: 0 }, { ...ending, outcome: 'refused' }, durationMs)), /hunter2/)
})
