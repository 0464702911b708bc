// Bodies on their way out of the cache. None is handed out before its digest was checked: a small one whenever it is
// read from the disk, a large one once for each file that this process sees under its name.
import { createHash, hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { Deadlines } from '../deadlines.ts'
import type { BodyFiles } from './body-files.ts'
import { BodyStream, readExactly } from './body-stream.ts'
import { DamagedBody } from './cache-fault.ts'
import type { ByteRange } from './cache-store.ts'
import { HotBodies, smallBodyBytes, type HotBodiesOptions } from './hot-bodies.ts'

export interface BodyReaderOptions extends HotBodiesOptions {
  readonly files: BodyFiles
  readonly clock: Clock
  readonly onFault: (error: unknown) => void
}

const hashedAtOnceBytes = 262_144
const maxRemembered = 65_536
const unbegunMs = 60_000

export class BodyReader {
  readonly #options: BodyReaderOptions
  readonly #deadlines: Deadlines
  readonly #hot: HotBodies
  readonly #loading = new Map<string, Promise<Buffer>>()
  /** what the file was like that had the right digest */
  readonly #checked = new LRUCache<string, string>({ max: maxRemembered })
  readonly #checking = new Map<string, Promise<boolean>>()
  /** nobody has asked for their first piece yet */
  readonly #unbegun = new Set<BodyStream>()

  constructor(options: BodyReaderOptions) {
    this.#options = options
    this.#deadlines = new Deadlines(options.clock)
    this.#hot = new HotBodies(options)
  }

  /** What is in memory; undefined: it has to be read. Throws RangeError for a range that the body does not have. */
  readHot(digest: string, bytes: number, range: ByteRange | undefined): Uint8Array | undefined {
    checkRange(range, bytes)
    const body = this.#hot.get(digest, bytes)
    return body === undefined ? undefined : partOf(body, range)
  }

  /** A body whole, or a large one as a stream that is to be read within a minute. Throws DamagedBody, RangeError for a
   * range that the body does not have, and what the file system throws. */
  async read(digest: string, bytes: number, range: ByteRange | undefined): Promise<Uint8Array | BodyStream> {
    const hot = this.readHot(digest, bytes, range)
    if (hot !== undefined) return hot
    const loading = this.#loading.get(digest) ?? this.#load(digest, bytes, range)
    return loading === undefined ? await this.#stream(digest, bytes, range ?? { first: 0, last: bytes - 1 }) : partOf(await loading, range)
  }

  /** The file under this name is another one, or gone. */
  forget(digest: string): void {
    this.#hot.delete(digest)
    this.#loading.delete(digest)
    this.#checked.delete(digest)
  }

  close(): void {
    this.#hot.clear()
    for (const stream of this.#unbegun) stream.giveUp().catch(this.#options.onFault)
  }

  /** Whoever asks while it is read gets the same; undefined: it is too large to be read whole. */
  #load(digest: string, bytes: number, range: ByteRange | undefined): Promise<Buffer> | undefined {
    const isSmall = bytes <= smallBodyBytes
    // a part of a large body is no reason to read all of it
    const room = isSmall || range !== undefined ? undefined : this.#hot.roomFor(digest, bytes, this.#checked.has(digest))
    if (!isSmall && room === undefined) return undefined
    const isCurrent = () => this.#loading.get(digest) === loading
    const loading = (room === undefined ? this.#readSmall(digest, bytes) : this.#readLarge(digest, room))
      .then((body) => {
        if (isCurrent()) this.#hot.set(digest, body)
        return body
      })
      .finally(() => {
        if (isCurrent()) this.#loading.delete(digest)
      })
    this.#loading.set(digest, loading)
    return loading
  }

  async #readSmall(digest: string, bytes: number): Promise<Buffer> {
    const handle = await this.#options.files.open(digest)
    try {
      await printOf(handle, digest, bytes)
      const body = await readExactly(handle, 0, bytes)
      if (hash('sha256', body, 'hex') !== digest) throw new DamagedBody(digest, 'has another digest')
      return body
    } finally {
      await handle.close()
    }
  }

  /** What is hashed is what is handed out: the bytes in memory, in small steps. */
  async #readLarge(digest: string, into: Buffer): Promise<Buffer> {
    const handle = await this.#options.files.open(digest)
    try {
      const print = await printOf(handle, digest, into.byteLength)
      const found = createHash('sha256')
      for (let at = 0; at < into.byteLength; ) {
        const { bytesRead } = await handle.read(into, at, Math.min(hashedAtOnceBytes, into.byteLength - at), at)
        if (bytesRead === 0) throw new DamagedBody(digest, 'ended early')
        found.update(into.subarray(at, at + bytesRead))
        at += bytesRead
      }
      if (found.digest('hex') !== digest) throw new DamagedBody(digest, 'has another digest')
      this.#checked.set(digest, print)
      return into
    } finally {
      await handle.close()
    }
  }

  async #stream(digest: string, bytes: number, range: ByteRange): Promise<BodyStream> {
    const handle = await this.#options.files.open(digest)
    try {
      const print = await printOf(handle, digest, bytes)
      if (this.#checked.get(digest) !== print) {
        if (!(await this.#check(handle, digest, print))) throw new DamagedBody(digest, 'has another digest')
        this.#checked.set(digest, print)
      }
      return this.#opened(handle, range)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Whoever asks while it is hashed gets the same answer. */
  #check(handle: FileHandle, digest: string, print: string): Promise<boolean> {
    const name = `${digest} ${print}`
    const known = this.#checking.get(name)
    if (known !== undefined) return known
    const checking = digestOf(handle).then((found) => found === digest).finally(() => this.#checking.delete(name))
    this.#checking.set(name, checking)
    return checking
  }

  #opened(handle: FileHandle, range: ByteRange): BodyStream {
    const stream: BodyStream = new BodyStream(handle, range, () => {
      if (this.#unbegun.delete(stream)) this.#deadlines.cancel(deadline)
    })
    const deadline = this.#deadlines.in(unbegunMs, () => {
      stream.giveUp().catch(this.#options.onFault)
    })
    this.#unbegun.add(stream)
    return stream
  }
}

function checkRange(range: ByteRange | undefined, bytes: number): void {
  if (range === undefined) return
  const { first, last } = range
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first < 0 || first > last || last >= bytes) {
    throw new RangeError(`bytes ${first} to ${last} are not in a body of ${bytes}`)
  }
}

function partOf(body: Buffer, range: ByteRange | undefined): Buffer {
  return range === undefined ? body : body.subarray(range.first, range.last + 1)
}

/** What tells this file from any other that could stand in its place. Throws DamagedBody for what is no such file. */
async function printOf(handle: FileHandle, digest: string, bytes: number): Promise<string> {
  const stat = await handle.stat({ bigint: true })
  if (!stat.isFile() || stat.size !== BigInt(bytes)) throw new DamagedBody(digest, `has ${stat.size} bytes and not ${bytes}`)
  return [stat.dev, stat.ino, stat.mtimeNs, stat.ctimeNs, stat.size].join(' ')
}

async function digestOf(handle: FileHandle): Promise<string> {
  const digest = createHash('sha256')
  const piece = Buffer.allocUnsafeSlow(hashedAtOnceBytes)
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, piece.byteLength, position)
    if (bytesRead === 0) return digest.digest('hex')
    digest.update(piece.subarray(0, bytesRead))
    position += bytesRead
  }
}
