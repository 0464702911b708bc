// A request body read before it is forwarded, within bounds, and put back, so that exactly the bytes that were read go
// out. What is larger is put back as far as it came. Also takes off the Content-Encoding of what was read.
import zlib from 'node:zlib'
import type { ClientRequest } from '../egress/client-leg.ts'

export type Spooled =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** more than the limit, or than there is room for */
  | { readonly kind: 'too_large' | 'no_room' }
  /** the client went before its body was complete */
  | { readonly kind: 'left' }

export interface SpoolLimits {
  readonly maxBytes: number
  /** called for what has come; false: there is no room for it */
  readonly take: (bytes: number) => boolean
}

/** Reads a body to its end, and puts it back. Never rejects. */
export function spoolBody(request: ClientRequest, { maxBytes, take }: SpoolLimits): Promise<Spooled> {
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve) => {
    const finish = (spooled: Spooled): void => {
      request.off('readable', read)
      request.off('close', left)
      resolve(spooled)
    }
    // in the same turn as the last read: the stream has not said that it ended
    const putBack = (): Buffer => {
      const whole = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
      if (whole.length > 0) request.unshift(whole)
      return whole
    }
    const left = (): void => finish({ kind: 'left' })
    const read = (): void => {
      for (let chunk: unknown = request.read(); chunk instanceof Buffer; chunk = request.read()) {
        chunks.push(chunk)
        bytes += chunk.length
        const kind = bytes > maxBytes ? 'too_large' : take(chunk.length) ? undefined : 'no_room'
        if (kind === undefined) continue
        putBack()
        finish({ kind })
        return
      }
      if (request.complete) finish({ kind: 'whole', bytes: putBack() })
    }
    request.on('readable', read)
    request.on('close', left)
    if (request.complete) read()
    else if (request.destroyed) left()
  })
}

export type Decoded = { readonly bytes: Buffer } | { readonly wrong: 'coding' | 'broken' | 'too_large' }

interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

type Inflate = (bytes: Buffer, options: zlib.ZlibOptions & { readonly info: true }, done: (error: Error | null, result: unknown) => void) => void

const codings: ReadonlyMap<string, Inflate> = new Map<string, Inflate>([
  ['gzip', (bytes, options, done) => zlib.gunzip(bytes, options, done)],
  ['x-gzip', (bytes, options, done) => zlib.gunzip(bytes, options, done)],
  ['deflate', (bytes, options, done) => zlib.inflate(bytes, options, done)],
  ['br', (bytes, { maxOutputLength, info }, done) => zlib.brotliDecompress(bytes, withInfo(maxOutputLength, info), done)],
  ['zstd', (bytes, { maxOutputLength, info }, done) => zlib.zstdDecompress(bytes, withInfo(maxOutputLength, info), done)],
])

const maxRatio = 100
// repetitive texts that are small anyway
const freeBytes = 1024 * 1024

/**
 * Content without its one coding, of `maxBytes` at most and of 100 times what came (RFC 9110 section 8.4.1). What does
 * not end where its coding ends is broken: bytes behind it are read by some and not by others.
 */
export function decodeContent(bytes: Buffer, coding: string | undefined, maxBytes: number): Promise<Decoded> {
  const name = coding?.trim().toLowerCase() ?? ''
  if (name === '' || name === 'identity') return Promise.resolve({ bytes })
  const inflate = codings.get(name)
  if (inflate === undefined) return Promise.resolve({ wrong: 'coding' })
  const maxOutputLength = Math.min(maxBytes, Math.max(freeBytes, bytes.length * maxRatio))
  return new Promise((resolve) => {
    inflate(bytes, { maxOutputLength, info: true }, (error, result) => {
      if (error !== null) resolve({ wrong: 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE' ? 'too_large' : 'broken' })
      else if (!isInflated(result) || result.engine.bytesWritten !== bytes.length) resolve({ wrong: 'broken' })
      else resolve({ bytes: result.buffer })
    })
  })
}

function withInfo(maxOutputLength: number | undefined, info: true): { readonly info: true; readonly maxOutputLength?: number } {
  return maxOutputLength === undefined ? { info } : { info, maxOutputLength }
}

function isInflated(result: unknown): result is Inflated {
  if (typeof result !== 'object' || result === null || !('buffer' in result) || !('engine' in result)) return false
  const { buffer, engine } = result
  return buffer instanceof Buffer && typeof engine === 'object' && engine !== null && 'bytesWritten' in engine
}
