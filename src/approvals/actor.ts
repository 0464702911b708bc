// Who uses the control plane, and what each role may do there. Pure.

export type Role = 'viewer' | 'auditor' | 'launcher' | 'reviewer' | 'admin'
export const roles: readonly Role[] = ['viewer', 'auditor', 'launcher', 'reviewer', 'admin']

export interface Actor {
  /** `local`: whoever may open the control socket, by the permissions of its folder */
  readonly kind: 'person' | 'program' | 'local'
  /** unique among tokens; for `local` the name of the user that the process runs as */
  readonly name: string
  readonly role: Role
  /** a reviewer's teams; empty: all */
  readonly teams: readonly string[]
  /** undefined for `local` */
  readonly tokenId: string | undefined
  /** name of whoever made the token */
  readonly mintedBy: string | undefined
}

export interface ControlToken {
  readonly id: string
  readonly kind: 'person' | 'program'
  readonly name: string
  readonly role: Role
  readonly teams: readonly string[]
  readonly createdMs: number
  readonly createdBy: string
  readonly expiresMs: number
  readonly revokedMs: number | undefined
  readonly lastUsedMs: number | undefined
}

export interface NewControlToken {
  readonly kind: 'person' | 'program'
  readonly name: string
  readonly role: Role
  readonly teams: readonly string[]
  readonly ttlMs: number
}

/** Tokens of people and programs; never of agents. */
export interface ControlTokens {
  /** `sp_` and 43 characters; returned this once */
  create(token: NewControlToken, by: Actor): { readonly token: ControlToken; readonly secret: string }
  /** False when there is no such token in force. */
  revoke(id: string): boolean
  list(): readonly ControlToken[]
  /** The actor of a secret in force; undefined for all others. Constant time in the secret. */
  authenticate(secret: string): Actor | undefined
}
