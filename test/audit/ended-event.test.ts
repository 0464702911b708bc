import t from 'tap'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { redaction, subject } from './fixture.ts'

const ending = { bytesFromClient: 517, bytesFromOrigin: 20_480, durationMs: 12.34567 }

const severity = (outcome: 'completed' | 'refused' | 'failed' | 'expired', code?: 'connection_refused' | 'internal_error') => endedEvent(subject, { ...ending, outcome, code }).severity

t.test('a completed exchange says how much went each way, how long, and to which address', async (t) => {
  const event = endedEvent(subject, { ...ending, outcome: 'completed', peerAddress: '192.0.2.7', status: 200 })
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
  t.equal(severity('failed', 'connection_refused'), 'WARN')
  t.equal(severity('failed', 'internal_error'), 'ERROR')
})

t.test('the URL is there only with a redaction, and redacted', async (t) => {
  const http = { ...subject, protocol: 'http', path: '/x', query: 'k=hunter2' } as const
  t.equal(endedEvent(http, { ...ending, outcome: 'completed' }).attributes['url.path'], undefined)
  t.match(endedEvent(http, { ...ending, outcome: 'completed' }, redaction).attributes, { 'url.path': '/x', 'url.query': 'k' })
})
