// Calls of the control plane as OCSF's API Activity, and the process itself as Application Lifecycle. Pure.
import { control, failure, sourceEndpoint, success, userOf, type JsonObject, type OcsfBuilder } from './ocsf-classes.ts'
import type { RecordFields } from './record-fields.ts'

/** What HTTP's methods stand for; the route in `api.operation` says what a POST really did. */
const activities: Readonly<Record<string, string>> = { GET: 'Read', HEAD: 'Read', POST: 'Create', PUT: 'Update', PATCH: 'Update', DELETE: 'Delete' }

/** Somebody with credentials called the control listener. */
export const callEvent: OcsfBuilder = (fields) => {
  const method = fields.text('http.request.method') ?? 'unknown'
  const route = fields.peek('http.route')
  const status = fields.count('http.response.status_code') ?? 0
  const code = fields.text('sallyport.code')
  const requestId = fields.text('sallyport.request.id')
  return {
    className: 'api_activity',
    activity: (Object.hasOwn(activities, method) ? activities[method] : undefined) ?? method,
    profiles: ['security_control'],
    attributes: {
      ...(status < 400 ? success : failure),
      status_code: code ?? String(status),
      ...(status === 401 || status === 403 ? control('Denied', 'Unauthorized') : status < 400 ? control('Allowed', 'Allowed') : control('Denied', 'Rejected')),
      actor: { user: caller(fields) },
      api: {
        operation: route === undefined ? method : `${method} ${route}`,
        request: requestId === undefined ? undefined : { uid: requestId },
        response: { code: status },
      },
      src_endpoint: sourceEndpoint(fields) ?? { name: 'unknown' },
      http_request: { http_method: method, uid: requestId },
      http_response: { code: status },
    },
  }
}

function caller(fields: RecordFields): JsonObject {
  const user = userOf(fields.text('sallyport.actor.name') ?? 'unknown', undefined)
  if (fields.peek('sallyport.actor.role') === 'admin') return { ...user, type_id: 2, type: 'Admin' }
  return fields.peek('sallyport.actor.kind') === 'program' ? { ...user, type_id: 4, type: 'Service' } : { ...user, type_id: 1, type: 'User' }
}

/** The process opened its listeners, or ends in good order. */
export function lifecycleEvent(activity: 'Start' | 'Stop'): OcsfBuilder {
  return (fields, { hostname }) => {
    const durationMs = fields.count('sallyport.duration_ms')
    const reason = fields.text('sallyport.reason')
    return {
      className: 'application_lifecycle',
      activity,
      attributes: {
        ...success,
        ...(reason === undefined ? {} : { status_detail: reason }),
        ...(durationMs === undefined ? {} : { duration: durationMs }),
        application: { name: 'sallyport', uid: fields.record.instance, version: fields.text('service.version'), hostname },
      },
    }
  }
}
