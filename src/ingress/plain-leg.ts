// A connection whose requests are plain enough to be read without node's parser: one at a time, each answered
// on the bare socket. The first that is anything else goes to node's parser, with all that comes after it. It
// judges nothing. INVARIANT: what comes behind an unfinished answer is kept, not looked at, and nothing more is
// read behind it but for a request that is held, whose client may leave: that much, and within bounds.
import type { Clock } from '../clock.ts'
import type { Deadline, Deadlines } from '../deadlines.ts'
import { Roster, type Member } from '../roster.ts'
import type { ClientConnection } from './client-connections.ts'
import { PlainAnswer, type AnswerPlace } from './plain-answer.ts'
import { readPlainHead, type PlainHead, type TargetForm } from './plain-head.ts'
import { PlainRequest } from './plain-request.ts'

export interface PlainLegOptions {
  readonly headerBytes: number
  /** an idle connection is closed after this */
  readonly keepAliveTimeoutMs: number
  readonly clock: Clock
  /** for connections that say nothing */
  readonly idleDeadlines: Deadlines
  readonly isDraining: () => boolean
  /** the door; what it throws ends the connection */
  readonly serve: (connection: ClientConnection, request: PlainRequest, answer: PlainAnswer) => void
  /** has node's parser read from here on, `early` first */
  readonly enter: (connection: ClientConnection, early: Buffer) => void
}

// what is advertised is a little less than what is kept, as node does it: a request that is on its way finds the connection open
const graceMs = 1_000
/** of what a client sends behind a request that is held */
const maxHeldBytes = 256 * 1024

/** What all of a front's legs share. */
export class PlainLegs {
  readonly options: PlainLegOptions
  readonly keptLines: string
  readonly #open = new Roster<PlainLeg>()
  #date = ''
  #dateS = -1

  constructor(options: PlainLegOptions) {
    this.options = options
    const seconds = Math.floor(options.keepAliveTimeoutMs / 1000)
    this.keptLines = `Connection: keep-alive\r\nKeep-Alive: timeout=${seconds}\r\n`
  }

  /** Takes the connection if `chunk`, all that was read of it, is a plain request; false: nothing has changed. */
  begin(connection: ClientConnection, chunk: Buffer): boolean {
    const form = connection.bound === undefined ? 'absolute' : 'origin'
    const head = readPlainHead(chunk, this.options.headerBytes, form)
    if (head === undefined) return false
    const leg = new PlainLeg(connection, form, this)
    this.#open.add(leg)
    leg.answer(head)
    return true
  }

  /** Nothing more is read of `leg`. */
  left(leg: PlainLeg): void {
    this.#open.remove(leg)
  }

  /** Closes the connections that are between two requests. */
  closeIdle(): void {
    for (const leg of this.#open.all()) if (leg.isIdle) leg.socket.destroy()
  }

  /** Value of Date (RFC 9110 section 6.6.1), made once a second. */
  date(): string {
    const nowMs = this.options.clock.now()
    const seconds = Math.floor(nowMs / 1000)
    if (seconds !== this.#dateS) {
      this.#dateS = seconds
      this.#date = new Date(nowMs).toUTCString()
    }
    return this.#date
  }
}

class PlainLeg implements AnswerPlace, Member {
  readonly socket: ClientConnection['socket']
  place = -1
  isLast = false
  /** between two requests */
  isIdle = false
  readonly #connection: ClientConnection
  readonly #form: TargetForm
  readonly #legs: PlainLegs
  #answer: PlainAnswer | undefined
  /** what came behind a request that is not answered yet */
  #held: Buffer[] = []
  #heldBytes = 0
  /** some of that waits in the socket's own stream */
  #isBehind = false
  /** reads on behind it, and is called when that was too much */
  #onFull: (() => void) | undefined
  #idleSinceMs = 0
  #deadline: Deadline | undefined

