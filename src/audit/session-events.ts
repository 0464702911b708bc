// Builds the events of a session's life. Pure. They name whoever made and ended it, and where its credentials
// were seen; never the credentials.
import type { AttributeValue, AuditEvent } from './event.ts'
import { isoTime, labelText, optionalLabel } from './label-text.ts'
import { personalEvent, type Say } from './personal.ts'

export interface SessionSubject {
  readonly id: string
  readonly agent: string
  readonly owner: string | undefined
  readonly team: string | undefined
  /** wall clock, `ms`; undefined: until it is ended */
  readonly expiresMs: number | undefined
  /** nobody is there to answer: its questions are refused at once */
  readonly unattended: boolean
  /** its clients trust our certificate authority */
  readonly trustsCa: boolean
  /** it reads the web, which is all that it does */
  readonly webFetch: boolean
  /** what it reads live is kept in the web cache */
  readonly record: boolean
  /** it has a unix socket of its own */
  readonly hasSocket: boolean
  /** on the word of whoever made it */
  readonly isIsolated: boolean
}

/** Where credentials came from. */
export interface SeenAt {
  readonly address: string
  /** undefined where nothing is known of it */
  readonly uid: number | undefined
}

/** Credentials were made; write it before they are usable. */
export function sessionStartedEvent(session: SessionSubject, by: string): AuditEvent {
  const { owner } = session
  const body = (say: Say): string => `session ${session.id} for ${labelText(session.agent)}${owner === undefined ? '' : ` of ${say('user.name', labelText(owner))}`} made by ${say('sallyport.actor.name', labelText(by))}`
  return personalEvent({
    name: 'sallyport.session.started',
    severity: 'INFO',
    attributes: {
      ...sessionAttributes(session),
      'sallyport.session.expires': isoTime(session.expiresMs),
      'sallyport.session.unattended': session.unattended,
      'sallyport.session.trusts_ca': session.trustsCa,
      'sallyport.session.web_fetch': session.webFetch,
      'sallyport.session.record': session.record,
      'sallyport.session.socket': session.hasSocket,
      'sallyport.session.isolated': session.isIsolated,
      'sallyport.actor.name': labelText(by),
    },
  }, body, [{ person: owner, attributes: ['user.name'] }, { person: by, attributes: ['sallyport.actor.name'] }])
}

/** The same credentials came from a second place: somebody else may have them. */
export function sessionSharedEvent(session: SessionSubject, first: SeenAt, second: SeenAt): AuditEvent {
  const body = (say: Say): string =>
    `the credentials of session ${session.id} for ${labelText(session.agent)} were used from ${seenText(second, say, 'client.address', 'sallyport.client.uid')}, and before from ${seenText(first, say, 'sallyport.session.first_address', 'sallyport.session.first_uid')}`
  return personalEvent({
    name: 'sallyport.session.shared',
    severity: 'WARN',
    attributes: {
      ...sessionAttributes(session),
      'client.address': labelText(second.address),
      'sallyport.client.uid': second.uid,
      'sallyport.session.first_address': labelText(first.address),
      'sallyport.session.first_uid': first.uid,
    },
  }, body, [{ person: session.owner, attributes: ['user.name', 'client.address', 'sallyport.client.uid', 'sallyport.session.first_address', 'sallyport.session.first_uid'] }])
}

/** Its credentials are worth nothing any more; what it had open is closed. */
export function sessionEndedEvent(session: SessionSubject, how: 'ended' | 'expired', by: string | undefined): AuditEvent {
  const body = (say: Say): string => `session ${session.id} for ${labelText(session.agent)} ${how}${by === undefined ? '' : ` by ${say('sallyport.actor.name', labelText(by))}`}`
  return personalEvent({
    name: 'sallyport.session.ended',
    severity: 'INFO',
    attributes: { ...sessionAttributes(session), 'sallyport.session.how': how, 'sallyport.actor.name': optionalLabel(by) },
  }, body, [{ person: session.owner, attributes: ['user.name'] }, { person: by, attributes: ['sallyport.actor.name'] }])
}

function sessionAttributes(session: SessionSubject): Readonly<Record<string, AttributeValue | undefined>> {
  return {
    'session.id': labelText(session.id),
    'gen_ai.agent.name': labelText(session.agent),
    'user.name': optionalLabel(session.owner),
    'sallyport.team': optionalLabel(session.team),
  }
}

function seenText({ address, uid }: SeenAt, say: Say, addressName: string, uidName: string): string {
  const where = say(addressName, labelText(address))
  return uid === undefined ? where : `${where} (uid ${say(uidName, String(uid))})`
}
