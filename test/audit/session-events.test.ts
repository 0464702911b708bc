import t from 'tap'
import { encodeEvent } from '../../src/audit/record.ts'
import { sessionEndedEvent, sessionSharedEvent, sessionStartedEvent } from '../../src/audit/session-events.ts'
import { session } from './fixture.ts'

t.test('a session that starts names agent, owner, team, its end, and who made it', async (t) => {
  const event = sessionStartedEvent(session, 'alice')
  t.equal(event.severity, 'INFO')
  t.match(event.attributes, {
    'session.id': session.id, 'gen_ai.agent.name': 'codex', 'user.name': 'alice@example.com', 'sallyport.team': 'web',
    'sallyport.session.expires': '2026-01-03T03:04:05.000Z', 'sallyport.session.unattended': false, 'sallyport.actor.name': 'alice',
    'sallyport.session.trusts_ca': true, 'sallyport.session.web_fetch': false, 'sallyport.session.record': false, 'sallyport.session.socket': true, 'sallyport.session.isolated': false,
  })
})

t.test('what does not apply is no attribute of the record', async (t) => {
  const event = sessionStartedEvent({ ...session, owner: undefined, team: undefined, expiresMs: undefined }, 'alice')
  t.notMatch(encodeEvent(event), /user\.name|sallyport\.team|expires/)
  t.notMatch(encodeEvent(sessionEndedEvent(session, 'expired', undefined)), /actor/)
})

t.test('credentials that are used from a second place are WARN, with both places', async (t) => {
  const event = sessionSharedEvent(session, { address: '192.0.2.1', uid: 1000 }, { address: '192.0.2.2', uid: undefined })
  t.equal(event.severity, 'WARN')
  t.match(event.attributes, { 'client.address': '192.0.2.2', 'sallyport.session.first_address': '192.0.2.1', 'sallyport.session.first_uid': 1000 })
  t.equal(event.attributes['sallyport.client.uid'], undefined)
  t.match(event.body, 'were used from 192.0.2.2, and before from 192.0.2.1 (uid 1000)')
})

t.test('a session that ends says how', async (t) => {
  t.match(sessionEndedEvent(session, 'ended', 'bob').attributes, { 'sallyport.session.how': 'ended', 'sallyport.actor.name': 'bob' })
  t.equal(sessionEndedEvent(session, 'expired', undefined).body, `session ${session.id} for codex expired`)
})

t.test('names of any length and any content are cut and stay in one line', async (t) => {
  const evil = `a\r\n\u202e${'x'.repeat(5000)}`
  const event = sessionStartedEvent({ ...session, agent: evil, owner: evil, team: evil }, evil)
  t.notMatch(encodeEvent(event), /[^\x20-\x7e]/)
  t.notMatch(event.body, /[\p{Cc}\u202e]/u)
  t.equal(String(event.attributes['gen_ai.agent.name']).length, 256)
})
