// Decisions, endings and the web cache as OCSF's Network Activity and HTTP Activity. Pure. What a tunnel hides is
// Network Activity; a request whose method was read is HTTP Activity.
import { errorTable, type ErrorCode } from '../../errors.ts'
import { isOwnFault } from '../decision-event.ts'
import { parseIp } from '../../target/address.ts'
import type { FormatContext } from './formatter.ts'
import {
  aiAgent, control, failure, methodActivity, objectOf, sourceEndpoint, success, userOf, type JsonObject, type OcsfBuilder, type OcsfEvent,
} from './ocsf-classes.ts'
import type { RecordFields } from './record-fields.ts'

/** The verdict of one stage. */
export const decisionEvent: OcsfBuilder = (fields, context) => {
  const decision = fields.peek('network.policy.decision')
  const code = fields.text('sallyport.code')
  const activity = decision === 'allow' ? 'Open' : decision === 'deny' ? 'Refuse' : 'Delay'
  return exchange(fields, context, activity, {
    ...(decision === 'allow' ? success : decision === 'deny' ? failure : { status_id: 99, status: 'Asked' }),
    ...(code === undefined ? {} : { status_code: code }),
    ...detail(fields),
    ...verdict(fields, decision, code),
    ...rule(fields),
  }, ['security_control'])
}

/** How an exchange ended. */
export const endedEvent: OcsfBuilder = (fields, context) => {
  const outcome = fields.peek('sallyport.outcome') ?? 'unknown'
  const code = fields.text('sallyport.code')
  const durationMs = fields.number('sallyport.duration_ms')
  const [activity, controls] = endings[outcome] ?? ['Close']
  const isGood = outcome === 'completed'
  const isBad = outcome === 'failed' || outcome === 'refused'
  return exchange(fields, context, activity, {
    ...(isGood ? success : isBad ? failure : { status_id: 99, status: outcome }),
    ...(code === undefined ? {} : { status_code: code }),
    ...(durationMs === undefined ? {} : { start_time: fields.timeMs - Math.round(durationMs), end_time: fields.timeMs, duration: Math.round(durationMs) }),
    ...traffic(fields),
    ...controls,
  }, controls === undefined ? [] : ['security_control'])
}

const endings: Readonly<Record<string, readonly [activity: string, controls?: JsonObject]>> = {
  completed: ['Close'],
  expired: ['Close'],
  failed: ['Fail'],
  refused: ['Refuse', control('Denied', 'Blocked')],
  pending: ['Delay', control('Asked', 'Delayed')],
}

/** What the web cache answered, did not hold, or was given. */
export function cacheEvent(activity: string): OcsfBuilder {
  return (fields, context) => {
    const actor = userOf(fields.text('sallyport.actor.name'), undefined)
    return {
      className: 'http_activity',
      activity,
      profiles: ['host', 'ai_operation', 'network_proxy'],
      attributes: {
        ...(fields.record.name === 'sallyport.cache.missed' ? failure : success),
        ...parties(fields, context),
        ...(actor === undefined ? {} : { actor: { user: actor } }),
        ...request(fields, undefined),
      },
    }
  }
}

/** `activity` is the one of Network Activity; of HTTP Activity it is the method. */
function exchange(fields: RecordFields, context: FormatContext, activity: string, attributes: JsonObject, profiles: readonly string[]): OcsfEvent {
  const asked = fields.peek('http.request.method') ?? 'none'
  const isSeen = asked !== 'none'
  const method = isSeen ? fields.text('http.request.method') : undefined
  const protocol = { direction_id: 2, direction: 'Outbound', protocol_name: 'tcp', protocol_num: 6 }
  return {
    className: isSeen ? 'http_activity' : 'network_activity',
    activity: isSeen ? methodActivity(asked) : activity,
    profiles: ['host', 'ai_operation', 'network_proxy', ...profiles],
    attributes: { ...attributes, ...parties(fields, context), connection_info: protocol, ...(isSeen ? request(fields, method) : {}) },
  }
}

function parties(fields: RecordFields, context: FormatContext): JsonObject {
  const user = userOf(fields.text('user.name'), fields.peek('user.name') === undefined ? undefined : fields.text('sallyport.team'))
  const agent = aiAgent(fields)
  const session = fields.text('session.id')
  return {
    src_endpoint: sourceEndpoint(fields),
    dst_endpoint: destination(fields),
    proxy_endpoint: { name: 'sallyport', hostname: context.hostname, instance_uid: fields.record.instance },
    actor: objectOf({ user, session: session === undefined ? undefined : { uid: session } }),
    ai_agent: agent,
  }
}

/** Of a target that could not be parsed, what is left of it is a name and no host. */
function destination(fields: RecordFields): JsonObject | undefined {
  const port = fields.port('server.port')
  const host = fields.text('server.address')
  const peer = fields.ip('network.peer.address')
  if (host === undefined || port === undefined) return objectOf({ name: host, ip: peer })
  return parseIp(host) === undefined ? { hostname: host, port, ip: peer } : { ip: peer ?? host, name: host, port }
}

function request(fields: RecordFields, method: string | undefined): JsonObject {
  const host = fields.peek('server.address')
  const path = fields.text('url.path')
  // the schema wants a URL to have a path
  const url = path === undefined ? undefined : {
    scheme: fields.text('url.scheme'), hostname: host, port: fields.number('server.port'), path, query_string: fields.text('url.query'),
  }
  const status = fields.count('http.response.status_code')
  const size = status === undefined ? undefined : fields.count('http.response.body.size')
  return {
    http_request: { http_method: method, user_agent: fields.text('user_agent.original'), uid: fields.peek('sallyport.request.id'), url },
    http_response: status === undefined ? undefined : { code: status, body_length: size },
  }
}

function detail(fields: RecordFields): JsonObject {
  const reason = fields.text('sallyport.reason')
  return reason === undefined ? {} : { status_detail: reason }
}

function rule(fields: RecordFields): JsonObject {
  const name = fields.text('security_rule.name')
  const revision = fields.text('sallyport.policy.revision')
  const file = fields.text('security_rule.ruleset.name')
  return {
    firewall_rule: name === undefined ? undefined : { name, condition: fields.text('sallyport.rule.pattern'), match_location: file },
    policy: revision === undefined ? undefined : { uid: revision, name: file, is_applied: true },
  }
}

function verdict(fields: RecordFields, decision: string | undefined, code: string | undefined): JsonObject {
  if (decision === 'allow') {
    if (fields.peek('sallyport.monitored.verdict') !== undefined) return control('Allowed', 'Logged')
    return control('Allowed', fields.is('network.policy.override') ? 'Approved' : 'Allowed')
  }
  if (decision !== 'deny') return control('Asked', 'Delayed')
  if (isOwnFault(code)) return control('Denied', 'Error')
  const status = code !== undefined && isCode(code) ? errorTable[code].status : 403
  if (status === 407) return control('Denied', 'Challenge')
  // what could not be read or contradicts itself, as against what policy refuses
  return control('Denied', status >= 400 && status < 500 && status !== 403 && status !== 429 ? 'Rejected' : 'Blocked')
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}

function traffic(fields: RecordFields): JsonObject {
  const out = fields.count('sallyport.bytes_from_client')
  const back = fields.count('sallyport.bytes_from_origin')
  if (out === undefined || back === undefined) return {}
  return { traffic: { bytes: out + back, bytes_in: back, bytes_out: out } }
}
