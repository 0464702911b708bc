// A request without a body, as the doors and egress know one: nothing of it is still to come, so whoever listens
// hears nothing. Must never stand for a request that has a body.
import type { ClientRequest, ClientSource, ReadOn } from '../egress/client-leg.ts'
import type { PlainHead } from './plain-head.ts'

export class PlainRequest implements ClientRequest {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly socket: ClientSource
  readonly readOn: ReadOn

  constructor({ method, url, rawHeaders }: PlainHead, socket: ClientSource, readOn: ReadOn) {
    this.method = method
    this.url = url
    this.rawHeaders = rawHeaders
    this.socket = socket
    this.readOn = readOn
  }

  get httpVersion(): string {
    return '1.1'
  }

  get complete(): boolean {
    return true
  }

  get destroyed(): boolean {
    return this.socket.destroyed
  }

  get readableFlowing(): null {
    return null
  }

  get readableEnded(): boolean {
    return true
  }

  get readableLength(): number {
    return 0
  }

  get readableHighWaterMark(): number {
    return 0
  }

  on(): this {
    return this
  }

  once(): this {
    return this
  }

  off(): this {
    return this
  }

  read(): null {
    return null
  }

  unshift(): void {
    throw new Error('a request without a body takes nothing back')
  }

  pause(): this {
    return this
  }

  resume(): this {
    return this
  }

  destroy(): this {
    this.socket.destroy()
    return this
  }
}
