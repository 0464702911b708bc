// Approvals, grants, sessions and policies as OCSF's Entity Management: each is a thing with an id that somebody makes,
// changes and ends. Pure.
import { aiAgent, control, failure, objectOf, sourceEndpoint, success, userOf, type JsonObject, type OcsfBuilder } from './ocsf-classes.ts'
import type { RecordFields } from './record-fields.ts'

/** `idName`: the attribute that the entity is known by. */
export function entityEvent(type: 'Approval' | 'Grant' | 'Session' | 'Policy', idName: string, activity: string): OcsfBuilder {
  return (fields) => {
    const doer = fields.text('sallyport.reviewer.name') ?? fields.text('sallyport.actor.name')
    const owner = fields.peek('user.name')
    // who did it, or for whom it was done by itself
    const user = doer === undefined ? userOf(fields.text('user.name'), owner === undefined ? undefined : fields.text('sallyport.team')) : userOf(doer, undefined)
    const agent = aiAgent(fields)
    const session = type === 'Session' ? undefined : fields.text('session.id')
    const controls = controlOf(fields)
    return {
      className: 'entity_management',
      activity,
      profiles: ['ai_operation', ...(controls === undefined ? [] : ['security_control'])],
      attributes: {
        ...(fields.record.name === 'sallyport.policy.rejected' ? failure : success),
        entity: entity(fields, type, idName),
        actor: objectOf({ user, session: session === undefined ? undefined : { uid: session } }),
        ai_agent: agent,
        src_endpoint: sourceEndpoint(fields),
        comment: fields.text('sallyport.comment'),
        ...controls,
      },
    }
  }
}

function entity(fields: RecordFields, type: string, idName: string): JsonObject {
  // a policy that was never there has no revision
  const uid = fields.text(idName) ?? 'none'
  if (type === 'Policy') return { type_id: 5, type, uid, policy: { uid, is_applied: fields.record.name === 'sallyport.policy.loaded' } }
  const host = fields.peek('server.address')
  const port = fields.number('server.port')
  const name = host === undefined ? undefined : port === undefined ? host : `${host}:${port}`
  return { type_id: 99, type, uid, name }
}

/** Of the profile `security_control`: what became of what was asked. */
function controlOf(fields: RecordFields): JsonObject | undefined {
  const { name } = fields.record
  if (name === 'sallyport.approval.requested') return control('Asked', 'Delayed')
  if (name === 'sallyport.approval.expired') return control('Denied', 'Blocked')
  if (name === 'sallyport.grant.revoked') return control('Denied', 'Access Revoked')
  if (name !== 'sallyport.approval.decided') return undefined
  if (fields.peek('sallyport.approval.verdict') === 'deny') return control('Denied', 'Rejected')
  // the first of two who have to agree
  return fields.is('sallyport.approval.complete') ? control('Allowed', 'Approved') : control('Asked', 'Delayed')
}
