// Keeps answers of sessions that record on the shelf `web`, beside their way to the client, which it never holds up.
// INVARIANT: what is found there came whole, was admitted and decoded as a fill is, and was on record before it could be
// read; when its session is over, nothing more of it is kept.
import { cacheFilledEvent, type CachedPlace } from '../audit/cache-events.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { Clock } from '../clock.ts'
import { admit, type KeptAnswer } from './admission.ts'
import type { BodyWriter, CacheStore, WrittenBody } from './cache-store.ts'
import type { CacheKey } from './cached-response.ts'
import { decoded, DecodingFault } from './decoding.ts'
import { commonPartition, partitionOf } from './web-cache.ts'

export interface RecorderOptions {
  readonly store: CacheStore
  readonly audit: AuditSink
  readonly redaction: Redaction
  readonly clock: Clock
  /** of a body, decoded */
  readonly maxBodyBytes: number
  readonly onFault: (error: unknown) => void
}

export interface RecordOrder {
  /** as `cacheUrl` writes it */
  readonly url: string
  readonly place: CachedPlace
  /** of the request as it leaves, `recordableFields` */
  readonly fields: readonly string[]
  /** whose agents read it; undefined: of a session without a team, for everybody */
  readonly team: string | undefined
  /** who made the session */
  readonly by: string
  readonly requestId: string
  /** false: the session is over */
  readonly isLive: () => boolean
}

export interface RecordedHead {
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
}

// what decoding and the disk may be behind the client, of each answer and of all
const maxPendingBytes = 8 * 1024 * 1024
const maxPendingTogether = 64 * 1024 * 1024
const maxRecordings = 64
// answers under one key: what an agent says it accepts must not fill the index
const maxVariants = 32

export class Recorder {
  readonly options: RecorderOptions
  readonly #open = new Set<Recording>()
  pendingBytes = 0

  constructor(options: RecorderOptions) {
    this.options = options
  }

  /** The answer to a request that is about to leave; undefined: enough are under way, and it is not kept. */
  begin(order: RecordOrder): Recording | undefined {
    if (this.#open.size >= maxRecordings) return undefined
    const recording = new Recording(this, order)
    this.#open.add(recording)
    return recording
  }

  settled(recording: Recording): void {
    this.#open.delete(recording)
  }

  /** What is under way is not kept. */
  close(): void {
    for (const recording of this.#open) recording.abort()
  }
}

/** It came, and may not be kept. */
class NotKept extends Error {}

export class Recording {
  readonly #recorder: Recorder
  readonly #order: RecordOrder
  readonly #askedMs: number
  #chunks: Uint8Array[] = []
  #pendingBytes = 0
  #isWhole = false
  #isOver = false
  #wake: () => void = () => undefined

  constructor(recorder: Recorder, order: RecordOrder) {
    this.#recorder = recorder
    this.#order = order
    this.#askedMs = recorder.options.clock.now()
  }

  /** `isDelimited`: its framing says where its content ends. True: its content is wanted. */
  open(head: RecordedHead, isDelimited: boolean): boolean {
    const kept = isDelimited || head.status === 204 ? this.#admitted(head) : undefined
    if (kept === undefined || this.#isOver) {
      this.abort()
      return false
    }
    void this.#settle(kept)
    return true
  }

  /** `chunk` is held until it is written, and must not change. */
  write(chunk: Uint8Array): void {
    if (this.#isOver || chunk.length === 0) return
    this.#held(chunk.length)
    if (this.#pendingBytes > maxPendingBytes || this.#recorder.pendingBytes > maxPendingTogether) {
      this.abort()
      return
    }
    this.#chunks.push(chunk)
    this.#wake()
  }

  /** All of the content has come, as its framing says. */
  end(): void {
    this.#isWhole = true
    this.#wake()
  }

  /** Its exchange is over: what is not whole by now never will be. */
  left(): void {
    if (!this.#isWhole) this.abort()
  }

  /** Nothing of it is kept, if it is not yet. */
  abort(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#chunks = []
    this.#held(-this.#pendingBytes)
    this.#wake()
    this.#recorder.settled(this)
  }

  #admitted({ status, reason, fields }: RecordedHead): KeptAnswer | undefined {
    const { clock, maxBodyBytes } = this.#recorder.options
    try {
      const answered = { status, reason, fields, askedMs: this.#askedMs, answeredMs: clock.now() }
      const admission = admit({ method: 'GET', fields: this.#order.fields, isCredentialed: false }, answered)
      return 'kept' in admission && (admission.kept.contentLength ?? 0) <= maxBodyBytes ? admission.kept : undefined
    } catch (error) {
      // its client has nothing to do with it
      this.#fail(error)
      return undefined
    }
  }

  async #settle(kept: KeptAnswer): Promise<void> {
    try {
      await this.#keep(kept)
    } catch (error) {
      this.#fail(error)
    } finally {
      this.abort()
    }
  }

  async #keep(kept: KeptAnswer): Promise<void> {
    const { options: { store, audit, redaction } } = this.#recorder
    const { url, place, team, by, requestId } = this.#order
    const key: CacheKey = { shelf: 'web', partition: team === undefined ? commonPartition : partitionOf(team), url }
    this.#checkPlace(key, kept)
    const writer = store.writeBody()
    try {
      const body = await this.#content(kept, writer)
      this.#check()
      // on record before anybody can read it
      await audit.append(cacheFilledEvent({
        place, source: 'recorded', by, partition: key.partition, status: kept.head.status, bytes: body?.bytes ?? 0, digest: body?.digest, requestId, approvalId: undefined,
      }, redaction))
      this.#check()
      this.#checkPlace(key, kept)
      store.put({ ...kept.head, key, source: 'recorded', by, pinned: false, capturedMs: undefined }, body)
    } catch (error) {
      writer.abort()
      throw error
    }
  }

  async #content({ codings, contentLength, head: { status } }: KeptAnswer, writer: BodyWriter): Promise<WrittenBody | undefined> {
    const came = { bytes: 0 }
    for await (const chunk of decoded(this.#received(came), codings, { maxBytes: this.#recorder.options.maxBodyBytes })) await writer.write(chunk)
    if (contentLength !== undefined && came.bytes !== contentLength && status !== 204) throw new NotKept(`${came.bytes} bytes came where its head promised ${contentLength}`)
    if (writer.bytes > 0) return writer.finish()
    writer.abort()
    return undefined
  }

  /** What comes, as it comes. Throws NotKept where it broke off. */
  async* #received(came: { bytes: number }): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#isOver) throw new NotKept('its answer broke off')
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        came.bytes += chunk.length
        yield chunk
        if (!this.#isOver) this.#held(-chunk.length)
        continue
      }
      if (this.#isWhole) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }

  /** What people pinned stays as it is, and one URL has so many forms. */
  #checkPlace(key: CacheKey, { head: { vary } }: KeptAnswer): void {
    const there = this.#recorder.options.store.find(key)
    const text = JSON.stringify(vary)
    const same = there.find((entry) => JSON.stringify(entry.vary) === text)
    if (same?.pinned === true || (same === undefined && there.length >= maxVariants)) throw new NotKept('its place is taken')
  }

  #check(): void {
    if (this.#isOver || !this.#order.isLive()) throw new NotKept('its session is over')
  }

  #held(bytes: number): void {
    this.#pendingBytes += bytes
    this.#recorder.pendingBytes += bytes
  }

  #fail(error: unknown): void {
    if (!(error instanceof NotKept || error instanceof DecodingFault)) this.#recorder.options.onFault(error)
  }
}
