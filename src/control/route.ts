// What a route is: data that Fastify, the OpenAPI document and the tests read alike. A route that is not
// written as one of these does not exist under /v1.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Actor } from '../approvals/actor.ts'
import type { Permission } from './permissions.ts'
import type { Schema, SchemaName } from './schemas.ts'

export interface Call<Body = unknown, Query = unknown> {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly actor: Actor
  /** what `{id}` of the path stands for; empty without one */
  readonly id: string
  /** validated */
  readonly body: Body
  readonly query: Query
}

export interface Answer {
  /** default: 200 */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** absent: no body */
  readonly body?: object
}

export type Conditional = 'If-Match' | 'If-None-Match' | 'Idempotency-Key' | 'Prefer' | 'Last-Event-ID'

export interface Route<Body = unknown, Query = unknown> {
  readonly method: 'GET' | 'POST'
  /** `{id}` is the one parameter there is */
  readonly path: string
  /** operationId of the OpenAPI document */
  readonly name: string
  readonly summary: string
  /** least permission, of which one is enough */
  readonly needs: readonly Permission[]
  readonly headers?: readonly Conditional[]
  readonly query?: Schema
  readonly body?: Schema
  /** the most that a body may have; absent: as for every route */
  readonly bodyBytes?: number
  /** schema of the answer by status */
  readonly answers: Readonly<Record<number, Schema | SchemaName>>
  /** codes it can say no with, beside those that every route has */
  readonly faults?: readonly string[]
  /** only answers as an event stream */
  readonly isStream?: true
  /** answers with bytes, and not with JSON */
  readonly isBytes?: true
  /** once more does no harm, and its answer is not kept */
  readonly isRepeatable?: true
  /** answers as an event stream too, when asked for one */
  readonly mayStream?: true
  /** answers with one JSON object a line too, when asked for that */
  readonly mayBeLines?: true
  /** what is kept of an answer for a replay; default: all of it */
  keep?(body: object): object
  /** undefined: the answer is under way already, as a stream */
  handle(call: Call<Body, Query>): Promise<Answer | undefined>
}
