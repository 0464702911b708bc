// A client's answer with a second reader: the head is looked at first, the content is copied on its way, and an answer
// that only confirms what is kept, or that something kept stands in for, never reaches the client. It must never hold the
// answer up, nor change a byte of content.
import type { Socket } from 'node:net'
import type { ClientResponse } from '../egress/client-leg.ts'

/** Takes the copy. */
export interface Copy {
  write(chunk: Uint8Array): void
  /** all of it has come */
  end(): void
}

/** `pass`: goes to the client with `fields`, and into `copy`; `keep`: is read to its end for us alone; `drop`: is broken off */
export type Treatment =
  | { readonly kind: 'pass'; readonly fields: string[]; readonly copy?: Copy | undefined }
  | { readonly kind: 'keep' | 'drop' }

export type Look = (status: number, reason: string, fields: readonly string[]) => Treatment

export class SharedResponse implements ClientResponse {
  readonly #response: ClientResponse
  readonly #look: Look
  #copy: Copy | undefined
  /** it is not the client's */
  #isOurs = false
  #isOver = false
  #isWhole = false
  readonly #onClose: (() => void)[] = []

  constructor(response: ClientResponse, look: Look) {
    this.#response = response
    this.#look = look
    response.on('close', () => this.#closed())
  }

  get destroyed(): boolean {
    return this.#isOver || this.#response.destroyed
  }

  get closed(): boolean {
    return this.#isOver || this.#response.closed
  }

  get headersSent(): boolean {
    return this.#isOurs || this.#response.headersSent
  }

  get writableFinished(): boolean {
    return this.#isOurs ? this.#isWhole : this.#response.writableFinished
  }

  get writableLength(): number {
    return this.#isOurs ? 0 : this.#response.writableLength
  }

  get chunkedEncoding(): boolean {
    return !this.#isOurs && this.#response.chunkedEncoding
  }

  get socket(): Socket | null {
    return this.#isOurs ? null : this.#response.socket
  }

  writeHead(status: number, reason: string, fields: string[]): void {
    const treatment = this.#look(status, reason, fields)
    if (treatment.kind === 'pass') {
      this.#response.writeHead(status, reason, treatment.fields)
      this.#copy = treatment.copy
      return
    }
    this.#isOurs = true
    if (treatment.kind === 'drop') this.#finish()
  }

  flushHeaders(): void {
    if (!this.#isOurs) this.#response.flushHeaders()
  }

  writeContinue(): void {
    this.#response.writeContinue()
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.#isOurs) return true
    this.#copy?.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    return this.#response.write(chunk)
  }

  end(chunk?: Uint8Array | string, encoding?: 'latin1'): void {
    if (this.#isOurs) {
      this.#isWhole = true
      this.#finish()
      return
    }
    if (chunk !== undefined) this.#copy?.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
    this.#copy?.end()
    if (typeof chunk === 'string' && encoding !== undefined) this.#response.end(chunk, encoding)
    else this.#response.end(chunk)
  }

  addTrailers(trailers: [string, string][]): void {
    if (!this.#isOurs) this.#response.addTrailers(trailers)
  }

  destroy(): void {
    if (this.#isOurs) this.#finish()
    else this.#response.destroy()
  }

  on(event: 'close' | 'drain', listener: () => void): this {
    if (event === 'close') this.#onClose.push(listener)
    else this.#response.on(event, listener)
    return this
  }

  once(event: 'close' | 'drain', listener: () => void): this {
    const first = (): void => {
      this.off(event, first)
      listener()
    }
    return this.on(event, first)
  }

  off(event: 'close' | 'drain', listener: () => void): this {
    if (event === 'drain') {
      this.#response.off(event, listener)
      return this
    }
    const at = this.#onClose.indexOf(listener)
    if (at >= 0) this.#onClose.splice(at, 1)
    return this
  }

  /** Over for whoever wrote it; the client still waits for another one. */
  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    process.nextTick(() => this.#closed())
  }

  #closed(): void {
    for (const listener of this.#onClose.splice(0)) listener()
  }
}
