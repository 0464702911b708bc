// What the fetch service answers with: a page as it came, as text or as Markdown, or a refusal; written so that a browser
// does nothing with it. Of the origin's fields only what describes the content passes; no cookie ever does.
import { STATUS_CODES } from 'node:http'
import { contentCoding, decoded, DecodingFault, maxCodings, type ContentCoding } from '../cache/decoding.ts'
import type { Deadlines } from '../deadlines.ts'
import type { ClientRequest, ClientResponse } from '../egress/client-leg.ts'
import { ProxyError } from '../errors.ts'
import { problemOf, renderRefusal, type Refusal } from '../gate/refusal.ts'
import { isFieldValue } from '../target/field-syntax.ts'
import { joinedValue, listMembers, onlyValue } from '../target/field-list.ts'
import { pour } from './content.ts'
import { UnreadablePage, type PageJob } from './page-job.ts'
import type { PageReader } from './page-reader.ts'
import type { FetchFormat } from './fetch-question.ts'
import { writeRefusal } from './refuse.ts'

export interface FetchedPage {
  readonly status: number
  /** of the origin, or as they were kept; flat */
  readonly fields: readonly string[]
  /** without content codings, and within bounds; of no bytes for HEAD */
  readonly content: AsyncIterable<Uint8Array> | Uint8Array
  /** bytes of it, where they are known before it is read */
  readonly length: number | undefined
  /** what the cache says of it, flat: Age, Cache-Status */
  readonly made: readonly string[]
  /** seconds; undefined: it came from its origin just now */
  readonly ageS: number | undefined
  /** where it came from at last, as the cache writes it */
  readonly url: string
  readonly requestId: string
}

export interface FetchReader {
  readonly response: ClientResponse
  readonly deadlines: Deadlines
  readonly isHead: boolean
  readonly format: FetchFormat
  readonly session: string
  readonly pages: PageReader
}

// what becomes text is held in memory
const maxTextBytes = 8 * 1024 * 1024
const beginningBytes = 64 * 1024
const safety = [
  'Cache-Control', 'no-store', 'Content-Security-Policy', "sandbox; default-src 'none'", 'X-Content-Type-Options', 'nosniff',
  'Cross-Origin-Resource-Policy', 'same-origin', 'Referrer-Policy', 'no-referrer',
] as const
const described: ReadonlyMap<string, string> = new Map([['content-language', 'Content-Language'], ['last-modified', 'Last-Modified']])
const html: ReadonlySet<string> = new Set(['text/html', 'application/xhtml+xml'])
const alreadyText = /^(?:text\/[a-z0-9.+-]+|application\/(?:json|xml|javascript|x-ndjson|[a-z0-9.+-]+\+(?:json|xml)))$/

/** Answers; bytes of content that were sent. Throws ProxyError while nothing is written, and UnreadablePage then; otherwise what breaks off is cut. */
export async function answerFetched(page: FetchedPage, reader: FetchReader): Promise<number> {
  const { response, isHead, format } = reader
  const type = contentTypeOf(page)
  const isHtml = !hasNone(page.status) && html.has(mediaType(type))
  if (format !== 'raw' && !isHtml && !hasNone(page.status) && !alreadyText.test(mediaType(type))) {
    throw new UnreadablePage(`its type is ${type === '' ? 'not said' : mediaType(type)}, and text is made of HTML`)
  }
  if (format === 'raw' || !isHtml) {
    const content = isHead || hasNone(page.status) ? nothing : await begun(page.content)
    if (response.destroyed) return 0
    const length = isHead || !(content instanceof Uint8Array) ? page.length : content.length
    const framing = length === undefined || hasNone(page.status) ? [] : ['Content-Length', String(length)]
    response.writeHead(page.status, STATUS_CODES[page.status] ?? '', [...headOf(page, type === '' ? 'application/octet-stream' : type), 'Content-Disposition', 'attachment', ...framing])
    return pour(reader, content)
  }
  const written = format === 'text' ? 'text/plain; charset=utf-8' : 'text/markdown; charset=utf-8'
  const text = isHead ? undefined : await textOf(page, type, format, reader)
  if (response.destroyed) return 0
  response.writeHead(page.status, STATUS_CODES[page.status] ?? '', [...headOf(page, written), ...(text === undefined ? [] : ['Content-Length', String(text.length)])])
  return pour(reader, text ?? nothing)
}

