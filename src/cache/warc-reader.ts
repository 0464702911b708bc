// Pages out of a WARC archive (ISO 28500), plain or gzip, as a stream: no archive and no body is ever in memory as a whole.
// A record that lies about its length ends the reading: behind it nobody can tell records from the content of pages, and
// a page could put an entry for any URL there.
import { createHash } from 'node:crypto'
import { ProxyError } from '../errors.ts'
import { quoted } from '../target/quoted.ts'
import { joinedValue, valuesOf } from '../target/field-list.ts'
import { ArchiveBytes, ArchiveFault } from './archive-bytes.ts'
import { readCacheUrl } from './cache-url.ts'
import { ChunkedFault, withoutChunks } from './chunked-content.ts'
import { decoded, DecodingFault } from './decoding.ts'
import { readDigest, readHttpHead, readRecordHead, readWarcDate } from './warc-head.ts'
import type { ClaimedDigest, HttpHead, RecordHead } from './warc-head.ts'

export interface WarcOptions {
  /** what the archive is called in messages */
  readonly name: string
  /** of one body, without transfer coding, as its content coding left it */
  readonly maxBodyBytes: number
  /** a record that is broken ends the reading instead of being skipped */
  readonly isStrict: boolean
}

export interface ArchivedPage {
  /** archive and record, for messages */
  readonly where: string
  /** as the cache writes it */
  readonly url: string
  readonly capturedMs: number
  readonly status: number
  readonly reason: string
  /** as archived, Transfer-Encoding left out when it is undone; flat */
  readonly fields: readonly string[]
  /** without transfer coding. Good until the next item is asked for; throws ArchiveFault when it is not whole or not what its digest says */
  readonly body: AsyncIterable<Uint8Array>
}

export interface SkippedRecord {
  readonly where: string
  /** `revisit` refers to a page elsewhere, `other` is nothing that a browser would be shown, `broken` cannot be read */
  readonly kind: 'revisit' | 'other' | 'broken'
  /** a sentence for people */
  readonly reason: string
}

export type ArchiveItem = { readonly page: ArchivedPage } | { readonly skipped: SkippedRecord }

const maxHeadBytes = 64 * 1024
// a page of one letter may compress a thousand times; an archive of many does not
const freeArchiveBytes = 16 * 1024 * 1024
const separator = '\r\n\r\n'
/** what an archive says of itself and of requests; nothing is told of these */
const silent: ReadonlySet<string> = new Set(['warcinfo', 'request', 'metadata'])

/** Where a record stands and where its block ends. */
interface Place {
  readonly where: string
  readonly end: number
}

/**
 * The pages of an archive in their order, and what was passed over. Throws ArchiveFault where it cannot go on: no WARC, a
 * wrong length, the end within a record, a decompression bomb; with `isStrict` also for a broken record.
 */
export async function* readWarc(source: AsyncIterable<Uint8Array>, options: WarcOptions): AsyncGenerator<ArchiveItem> {
  const bytes = new ArchiveBytes(uncompressed(source, options.name))
  try {
    while (!(await bytes.isAtEnd())) {
      const start = `${options.name}, byte ${bytes.offset}`
      const text = await bytes.head(maxHeadBytes)
      if (text === undefined) throw new ArchiveFault(start, `no WARC record: its head has no end within ${maxHeadBytes} bytes`)
      const head = readRecordHead(text)
      if (head.bytes === undefined) throw new ArchiveFault(start, head.fault)
      const place: Place = { where: 'fault' in head || head.id === '' ? start : `${options.name}, record ${quoted(head.id)}`, end: bytes.offset + head.bytes }
      const item = 'fault' in head ? skip(place, 'broken', head.fault) : await itemOf(head, bytes, place, options)
      if (item !== undefined) {
        if (options.isStrict && 'skipped' in item && item.skipped.kind === 'broken') throw new ArchiveFault(place.where, item.skipped.reason)
        yield item
      }
      await finish(bytes, place)
    }
  } finally {
    await bytes.close()
  }
}

