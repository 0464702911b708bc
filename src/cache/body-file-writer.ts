// A body on its way into the cache: hashed as it comes, written to a temporary file in large pieces. Nothing of it
// can be found before the store gives the file its name, and nothing of it stays when it is given up.
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { ProxyError } from '../errors.ts'
import type { BodyFiles } from './body-files.ts'
import { cacheFault } from './cache-fault.ts'
import type { BodyWriter, WrittenBody } from './cache-store.ts'

export interface BodyFileWriterOptions {
  readonly files: BodyFiles
  readonly maxBytes: number
  /** Called once with what was written and where (undefined: it is empty, there is no file). */
  readonly onFinished: (body: WrittenBody, path: string | undefined) => void
  /** Called when what was finished is not wanted after all. */
  readonly onUnwanted: (body: WrittenBody) => void
  /** Called once, whether it was finished or given up. */
  readonly onEnded: () => void
  readonly onFault: (error: unknown) => void
}

const pieceBytes = 65_536

export class BodyFileWriter implements BodyWriter {
  readonly #options: BodyFileWriterOptions
  readonly #hash = createHash('sha256')
  #bytes = 0
  #held: Buffer[] = []
  #heldBytes = 0
  #file: { readonly path: string; readonly handle: FileHandle } | undefined
  /** pieces are written one after the other */
  #writing: Promise<void> = Promise.resolve()
  #failure: ProxyError | undefined
  #finished: WrittenBody | undefined
  #isEnded = false

  constructor(options: BodyFileWriterOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen()
    if (this.#bytes + chunk.byteLength > this.#options.maxBytes) {
      throw this.#give(new ProxyError('cache_failed', `the body is larger than the ${this.#options.maxBytes} bytes that one cached body may have`))
    }
    this.#hash.update(chunk)
    this.#bytes += chunk.byteLength
    // a copy: the sender may use its buffer again
    this.#held.push(Buffer.from(chunk))
    this.#heldBytes += chunk.byteLength
    if (this.#heldBytes >= pieceBytes) await this.#flush()
  }

  async finish(): Promise<WrittenBody> {
    this.#checkOpen()
    await this.#flush()
    this.#checkOpen()
    const body: WrittenBody = { digest: this.#hash.digest('hex'), bytes: this.#bytes }
    const file = this.#file
    this.#file = undefined
    this.#end()
    try {
      await file?.handle.close()
    } catch (error) {
      if (file !== undefined) this.#options.files.discard(file.path)
      throw cacheFault('a body could not be written', error)
    }
    this.#options.onFinished(body, file?.path)
    this.#finished = body
    return body
  }

  abort(): void {
    if (this.#finished !== undefined) this.#options.onUnwanted(this.#finished)
    else if (!this.#isEnded) this.#give(new ProxyError('cache_failed', 'the body was given up'))
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isEnded) throw new ProxyError('cache_failed', 'the body is finished')
  }

  #flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#writeHeld())
    return this.#writing
  }

  async #writeHeld(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const piece = this.#held.length === 1 && this.#held[0] !== undefined ? this.#held[0] : Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    try {
      for (let written = 0; written < piece.byteLength; ) {
        this.#file ??= await this.#options.files.create()
        written += (await this.#file.handle.write(piece, written)).bytesWritten
      }
    } catch (error) {
      throw this.#give(cacheFault('a body could not be written', error))
    }
    // given up while it was written
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Ends it with this failure, and what there is of the file goes once nothing is written to it any more. */
  #give(failure: ProxyError): ProxyError {
    if (this.#failure !== undefined) return this.#failure
    this.#failure = failure
    this.#held = []
    this.#end()
    const drop = async () => {
      const file = this.#file
      this.#file = undefined
      if (file === undefined) return
      this.#options.files.discard(file.path)
      await file.handle.close()
    }
    // what failed was told to whoever wrote
    this.#writing.then(drop, drop).catch(this.#options.onFault)
    return failure
  }

  #end(): void {
    this.#isEnded = true
    this.#options.onEnded()
  }
}
