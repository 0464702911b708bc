// Entries as a WARC 1.1 archive (ISO 28500), one gzip member each, as a stream. What is read back is what was kept:
// status, reason, fields, content and date. It never writes a record whose length is not that of its content.
import { randomUUID } from 'node:crypto'
import { createGzip } from 'node:zlib'
import { pipeline } from 'node:stream'
import { ProxyError } from '../errors.ts'
import type { CachedResponse } from './cached-response.ts'

/** An entry and its content, as `CacheStore.read` gives it; undefined: an answer without content. */
export interface ArchivedEntry {
  readonly entry: CachedResponse
  readonly body: AsyncIterable<Uint8Array> | Uint8Array | undefined
}

export interface ArchiveOptions {
  /** who wrote it, `sallyport/0.1.0` */
  readonly software: string
  readonly nowMs: number
}

const crlf = '\r\n'

/** The bytes of the archive. Throws ProxyError `cache_failed` for content that is not as long as its entry says, and what a body throws. */
export async function* writeWarc(entries: AsyncIterable<ArchivedEntry> | Iterable<ArchivedEntry>, { software, nowMs }: ArchiveOptions): AsyncGenerator<Uint8Array> {
  const info = Buffer.from([`software: ${software}`, 'format: WARC File Format 1.1', ''].join(crlf), 'latin1')
  yield* compressed(record(['WARC-Type: warcinfo', `WARC-Date: ${new Date(nowMs).toISOString()}`, 'Content-Type: application/warc-fields'], info.length, [info]))
  for await (const { entry, body } of entries) yield* compressed(responseRecord(entry, body))
}

async function* responseRecord(entry: CachedResponse, body: ArchivedEntry['body']): AsyncGenerator<Uint8Array> {
  const head = httpHead(entry)
  const named = [
    'WARC-Type: response',
    `WARC-Target-URI: ${entry.key.url}`,
    `WARC-Date: ${new Date(entry.capturedMs ?? entry.storedMs).toISOString()}`,
    ...(body === undefined ? [] : [`WARC-Payload-Digest: sha256:${entry.bodyDigest}`]),
    'Content-Type: application/http;msgtype=response',
  ]
  const content = body === undefined ? [] : body instanceof Uint8Array ? [body] : body
  const bytes = body === undefined ? 0 : entry.bodyBytes
  yield* record(named, head.length + bytes, joined(head, exactly(content, bytes, entry)))
}

async function* record(named: readonly string[], bytes: number, block: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const lines = ['WARC/1.1', `WARC-Record-ID: <urn:uuid:${randomUUID()}>`, ...named, `Content-Length: ${bytes}`, '', '']
  yield Buffer.from(lines.join(crlf), 'latin1')
  yield* block
  yield Buffer.from(crlf + crlf, 'latin1')
}

/** Content-Length is left out: the record says it, and an entry has none. */
function httpHead({ status, reason, fields }: CachedResponse): Buffer {
  const lines = [`HTTP/1.1 ${status} ${reason}`]
  for (let i = 0; i + 1 < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`)
  return Buffer.from([...lines, '', ''].join(crlf), 'latin1')
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

async function* exactly(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, bytes: number, entry: CachedResponse): AsyncGenerator<Uint8Array> {
  let given = 0
  for await (const piece of content) {
    given += piece.length
    if (given > bytes) break
    yield piece
  }
  if (given !== bytes) throw new ProxyError('cache_failed', `entry ${entry.id} is not ${bytes} bytes long, as it says`)
}

async function* compressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip()
  let fault: unknown
  // what fails in the source fails the reading below; a reader that has left wants to hear of nothing
  pipeline(source, gzip, (error) => (fault = error))
  try {
    for await (const piece of gzip) {
      if (piece instanceof Uint8Array) yield piece
    }
  } catch (error) {
    throw fault ?? error
  }
}
