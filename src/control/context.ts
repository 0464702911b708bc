// What all routes share, of one control API: its parts, the counts of what each actor has open, and the two
// ways in which a call stays open. Nothing here outlives the instance.
import type { Actor } from '../approvals/actor.ts'
import { controlCalledEvent } from '../audit/control-events.ts'
import type { FastifyRequest } from 'fastify'
import { isStillKnown, unauthenticated } from './auth.ts'
import type { ControlDeps } from './deps.ts'
import { EventStream } from './event-stream.ts'
import { ControlFault } from './problem.ts'
import { RateLimit } from './rate.ts'
import type { Call } from './route.ts'
import { Slots } from './slots.ts'

export class ControlContext {
  readonly deps: ControlDeps
  readonly actorLimit: RateLimit
  readonly refusedLimit: RateLimit
  readonly #streamSlots: Slots
  readonly #waitSlots: Slots
  readonly #streams = new Set<EventStream>()
  readonly #waits = new Set<() => void>()
  #isClosing = false
  /** keys of requests that are being answered */
  readonly inProgress = new Set<string>()

  constructor(deps: ControlDeps) {
    const { clock, limits } = deps
    this.deps = deps
    this.actorLimit = new RateLimit(clock, limits.actorBurst, limits.actorPerSecond)
    this.refusedLimit = new RateLimit(clock, limits.refusedBurst, limits.refusedPerSecond)
    this.#streamSlots = new Slots(limits.streamsPerActor)
    this.#waitSlots = new Slots(limits.waitsPerActor)
  }

  /** A place among the streams of an actor; returns what gives it back. Throws `too_many_streams`. */
  takeStream(actor: Actor): () => void {
    const release = this.#streamSlots.take(actorKey(actor))
    if (release === undefined) throw new ControlFault('too_many_streams', `${this.deps.limits.streamsPerActor} streams are open already`, { headers: { 'retry-after': '5' } })
    return release
  }

  /** Answers the call with an event stream. Throws `too_many_streams`, or what the journal throws. */
  async openStream({ request, reply, actor }: Call): Promise<EventStream> {
    const { audit, clock, limits } = this.deps
    const release = this.takeStream(actor)
    try {
      await audit.append(controlCalledEvent(callOf(request, 200)))
    } catch (error) {
      release()
      throw error
    }
    reply.hijack()
    const raw = reply.raw
    raw.writeHead(200, { ...ownFields(reply.getHeaders()), 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
    const isAllowed = (): boolean => isStillKnown(actor, request.secret, this.deps)
    const stream = new EventStream(raw, { heartbeatMs: limits.heartbeatMs, clock, isAllowed })
    this.#streams.add(stream)
    stream.signal.addEventListener('abort', () => {
      this.#streams.delete(stream)
      release()
    }, { once: true })
    // the client may be gone since before the stream was made
    if (raw.destroyed) stream.end()
    return stream
  }

  /** What `wait` resolves to, or undefined when the client left first. Throws `too_many_waits`, and `unauthenticated`
   * when the caller lost its standing meanwhile. */
  async hold<T>({ request, reply, actor }: Call, wait: () => Promise<T>): Promise<T | undefined> {
    const release = this.#waitSlots.take(actorKey(actor))
    if (release === undefined) throw new ControlFault('too_many_waits', 'too many calls wait already', { headers: { 'retry-after': '5' } })
    const end = Promise.withResolvers<undefined>()
    const leave = (): void => end.resolve(undefined)
    this.#waits.add(leave)
    reply.raw.once('close', leave)
    const waited = wait()
    // what is waited for counts until it is over, also when nobody listens any more
    waited.then(release, release)
    try {
      const result = await Promise.race([waited, end.promise])
      if (!isStillKnown(actor, request.secret, this.deps)) throw unauthenticated()
      return result
    } finally {
      this.#waits.delete(leave)
      reply.raw.off('close', leave)
    }
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Ends what is open, so that the listeners can close; new calls are refused. */
  endAll(): void {
    this.#isClosing = true
    for (const stream of this.#streams) stream.end()
    for (const leave of this.#waits) leave()
  }
}

export function actorKey({ kind, name }: Actor): string {
  return `${kind}:${name}`
}

/** A call as its event tells of it. */
export function callOf(request: FastifyRequest, status: number): Parameters<typeof controlCalledEvent>[0] {
  const { actor } = request
  return {
    actor: actor?.name ?? 'none',
    kind: actor?.kind ?? 'none',
    role: actor?.role ?? 'none',
    method: request.method,
    route: templateOf(request),
    status,
    requestId: request.id,
    clientAddress: request.clientAddress,
    code: request.faultCode,
    subjectId: request.subjectId,
    detail: request.detail,
  }
}

function templateOf(request: FastifyRequest): string {
  return request.routeOptions.url?.replaceAll(/:(\w+)/g, '{$1}') ?? 'none'
}

function ownFields(fields: Readonly<Record<string, number | string | string[] | undefined>>): Record<string, number | string | string[]> {
  const own: Record<string, number | string | string[]> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) own[name] = value
  return own
}
