// What each role may do: a set of permissions for each, not a ladder. The one table; routes name what they need.
import type { Actor, Role } from '../approvals/actor.ts'

export type Permission =
  /** approvals, grants, policy, explain, proposals */
  | 'read'
  | 'read_sessions'
  | 'read_events'
  /** create and end sessions of one's own */
  | 'launch'
  /** decide, snooze, revoke */
  | 'review'
  /** tokens, sessions for anyone, proposals */
  | 'administer'

export const rolePermissions: Readonly<Record<Role, readonly Permission[]>> = {
  viewer: ['read', 'read_sessions'],
  auditor: ['read', 'read_sessions', 'read_events'],
  launcher: ['read_sessions', 'launch'],
  reviewer: ['read', 'read_sessions', 'review'],
  admin: ['read', 'read_sessions', 'read_events', 'launch', 'review', 'administer'],
}

export function may(actor: Actor, permission: Permission): boolean {
  return rolePermissions[actor.role].includes(permission)
}