  constructor(connection: ClientConnection, form: TargetForm, legs: PlainLegs) {
    this.#connection = connection
    this.#form = form
    this.#legs = legs
    this.socket = connection.socket
    this.socket.on('end', this.#ended)
    this.socket.on('drain', this.#drained)
    this.socket.on('close', this.#closed)
    connection.upload.listenFirst(this.socket, (chunk) => this.#read(chunk))
  }

  get keptLines(): string {
    return this.#legs.keptLines
  }

  date(): string {
    return this.#legs.date()
  }

  answer(head: PlainHead): void {
    this.isIdle = false
    this.isLast = !head.isKeptAlive || this.socket.readableEnded
    const answer = new PlainAnswer(this, head.method === 'HEAD')
    this.#answer = answer
    this.#legs.options.serve(this.#connection, new PlainRequest(head, this.socket, this.#readOn), answer)
  }

  finished(answer: PlainAnswer): void {
    if (this.#answer !== answer) return
    this.#answer = undefined
    if (this.isLast || this.#legs.options.isDraining()) this.socket.destroySoon()
    else if (this.#heldBytes > 0 || this.#isBehind) this.#leave(Buffer.concat(this.#held))
    else this.#rest()
  }

  #read(chunk: Buffer): boolean {
    if (this.#answer !== undefined || this.isLast) {
      if (this.#onFull === undefined && this.#putBack(chunk)) return false
      this.#held.push(Buffer.from(chunk))
      this.#heldBytes += chunk.length
      if (this.#heldBytes > maxHeldBytes) this.#onFull?.()
      return this.#onFull !== undefined && this.#heldBytes <= maxHeldBytes
    }
    const head = readPlainHead(chunk, this.#legs.options.headerBytes, this.#form)
    if (head === undefined) this.#leave(Buffer.from(chunk))
    else this.answer(head)
    return true
  }

  /** Behind what is not read no end is seen: a client that sends more and leaves would be waited for. */
  readonly #readOn = (onFull: () => void): (() => void) => {
    this.#onFull = onFull
    if (this.#heldBytes > 0 || this.#isBehind) this.socket.resume()
    return () => {
      this.#onFull = undefined
      // an end that comes now must wait behind what is held
      if (this.#isBehind) this.socket.pause()
      if (this.#heldBytes === 0) return
      if (this.#putBack(Buffer.concat(this.#held))) {
        this.#held = []
        this.#heldBytes = 0
      } else {
        this.socket.pause()
      }
    }
  }

  #putBack(chunk: Buffer): boolean {
    if (!this.#connection.upload.putBack(Buffer.from(chunk))) return false
    this.#isBehind = true
    return true
  }

  /** For good: node's parser has the connection. */
  #leave(early: Buffer): void {
    const { socket } = this
    this.#stop()
    socket.off('end', this.#ended)
    socket.off('drain', this.#drained)
    socket.off('close', this.#closed)
    this.#legs.options.enter(this.#connection, early)
  }

  #rest(): void {
    const { clock } = this.#legs.options
    this.isIdle = true
    this.#idleSinceMs = clock.monotonic()
    if (this.#deadline === undefined) this.#look()
  }

  /** A deadline that every request winds up would cost each request: it is looked at when it is over. */
  readonly #look = (): void => {
    const { clock, idleDeadlines, keepAliveTimeoutMs } = this.#legs.options
    this.#deadline = undefined
    // the end of the answer that is under way begins anew
    if (this.#answer !== undefined) return
    const leftMs = this.#idleSinceMs + keepAliveTimeoutMs + graceMs - clock.monotonic()
    if (leftMs <= 0) this.socket.destroy()
    else this.#deadline = idleDeadlines.in(leftMs, this.#look)
  }

  #stop(): void {
    this.isIdle = false
    this.#legs.left(this)
    if (this.#deadline !== undefined) this.#legs.options.idleDeadlines.cancel(this.#deadline)
    this.#deadline = undefined
  }

  /** The client has ended its side, and gets what it is owed. */
  readonly #ended = (): void => {
    this.isLast = true
    if (this.#answer === undefined) this.socket.end()
  }

  readonly #drained = (): void => {
    this.#answer?.drained()
  }

  readonly #closed = (): void => {
    this.#stop()
    this.#answer?.cut()
  }
}
