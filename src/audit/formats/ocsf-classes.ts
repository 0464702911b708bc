// The parts of OCSF 1.9.0 that events here are made of: classes, activities, and the attributes that several
// classes share. Pure. Numbers and captions are the schema's; test/fixtures/ocsf holds them against it.
import type { AttributeValue } from '../event.ts'
import type { FormatContext } from './formatter.ts'
import type { RecordFields } from './record-fields.ts'

export type Json = AttributeValue | null | readonly Json[] | { readonly [name: string]: Json | undefined }
export type JsonObject = { readonly [name: string]: Json | undefined }

interface OcsfClass {
  readonly uid: number
  readonly caption: string
  readonly category: readonly [uid: number, caption: string]
  readonly activities: Readonly<Record<string, number>>
}

const entityActivities = { Create: 1, Update: 3, Delete: 4, Activate: 10, Deactivate: 11 } as const
const httpActivities = {
  Connect: 1, Delete: 2, Get: 3, Head: 4, Options: 5, Post: 6, Put: 7, Trace: 8, Patch: 9, Copy: 15, Lock: 18, 'Make Collection': 22, Move: 25,
  'Property Find': 28, 'Property Patch': 29, Query: 30, Report: 32, Search: 33, Unlock: 37,
} as const

const classes = {
  base_event: { uid: 0, caption: 'Base Event', category: [0, 'Uncategorized'], activities: {} },
  entity_management: { uid: 3004, caption: 'Entity Management', category: [3, 'Identity & Access Management'], activities: entityActivities },
  network_activity: { uid: 4001, caption: 'Network Activity', category: [4, 'Network Activity'], activities: { Open: 1, Close: 2, Fail: 4, Refuse: 5 } },
  http_activity: { uid: 4002, caption: 'HTTP Activity', category: [4, 'Network Activity'], activities: httpActivities },
  application_lifecycle: { uid: 6002, caption: 'Application Lifecycle', category: [6, 'Application Activity'], activities: { Start: 3, Stop: 4 } },
  api_activity: { uid: 6003, caption: 'API Activity', category: [6, 'Application Activity'], activities: { Create: 1, Read: 2, Update: 3, Delete: 4 } },
} as const satisfies Readonly<Record<string, OcsfClass>>

export type ClassName = keyof typeof classes

/** The event of one record, but for what every event has. */
export interface OcsfEvent {
  readonly className: ClassName
  /** caption of the class's own activity, or a word of ours, which is sent as Other (99) */
  readonly activity: string
  /** of the class, without what is in every event */
  readonly attributes: JsonObject
  /** whose attributes are among them */
  readonly profiles?: readonly string[]
}

export type OcsfBuilder = (fields: RecordFields, context: FormatContext) => OcsfEvent

const other = 99

export function classOf({ className, activity }: OcsfEvent): JsonObject {
  const { uid, caption, category, activities }: OcsfClass = classes[className]
  const id = Object.hasOwn(activities, activity) ? (activities[activity] ?? other) : other
  return {
    activity_id: id,
    activity_name: activity,
    category_uid: category[0],
    category_name: category[1],
    class_uid: uid,
    class_name: caption,
    type_uid: uid * 100 + id,
    type_name: `${caption}: ${id === other ? 'Other' : activity}`,
  }
}

const methods: Readonly<Record<string, keyof typeof httpActivities>> = {
  CONNECT: 'Connect', DELETE: 'Delete', GET: 'Get', HEAD: 'Head', OPTIONS: 'Options', POST: 'Post', PUT: 'Put', TRACE: 'Trace', PATCH: 'Patch',
  COPY: 'Copy', LOCK: 'Lock', MKCOL: 'Make Collection', MOVE: 'Move', PROPFIND: 'Property Find', PROPPATCH: 'Property Patch', QUERY: 'Query',
  REPORT: 'Report', SEARCH: 'Search', UNLOCK: 'Unlock',
}

/** The activity that a method is; one that HTTP Activity does not name is its own. */
export function methodActivity(method: string): string {
  return (Object.hasOwn(methods, method) ? methods[method] : undefined) ?? method
}

export const success = { status_id: 1, status: 'Success' } as const
export const failure = { status_id: 2, status: 'Failure' } as const

const actions = { Allowed: 1, Denied: 2 } as const
const dispositions = { Allowed: 1, Blocked: 2, Approved: 8, Delayed: 14, Logged: 17, Challenge: 23, 'Access Revoked': 24, Rejected: 25, Unauthorized: 26, Error: 27 } as const

/** Of the profile `security_control`. A question that waits is neither allowed nor denied: Other (99), by its own name. */
export function control(action: keyof typeof actions | 'Asked', disposition: keyof typeof dispositions): JsonObject {
  return {
    action_id: action === 'Asked' ? other : actions[action],
    action,
    disposition_id: dispositions[disposition],
    disposition,
  }
}

/** An object with the members that are there; undefined where there is none. */
export function objectOf(members: JsonObject): JsonObject | undefined {
  return Object.values(members).some((value) => value !== undefined) ? members : undefined
}

/** Who asked: an address where it is one, else what stands for it (`unix`, `unknown`). */
export function sourceEndpoint(fields: RecordFields): JsonObject | undefined {
  const ip = fields.ip('client.address')
  return objectOf(ip === undefined ? { name: fields.text('client.address') } : { ip })
}

/** The agent that acts, by the name its session has it under, and that session. Of the profile `ai_operation`. */
export function aiAgent(fields: RecordFields): JsonObject | undefined {
  const name = fields.text('gen_ai.agent.name')
  return name === undefined ? undefined : { uid: name, name, instance_uid: fields.peek('session.id') }
}

/** Somebody by name, and the team beside it. */
export function userOf(name: string | undefined, team: string | undefined): JsonObject | undefined {
  if (name === undefined) return undefined
  return { name, ...(team === undefined ? {} : { groups: [{ name: team, type: 'team' }] }) }
}