/** To behind the block and the two line ends that follow it. */
async function finish(bytes: ArchiveBytes, { where, end }: Place): Promise<void> {
  if (!(await bytes.skipTo(end))) throw new ArchiveFault(where, 'the archive ends within this record')
  const behind = (await bytes.exactly(separator.length)).toString('latin1')
  const isLast = behind === '' || (separator.startsWith(behind) && (await bytes.isAtEnd()))
  if (behind !== separator && !isLast) throw new ArchiveFault(where, 'its Content-Length is wrong: no empty line follows the record. Nothing behind it was read')
}

async function itemOf(head: RecordHead, bytes: ArchiveBytes, place: Place, options: WarcOptions): Promise<ArchiveItem | undefined> {
  if (silent.has(head.type)) return undefined
  if (head.type === 'revisit') return skip(place, 'revisit', 'it refers to content that another record holds')
  if (head.type !== 'response' && head.type !== 'resource') return skip(place, 'other', `records of type ${quoted(head.type)} hold no page`)
  if (head.fields.has('warc-truncated')) return skip(place, 'broken', 'its content was cut short when it was archived (WARC-Truncated)')
  if (head.fields.has('warc-segment-number')) return skip(place, 'other', 'it is one segment of several')
  const uri = (head.fields.get('warc-target-uri') ?? '').replace(/^<(.*)>$/, '$1')
  const colon = uri.indexOf(':')
  if (colon > 0 && !['http', 'https'].includes(uri.slice(0, colon).toLowerCase())) return skip(place, 'other', `${quoted(uri)} is neither http nor https`)
  const url = readUrl(uri)
  if ('fault' in url) return skip(place, 'broken', url.fault)
  const capturedMs = readWarcDate(head.fields.get('warc-date') ?? '')
  if (capturedMs === undefined) return skip(place, 'broken', `its WARC-Date ${quoted(head.fields.get('warc-date') ?? '')} is no date`)
  const digests = digestsOf(head)
  if (typeof digests === 'string') return skip(place, 'broken', digests)
  const block = { blockDigest: digests.block, payloadDigest: digests.payload }
  if (head.type === 'resource') {
    const type = head.fields.get('content-type')
    const answer: HttpHead = { status: 200, reason: 'OK', fields: type === undefined ? [] : ['Content-Type', type] }
    return { page: { ...answer, where: place.where, url: url.text, capturedMs, body: bodyOf(bytes, place, { ...block, start: bytes.offset, headBytes: '', isChunked: false, maxBodyBytes: options.maxBodyBytes }) } }
  }
  return pageOf(head, bytes, place, { url: url.text, capturedMs, block, maxBodyBytes: options.maxBodyBytes })
}

interface PageParts {
  readonly url: string
  readonly capturedMs: number
  readonly block: { readonly blockDigest: ClaimedDigest | undefined; readonly payloadDigest: ClaimedDigest | undefined }
  readonly maxBodyBytes: number
}

async function pageOf(head: RecordHead, bytes: ArchiveBytes, place: Place, { url, capturedMs, block, maxBodyBytes }: PageParts): Promise<ArchiveItem> {
  const { where, end } = place
  const type = (head.fields.get('content-type') ?? '').toLowerCase().replaceAll(/\s/g, '')
  if (type !== 'application/http' && !type.startsWith('application/http;msgtype=response')) return skip(place, 'other', `its content is ${quoted(type)}, not application/http`)
  const text = await bytes.head(Math.min(maxHeadBytes, end - bytes.offset))
  if (text === undefined) return skip(place, 'broken', `the answer in it has no head that ends within the record and within ${maxHeadBytes} bytes`)
  const http = readHttpHead(text)
  if (typeof http === 'string') return skip(place, 'broken', http)
  const coding = joinedValue(http.fields, 'transfer-encoding')
  const isChunked = coding?.toLowerCase() === 'chunked'
  if (coding !== undefined && !isChunked) return skip(place, 'broken', `its Transfer-Encoding ${quoted(coding)} is not chunked`)
  const [length, another] = valuesOf(http.fields, 'content-length')
  if (!isChunked && another === undefined && length !== undefined && length !== String(end - bytes.offset)) {
    return skip(place, 'broken', `the answer says Content-Length ${quoted(length)} and the record holds ${end - bytes.offset} bytes`)
  }
  const body = bodyOf(bytes, place, { ...block, start: bytes.offset, headBytes: text + separator, isChunked, maxBodyBytes })
  return { page: { where, url, capturedMs, status: http.status, reason: http.reason, fields: isChunked ? withoutTransferEncoding(http.fields) : http.fields, body } }
}

