// A WARC archive into the cache: every page is judged as an answer of its origin is, and counted. It never keeps a body
// that is not whole, and an older capture never takes the place of a newer one.
import type { Clock } from '../clock.ts'
import { admit } from './admission.ts'
import type { KeptAnswer } from './admission.ts'
import { ArchiveFault } from './archive-bytes.ts'
import type { CacheStore, WrittenBody } from './cache-store.ts'
import type { CacheKey } from './cached-response.ts'
import { decoded, DecodingFault } from './decoding.ts'
import { readWarc } from './warc-reader.ts'
import type { ArchivedPage, WarcOptions } from './warc-reader.ts'

export interface ImportOptions extends WarcOptions {
  readonly partition: string
  /** who imports it */
  readonly by: string
  readonly pinned: boolean
  readonly clock: Clock
  /** true for the URLs that are meant; absent: all */
  readonly matches?: (url: string) => boolean
}

export interface ImportReport {
  readonly kept: number
  /** what the cache does not keep of any origin */
  readonly refused: number
  /** records that are broken, or whose content is */
  readonly broken: number
  /** captures that are older than what is there */
  readonly older: number
  readonly revisits: number
  /** records of other types and schemes, and URLs that were not meant */
  readonly other: number
  /** record and reason, of the first of those that were not kept */
  readonly messages: readonly string[]
  /** where and why the reading ended early; what was kept before stays */
  readonly stopped: string | undefined
}

type Outcome = keyof Omit<ImportReport, 'messages' | 'stopped'>

const maxMessages = 100

/** Reads all of the archive. Throws what the store throws, ProxyError `cache_failed`; faults of the archive are in the report. */
export async function importWarc(store: CacheStore, source: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportReport> {
  const counts: Record<Outcome, number> = { kept: 0, refused: 0, broken: 0, older: 0, revisits: 0, other: 0 }
  const messages: string[] = []
  const note = (outcome: Outcome, message?: string): void => {
    counts[outcome]++
    if (message !== undefined && messages.length < maxMessages) messages.push(message)
  }
  try {
    for await (const item of readWarc(source, options)) {
      if ('page' in item) await keep(store, item.page, options, note)
      else note(item.skipped.kind === 'revisit' ? 'revisits' : item.skipped.kind, `${item.skipped.where}: ${item.skipped.reason}`)
    }
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error
    return { ...counts, messages, stopped: error.message }
  }
  return { ...counts, messages, stopped: undefined }
}

async function keep(store: CacheStore, page: ArchivedPage, options: ImportOptions, note: (outcome: Outcome, message?: string) => void): Promise<void> {
  if (options.matches?.(page.url) === false) {
    note('other')
    return
  }
  const nowMs = options.clock.now()
  const answered = { status: page.status, reason: page.reason, fields: page.fields, askedMs: nowMs, answeredMs: nowMs, capturedMs: page.capturedMs }
  const admission = admit({ method: 'GET', fields: [], isCredentialed: false }, answered, 'import')
  if ('refused' in admission) {
    note('refused', `${page.where}: ${admission.refused}`)
    return
  }
  const key: CacheKey = { shelf: 'web', partition: options.partition, url: page.url }
  const { head } = admission.kept
  const isOlder = store.find(key).some((entry) => sameVary(entry.vary, head.vary) && (entry.capturedMs ?? entry.storedMs) > page.capturedMs)
  if (isOlder) {
    note('older')
    return
  }
  const body = await contentOf(store, page, admission.kept, options)
  if (typeof body === 'string') {
    note('broken', `${page.where}: ${body}`)
    return
  }
  store.put({ ...head, key, source: 'imported', by: options.by, pinned: options.pinned, capturedMs: page.capturedMs }, body)
  note('kept')
}

/** The content in the store, undefined for 204, which has none; a sentence for content that is not whole. */
async function contentOf(store: CacheStore, page: ArchivedPage, { codings }: KeptAnswer, { maxBodyBytes, isStrict }: ImportOptions): Promise<WrittenBody | string | undefined> {
  const writer = store.writeBody()
  let isWritten = false
  try {
    for await (const chunk of decoded(page.body, codings, { maxBytes: maxBodyBytes })) await writer.write(chunk)
    if (page.status === 204) return writer.bytes === 0 ? undefined : 'an answer 204 has no content'
    const body = await writer.finish()
    isWritten = true
    return body
  } catch (error) {
    if (error instanceof DecodingFault) {
      if (isStrict) throw new ArchiveFault(page.where, error.message, { cause: error })
      return error.message
    }
    if (!(error instanceof ArchiveFault) || isStrict) throw error
    return error.message.slice(page.where.length + 2)
  } finally {
    if (!isWritten) writer.abort()
  }
}

function sameVary(a: CacheVary, b: CacheVary): boolean {
  return a.length === b.length && a.every(([name, value]) => b.some(([other, its]) => other === name && its === value))
}

type CacheVary = readonly (readonly [name: string, value: string | null])[]
