import t from 'tap'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import { call } from './fixture.ts'

t.test('a call says who called which route, about what, and what came of it', async (t) => {
  const event = controlCalledEvent(call)
  t.equal(event.body, `bob (reviewer) called POST /v1/approvals/{id}/decision on ${call.subjectId}: 200`)
  t.match(event.attributes, {
    'sallyport.actor.name': 'bob', 'sallyport.actor.kind': 'person', 'sallyport.actor.role': 'reviewer', 'http.request.method': 'POST',
    'http.route': '/v1/approvals/{id}/decision', 'http.response.status_code': 200, 'sallyport.subject.id': call.subjectId, 'client.address': '127.0.0.1',
  })
})

t.test('a refusal says why', async (t) => {
  const event = controlCalledEvent({ ...call, status: 403, code: 'self_approval' })
  t.equal(event.attributes['sallyport.code'], 'self_approval')
  t.match(event.body, /: 403 \(self_approval\)$/)
})

t.test('severity follows the status', async (t) => {
  for (const [status, severity] of [[200, 'INFO'], [304, 'INFO'], [403, 'WARN'], [409, 'WARN'], [500, 'ERROR'], [503, 'ERROR']] as const) {
    t.equal(controlCalledEvent({ ...call, status }).severity, severity, String(status))
  }
})

t.test('a call on the socket has no address, and one about nothing no subject', async (t) => {
  const event = controlCalledEvent({ ...call, clientAddress: '', subjectId: undefined })
  t.equal(event.attributes['client.address'], 'unknown')
  t.notMatch(encodeEvent(event), /subject/)
})

t.test('what a caller chose is cut and stays in one line', async (t) => {
  const evil = `\u001b[2J\n${'x'.repeat(5000)}`
  const event = controlCalledEvent({ ...call, actor: evil, method: evil, route: evil, subjectId: evil })
  t.notMatch(encodeEvent(event), /[^\x20-\x7e]/)
  t.notMatch(event.body, /\p{Cc}/u)
  t.ok(encodeEvent(event).length < 4000)
})