const nothing = new Uint8Array(0)

async function textOf({ content, url, ageS }: FetchedPage, contentType: string, format: PageJob['format'], { pages, session }: FetchReader): Promise<Buffer> {
  const leave = pages.enter(session)
  try {
    return Buffer.from(await pages.read({ bytes: await wholeOf(content), contentType, url, format, ageS }), 'utf8')
  } finally {
    leave()
  }
}

/** Content whose beginning is there, or that is there as a whole: what goes wrong so early can be told. */
async function begun(content: AsyncIterable<Uint8Array> | Uint8Array): Promise<AsyncIterable<Uint8Array> | Uint8Array> {
  if (content instanceof Uint8Array) return content
  const rest = content[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let bytes = 0
  while (bytes < beginningBytes) {
    const next = await rest.next()
    if (next.done === true) return Buffer.concat(chunks)
    chunks.push(next.value)
    bytes += next.value.length
  }
  return continued(chunks, rest)
}

async function* continued(chunks: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}

/** A refusal, dressed as everything here; whoever gets a 407 can read why. */
export function refuseFetch(request: ClientRequest, response: ClientResponse, refusal: Refusal, close: boolean): void {
  if (response.destroyed) return
  const { fields, body, ...head } = renderRefusal(refusal)
  const kept = fields.filter((_, at) => !['Allow', 'Cache-Control', 'Content-Length'].includes(fields[at - (at % 2)] ?? ''))
  const text = body === '' ? problemOf(refusal) : body
  const type = body === '' ? ['Content-Type', 'application/problem+json'] : []
  const allow = head.status === 405 ? ['Allow', 'GET, HEAD'] : []
  writeRefusal(request, response, { ...head, fields: [...type, ...kept, ...allow, ...safety, 'Content-Length', String(Buffer.byteLength(text))], body: text }, close)
}

/** An origin's content as it is without its codings; more than `maxBytes` throws DecodingFault `too_large`. Throws ProxyError `origin_protocol_error`. */
export function plainContent(content: AsyncIterable<Uint8Array>, fields: readonly string[], maxBytes: number): { readonly content: AsyncIterable<Uint8Array>; readonly isCoded: boolean } {
  const codings = codingsOf(fields)
  return { content: bounded(decoded(content, codings, { maxBytes })), isCoded: codings.length > 0 }
}

async function* bounded(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content
  } catch (error) {
    if (!(error instanceof DecodingFault)) throw error
    throw new ProxyError(error.kind === 'broken' ? 'origin_protocol_error' : 'fetch_too_large', error.message, { cause: error })
  }
}

function codingsOf(fields: readonly string[]): ContentCoding[] {
  const codings: ContentCoding[] = []
  for (const member of listMembers(joinedValue(fields, 'content-encoding') ?? '')) {
    if (member.toLowerCase() === 'identity') continue
    const coding = contentCoding(member)
    if (coding === undefined || codings.length === maxCodings) throw new ProxyError('origin_protocol_error', 'its content codings are not known, or too many')
    codings.push(coding)
  }
  return codings
}

async function wholeOf(content: AsyncIterable<Uint8Array> | Uint8Array): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return within(content)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > maxTextBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function within(content: Uint8Array): Uint8Array {
  if (content.length > maxTextBytes) throw tooLarge()
  return content
}

function tooLarge(): ProxyError {
  return new ProxyError('fetch_too_large', `more than ${maxTextBytes} bytes become no text`)
}

function headOf({ fields, made, url, requestId }: FetchedPage, type: string): string[] {
  const head = ['Content-Type', type, 'Content-Location', url, 'X-Request-Id', requestId, ...safety, ...made]
  for (const [name, written] of described) {
    const value = onlyValue(fields, name)
    if (value !== undefined && isFieldValue(value)) head.push(written, value)
  }
  return head
}

/** '' where it says none, or more than one. */
function contentTypeOf({ fields }: FetchedPage): string {
  const type = onlyValue(fields, 'content-type') ?? ''
  return isFieldValue(type) ? type.trim() : ''
}

function mediaType(type: string): string {
  return (type.split(';', 1)[0] ?? '').trim().toLowerCase()
}

/** RFC 9110: an answer of this status has no content. */
function hasNone(status: number): boolean {
  return status === 204 || status === 205 || status === 304
}