interface BodyOptions {
  /** where the body begins; a body that is asked for later than that is gone */
  readonly start: number
  readonly blockDigest: ClaimedDigest | undefined
  readonly payloadDigest: ClaimedDigest | undefined
  /** of the block, before the body */
  readonly headBytes: string
  readonly isChunked: boolean
  readonly maxBodyBytes: number
}

/** The body in pieces; its digests are looked at when all of it has gone by. */
async function* bodyOf(bytes: ArchiveBytes, { where, end }: Place, { start, blockDigest, payloadDigest, headBytes, isChunked, maxBodyBytes }: BodyOptions): AsyncGenerator<Uint8Array> {
  const block = blockDigest === undefined ? undefined : createHash(blockDigest.algorithm).update(headBytes, 'latin1')
  const stored = payloadDigest === undefined ? undefined : createHash(payloadDigest.algorithm)
  const content = payloadDigest === undefined || !isChunked ? undefined : createHash(payloadDigest.algorithm)
  let expected = start
  async function* raw(): AsyncGenerator<Uint8Array> {
    while (expected < end) {
      if (bytes.offset !== expected) throw new ArchiveFault(where, 'its body was asked for after the next record was')
      const piece = await bytes.take(end)
      if (piece === undefined) throw new ArchiveFault(where, 'the archive ends within this record')
      expected += piece.length
      block?.update(piece)
      stored?.update(piece)
      yield piece
    }
  }
  let given = 0
  try {
    for await (const piece of isChunked ? withoutChunks(raw()) : raw()) {
      given += piece.length
      if (given > maxBodyBytes) throw new ArchiveFault(where, `its body is larger than ${maxBodyBytes} bytes`)
      content?.update(piece)
      yield piece
    }
  } catch (error) {
    throw error instanceof ChunkedFault ? new ArchiveFault(where, error.message, { cause: error }) : error
  }
  if (block !== undefined && block.digest('hex') !== blockDigest?.hex) throw new ArchiveFault(where, 'its content is not what WARC-Block-Digest says')
  // some archivers take the digest before the transfer coding is undone, some behind it
  const digests = [stored?.digest('hex'), content?.digest('hex')]
  if (payloadDigest !== undefined && !digests.includes(payloadDigest.hex)) throw new ArchiveFault(where, 'its content is not what WARC-Payload-Digest says')
}

function readUrl(uri: string): { readonly text: string } | { readonly fault: string } {
  try {
    return { text: readCacheUrl(uri) }
  } catch (error) {
    if (error instanceof ProxyError) return { fault: `its URL cannot be used: ${error.detail}` }
    throw error
  }
}

function digestsOf(head: RecordHead): { readonly block: ClaimedDigest | undefined; readonly payload: ClaimedDigest | undefined } | string {
  const block = readDigest(head.fields.get('warc-block-digest') ?? '')
  const payload = readDigest(head.fields.get('warc-payload-digest') ?? '')
  return block === 'bad' || payload === 'bad' ? 'a digest of it is none' : { block, payload }
}

function withoutTransferEncoding(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (name.toLowerCase() !== 'transfer-encoding') kept.push(name, fields[i + 1] ?? '')
  }
  return kept
}

function skip({ where }: Place, kind: SkippedRecord['kind'], reason: string): ArchiveItem {
  return { skipped: { where, kind, reason } }
}

/** As it is, or without gzip where it starts as gzip does (RFC 1952), member after member. */
async function* uncompressed(source: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const bytes = new ArchiveBytes(source)
  const start = await bytes.exactly(2)
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      if (start.length > 0) yield start
      let piece: Uint8Array | undefined
      while ((piece = await bytes.take(Number.MAX_SAFE_INTEGER)) !== undefined) yield piece
    } finally {
      await bytes.close()
    }
  }
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* all()
    return
  }
  try {
    yield* decoded(all(), ['gzip'], { maxBytes: Number.MAX_SAFE_INTEGER, allowMembers: true, freeBytes: freeArchiveBytes })
  } catch (error) {
    throw error instanceof DecodingFault ? new ArchiveFault(name, error.message, { cause: error }) : error
  }
}
