// A WARC archive into the cache: every page is judged as an answer of its origin is, and counted. It never keeps a body
// that is not whole, and an older capture never takes the place of a newer one. INVARIANT: a page can be found only after
// `record` has resolved for it.
import type { Clock } from '../clock.ts'
import { admit } from './admission.ts'
import type { KeptAnswer } from './admission.ts'
import { ArchiveFault } from './archive-bytes.ts'
import type { BodyWriter, CacheStore, WrittenBody } from './cache-store.ts'
import type { CacheKey, NewCachedResponse } from './cached-response.ts'
import { decoded, DecodingFault } from './decoding.ts'
import { readWarc } from './warc-reader.ts'
import type { ArchivedPage, WarcOptions } from './warc-reader.ts'

/** A page that will be kept. */
export interface ImportedPage {
  readonly entry: NewCachedResponse
  /** undefined: an answer without content */
  readonly body: WrittenBody | undefined
}

export interface ImportOptions extends WarcOptions {
  readonly partition: string
  /** who imports it */
  readonly by: string
  readonly pinned: boolean
  readonly clock: Clock
  /** true for the URLs that are meant; absent: all */
  readonly matches?: (url: string) => boolean
  /** why this page is not to be had, as a clause; undefined: it is */
  readonly refuses?: (url: string) => string | undefined
  /** told of pages before any of them can be found; when it rejects none of them is kept, and the import ends */
  readonly record?: (pages: readonly ImportedPage[]) => Promise<void>
  /** everything but keeping */
  readonly isDryRun?: boolean
  /** aborted: no further record is read; what was read is kept */
  readonly signal?: AbortSignal
  /** after each record; it may wait */
  readonly onItem?: (counts: ImportCounts) => Promise<void>
  /** of each page or record that is not kept: why, where there is a reason to give */
  readonly onSkipped?: (outcome: ImportOutcome, where: string, reason: string) => void
}

export interface ImportCounts {
  readonly kept: number
  /** what the cache does not keep of any origin, or may not be had */
  readonly refused: number
  /** records that are broken, or whose content is */
  readonly broken: number
  /** captures that are older than what is there */
  readonly older: number
  readonly revisits: number
  /** records of other types and schemes, and URLs that were not meant */
  readonly other: number
}

export interface ImportReport extends ImportCounts {
  /** record and reason, of the first of those that were not kept */
  readonly messages: readonly string[]
  /** where and why the reading ended early; what was kept before stays */
  readonly stopped: string | undefined
}

export type ImportOutcome = keyof ImportCounts

const maxMessages = 100
/** pages that are put on record together */
const batchPages = 64

/** Reads all of the archive. Throws what the store throws, ProxyError `cache_failed`, and what `record` rejects with; faults
 * of the archive are in the report. */
export async function importWarc(store: CacheStore, source: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportReport> {
  const archive = new ImportedArchive(store, options)
  try {
    const stopped = await archive.read(source)
    return { ...archive.counts, messages: archive.messages, stopped }
  } finally {
    archive.drop()
  }
}

interface Pending extends ImportedPage {
  readonly writer: BodyWriter
}

class ImportedArchive {
  readonly counts: Record<ImportOutcome, number> = { kept: 0, refused: 0, broken: 0, older: 0, revisits: 0, other: 0 }
  readonly messages: string[] = []
  readonly #store: CacheStore
  readonly #options: ImportOptions
  #pending: Pending[] = []

  constructor(store: CacheStore, options: ImportOptions) {
    this.#store = store
    this.#options = options
  }

  /** Resolves to why it ended early. */
  async read(source: AsyncIterable<Uint8Array>): Promise<string | undefined> {
    const { signal, onItem } = this.#options
    let stopped: string | undefined
    try {
      for await (const item of readWarc(source, this.#options)) {
        if ('page' in item) await this.#page(item.page)
        else this.#note(item.skipped.kind === 'revisit' ? 'revisits' : item.skipped.kind, item.skipped.where, item.skipped.reason)
        await onItem?.(this.counts)
        if (signal?.aborted === true) {
          stopped = 'interrupted'
          break
        }
      }
    } catch (error) {
      if (!(error instanceof ArchiveFault)) throw error
      stopped = error.message
    }
    await this.#keepPending()
    return stopped
  }

  /** Gives up what is not kept. */
  drop(): void {
    for (const { writer } of this.#pending.splice(0)) writer.abort()
  }

  async #page(page: ArchivedPage): Promise<void> {
    const { clock, matches, refuses, partition, by, pinned, isDryRun = false } = this.#options
    if (matches?.(page.url) === false) {
      this.counts.other++
      return
    }
    const refused = refuses?.(page.url)
    if (refused !== undefined) return this.#note('refused', page.where, refused)
    const nowMs = clock.now()
    const answered = { status: page.status, reason: page.reason, fields: page.fields, askedMs: nowMs, answeredMs: nowMs, capturedMs: page.capturedMs }
    const admission = admit({ method: 'GET', fields: [], isCredentialed: false }, answered, 'import')
    if ('refused' in admission) return this.#note('refused', page.where, admission.refused)
    const key: CacheKey = { shelf: 'web', partition, url: page.url }
    const { head } = admission.kept
    // which of two captures is the newer one is asked of what is kept
    if (this.#pending.some(({ entry }) => entry.key.url === page.url)) await this.#keepPending()
    const isOlder = this.#store.find(key).some((entry) => sameVary(entry.vary, head.vary) && (entry.capturedMs ?? entry.storedMs) > page.capturedMs)
    if (isOlder) {
      this.counts.older++
      return
    }
    const content = await this.#contentOf(page, admission.kept)
    if (typeof content === 'string') return this.#note('broken', page.where, content)
    const { writer, body } = content
    if (isDryRun) {
      writer.abort()
      this.counts.kept++
      return
    }
    this.#pending.push({ writer, body, entry: { ...head, key, source: 'imported', by, pinned, capturedMs: page.capturedMs } })
    if (this.#pending.length >= batchPages) await this.#keepPending()
  }

  /** On record, and then to be found. */
  async #keepPending(): Promise<void> {
    if (this.#pending.length === 0) return
    await this.#options.record?.(this.#pending)
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      this.#store.put(next.entry, next.body)
      this.counts.kept++
    }
  }

  /** The content in the store, undefined for 204, which has none; a sentence for content that is not whole. */
  async #contentOf(page: ArchivedPage, { codings }: KeptAnswer): Promise<{ readonly writer: BodyWriter; readonly body: WrittenBody | undefined } | string> {
    const { maxBodyBytes, isStrict } = this.#options
    const writer = this.#store.writeBody()
    let isWritten = false
    try {
      for await (const chunk of decoded(page.body, codings, { maxBytes: maxBodyBytes })) await writer.write(chunk)
      if (page.status === 204) return writer.bytes === 0 ? { writer, body: undefined } : 'an answer 204 has no content'
      const body = await writer.finish()
      isWritten = true
      return { writer, body }
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

  #note(outcome: ImportOutcome, where: string, reason: string): void {
    this.counts[outcome]++
    if (this.messages.length < maxMessages) this.messages.push(`${where}: ${reason}`)
    this.#options.onSkipped?.(outcome, where, reason)
  }
}

function sameVary(a: CacheVary, b: CacheVary): boolean {
  return a.length === b.length && a.every(([name, value]) => b.some(([other, its]) => other === name && its === value))
}

type CacheVary = readonly (readonly [name: string, value: string | null])[]
