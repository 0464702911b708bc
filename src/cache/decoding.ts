// Content without its content codings (RFC 9110 section 8.4.1), as a stream and in bounded memory. What grows too large, or
// too large for what it came from, what is cut short and what is followed by anything must never pass as content.
import { pipeline } from 'node:stream'
import type { Transform } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'

export type ContentCoding = 'gzip' | 'deflate' | 'br' | 'zstd'

export type DecodingFaultKind =
  /** not the coding that it is said to have, cut short, or more behind it */
  | 'broken'
  /** larger than it may be */
  | 'too_large'
  /** more than 100 times what it came from: a decompression bomb */
  | 'ratio'

/** Match on `kind`, never on the message. */
export class DecodingFault extends Error {
  readonly kind: DecodingFaultKind

  constructor(kind: DecodingFaultKind, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = 'DecodingFault'
    this.kind = kind
  }
}

export interface DecodingLimits {
  /** of the content, and of every step on the way to it */
  readonly maxBytes: number
  /** one coding may follow itself: the members of a gzip file */
  readonly allowMembers?: boolean
  /** output up to here is judged by its size alone, 64 KiB where this is absent */
  readonly freeBytes?: number
}

export const maxCodings = 2
/** RFC 9110 section 8.4.1 codings that are undone here, and what they are also called. */
const codingNames: ReadonlyMap<string, ContentCoding> = new Map([['gzip', 'gzip'], ['x-gzip', 'gzip'], ['deflate', 'deflate'], ['br', 'br'], ['zstd', 'zstd']])
const maxRatio = 100
const defaultFreeBytes = 64 * 1024
const chunkBytes = 64 * 1024
// RFC 9659: a window of 8 MiB at most
const maxZstdWindow = 23

/** The coding of this name in any case; undefined for one that is not known. `identity` is none. */
export function contentCoding(name: string): ContentCoding | undefined {
  return codingNames.get(name.toLowerCase())
}

/**
 * `source` without `codings`, which are in the order they were applied. Content of no bytes is of no bytes in any coding.
 * Throws DecodingFault, and what `source` throws; ending the iteration early closes `source`.
 */
export function decoded(source: AsyncIterable<Uint8Array>, codings: readonly ContentCoding[], limits: DecodingLimits): AsyncIterable<Uint8Array> {
  if (codings.length > maxCodings) throw new DecodingFault('broken', `${codings.length} content codings; at most ${maxCodings} are undone`)
  const came = { bytes: 0 }
  let content = atMost(source, limits.maxBytes, came)
  for (const coding of codings.toReversed()) content = withoutCoding(content, coding, limits, came)
  return content
}

async function* atMost(source: AsyncIterable<Uint8Array>, maxBytes: number, came: { bytes: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    if (came.bytes + chunk.length > maxBytes) throw tooLarge(maxBytes)
    // in small pieces, so that little is decoded that is not asked for
    for (let at = 0; at < chunk.length; at += chunkBytes) {
      const piece = chunk.subarray(at, at + chunkBytes)
      came.bytes += piece.length
      yield piece
    }
  }
}

/** `came` counts the bytes that all of it came from, before the first of its codings was undone. */
async function* withoutCoding(source: AsyncIterable<Uint8Array>, coding: ContentCoding, limits: DecodingLimits, came: { readonly bytes: number }): AsyncGenerator<Uint8Array> {
  const taken: { isEmpty: boolean; fault: unknown } = { isEmpty: true, fault: undefined }
  const decoder = decoderOf(coding, limits.allowMembers === true)
  // what fails here fails the reading below as well, and a reader that has left wants to hear of nothing
  pipeline(watched(source, taken), decoder, () => undefined)
  let given = 0
  try {
    for await (const chunk of decoder) {
      if (!(chunk instanceof Uint8Array)) throw new DecodingFault('broken', `${coding} gave no bytes`)
      given += chunk.length
      if (given > limits.maxBytes) throw tooLarge(limits.maxBytes)
      if (given > (limits.freeBytes ?? defaultFreeBytes) && given > came.bytes * maxRatio) throw new DecodingFault('ratio', `${given} bytes from ${came.bytes} bytes of ${coding}; at most ${maxRatio} times as many are taken`)
      yield chunk
    }
  } catch (cause) {
    if (taken.fault !== undefined) throw taken.fault
    if (cause instanceof DecodingFault) throw cause
    if (taken.isEmpty) return
    throw new DecodingFault('broken', `the content is not whole and valid ${coding}: ${cause instanceof Error ? cause.message : 'unknown'}`, { cause })
  }
}

/** Keeps the fault of the source apart from the coding's. */
async function* watched(source: AsyncIterable<Uint8Array>, taken: { isEmpty: boolean; fault: unknown }): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of source) {
      taken.isEmpty &&= chunk.length === 0
      yield chunk
    }
  } catch (error) {
    taken.fault = error
    throw error
  }
}

function decoderOf(coding: ContentCoding, allowMembers: boolean): Transform {
  const options = { chunkSize: chunkBytes, rejectGarbageAfterEnd: !allowMembers }
  switch (coding) {
    case 'gzip':
      return createGunzip(options)
    case 'deflate':
      return createInflate(options)
    case 'br':
      return createBrotliDecompress(options)
    case 'zstd':
      return createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: maxZstdWindow } })
    default:
      throw new DecodingFault('broken', `${String(coding satisfies never)} is no coding that is undone here`)
  }
}

function tooLarge(maxBytes: number): DecodingFault {
  return new DecodingFault('too_large', `the content is larger than ${maxBytes} bytes`)
}
