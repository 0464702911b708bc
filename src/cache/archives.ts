// Archives into the cache and out of it, as files of this machine, on an admin's word. What comes in is on record before it
// can be read, and is only what policy lets agents read; what goes out never takes the place of a file unless that is said.
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, lstat, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { cacheFilledEvent } from '../audit/cache-events.ts'
import type { AuditSink } from '../audit/event.ts'
import type { Redaction } from '../audit/redaction.ts'
import type { Clock } from '../clock.ts'
import { ProxyError } from '../errors.ts'
import type { HostPattern } from '../policy/pattern.ts'
import type { Policy } from '../policy/policy.ts'
import { parseUrl } from '../target/target-uri.ts'
import type { CacheStore } from './cache-store.ts'
import { allEntries, type EntryFilter } from './entry-pages.ts'
import { whyNotReadable } from './readable.ts'
import { importWarc, type ImportCounts, type ImportedPage } from './warc-import.ts'
import { writeWarc, type ArchivedEntry } from './warc-writer.ts'

export interface ArchivesOptions {
  readonly store: CacheStore
  readonly audit: AuditSink
  readonly redaction: Redaction
  readonly clock: Clock
  readonly policy: () => Policy | undefined
  /** of a body, decoded */
  readonly maxBodyBytes: number
  /** of this program */
  readonly version: string
}

/** The file cannot be used; the message is a clause for whoever named it. */
export class ArchiveFileFault extends Error {
  override readonly name = 'ArchiveFileFault'
}

export interface OpenedArchive {
  readonly path: string
  readonly bytes: number
  readonly handle: FileHandle
}

export interface ImportOrder {
  readonly partition: string
  readonly team: string | undefined
  readonly by: string
  readonly pinned: boolean
  readonly domains: readonly HostPattern[] | undefined
  readonly isDryRun: boolean
}

export interface ImportProgress extends ImportCounts {
  readonly records: number
  /** of the file, read so far */
  readonly bytes: number
}

export interface ImportResult extends ImportProgress {
  /** why pages were not kept, the most frequent reason first */
  readonly reasons: readonly { readonly reason: string; readonly count: number; readonly example: string }[]
  /** why the reading ended early */
  readonly stopped: string | undefined
}

export interface ExportResult {
  readonly records: number
  /** of the archive */
  readonly bytes: number
  /** entries whose content is gone or damaged */
  readonly lost: number
  readonly isInterrupted: boolean
}

const pieceBytes = 256 * 1024
const toldEveryMs = 250
const maxReasons = 50
export const archiveEnding = '.warc.gz'

export class Archives {
  readonly #options: ArchivesOptions

  constructor(options: ArchivesOptions) {
    this.#options = options
  }

  /** Throws ArchiveFileFault for what is no file that can be read. */
  async open(path: string): Promise<OpenedArchive> {
    try {
      // a pipe would keep whoever opens it waiting
      const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      const status = await handle.stat()
      if (status.isFile()) return { path, bytes: status.size, handle }
      await handle.close()
    } catch (error) {
      throw fileFault(path, error)
    }
    throw new ArchiveFileFault(`\`${path}\` is no file`)
  }

  /** Takes `archive` over. Throws ProxyError where the store or the journal fails: what was kept before stays. */
  async import(archive: OpenedArchive, order: ImportOrder, signal: AbortSignal, tell: (progress: ImportProgress) => Promise<void>): Promise<ImportResult> {
    const { store, clock, maxBodyBytes, policy } = this.#options
    const { team, domains, ...kept } = order
    const reasons = new Reasons()
    const seen = { records: 0, bytes: 0 }
    let toldMs = clock.monotonic()
    try {
      const { messages: _messages, stopped, ...counts } = await importWarc(store, pieces(archive.handle, (bytes) => { seen.bytes += bytes }), {
        ...kept, clock, signal, maxBodyBytes, name: basename(archive.path), isStrict: false,
        refuses: (url) => whyNotReadable(url, { policy: policy(), team, domains, nowMs: clock.now() }),
        record: (pages) => this.#record(pages),
        onItem: async (now) => {
          seen.records += 1
          if (clock.monotonic() - toldMs < toldEveryMs) return
          toldMs = clock.monotonic()
          await tell({ ...now, ...seen })
        },
        onSkipped: (_outcome, where, reason) => reasons.note(where, reason),
      })
      return { ...counts, ...seen, reasons: reasons.list(), stopped }
    } finally {
      await archive.handle.close()
    }
  }

  /** A file that is not there yet, or a plain one that is meant to be replaced. Throws ArchiveFileFault. */
  async checkTarget(path: string, isForced: boolean): Promise<void> {
    if (!path.endsWith(archiveEnding)) throw new ArchiveFileFault(`\`${path}\` does not end in ${archiveEnding}`)
    try {
      const status = await lstat(path)
      if (!isForced) throw new ArchiveFileFault(`\`${path}\` is there already`)
      if (!status.isFile()) throw new ArchiveFileFault(`\`${path}\` is no file`)
    } catch (error) {
      if (error instanceof ArchiveFileFault) throw error
      if (codeOf(error) !== 'ENOENT') throw fileFault(path, error)
    }
  }

  /** Writes beside `path` and gives it its name when all of it is there. Throws ArchiveFileFault, and what the store throws. */
  async export(path: string, filter: EntryFilter, isForced: boolean, signal: AbortSignal, tell: (progress: ExportResult) => Promise<void>): Promise<ExportResult> {
    await this.checkTarget(path, isForced)
    const { clock, version } = this.#options
    const counts = { records: 0, bytes: 0, lost: 0, isInterrupted: false }
    const part = `${path}.${randomUUID().slice(0, 8)}.part`
    let toldMs = clock.monotonic()
    try {
      const handle = await open(part, 'wx', 0o600)
      try {
        for await (const piece of writeWarc(this.#entries(filter, counts), { software: `sallyport/${version}`, nowMs: clock.now() })) {
          for (let written = 0; written < piece.byteLength; ) written += (await handle.write(piece, written)).bytesWritten
          counts.bytes += piece.byteLength
          if (signal.aborted) return { ...counts, isInterrupted: true }
          if (clock.monotonic() - toldMs < toldEveryMs) continue
          toldMs = clock.monotonic()
          await tell({ ...counts })
        }
        await handle.sync()
      } finally {
        await handle.close()
      }
      // a link fails where a name exists, a rename would not
      if (isForced) await rename(part, path)
      else await link(part, path)
      return counts
    } catch (error) {
      throw error instanceof ProxyError || codeOf(error) === '' ? error : fileFault(path, error)
    } finally {
      await rm(part, { force: true })
    }
  }

  async *#entries(filter: EntryFilter, counts: { records: number; lost: number }): AsyncGenerator<ArchivedEntry> {
    const { store } = this.#options
    for await (const entry of allEntries(store, filter)) {
      const body = entry.bodyBytes === 0 ? undefined : await store.read(entry)
      if (entry.bodyBytes > 0 && body === undefined) {
        counts.lost += 1
        continue
      }
      counts.records += 1
      yield { entry, body }
    }
  }

  /** All of them in one turn: the journal writes them together. */
  async #record(pages: readonly ImportedPage[]): Promise<void> {
    const { audit, redaction } = this.#options
    await Promise.all(pages.map(({ entry: { key, source, by, status }, body }) => {
      const { scheme, authority: { host, port }, path, query } = parseUrl(key.url)
      return audit.append(cacheFilledEvent({
        place: { scheme, host: host.text, port, path, query }, source, by, partition: key.partition, status,
        bytes: body?.bytes ?? 0, digest: body?.digest, requestId: undefined, approvalId: undefined,
      }, redaction))
    }))
  }
}

/** Counts reasons; what archives say of themselves is bounded here. */
class Reasons {
  readonly #counts = new Map<string, { count: number; readonly example: string }>()

  note(where: string, reason: string): void {
    const name = this.#counts.has(reason) || this.#counts.size < maxReasons ? reason : 'other reasons'
    const known = this.#counts.get(name)
    if (known === undefined) this.#counts.set(name, { count: 1, example: where })
    else known.count += 1
  }

  list(): ImportResult['reasons'] {
    return Array.from(this.#counts, ([reason, { count, example }]) => ({ reason, count, example })).toSorted((one, other) => other.count - one.count)
  }
}

async function* pieces(handle: FileHandle, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await handle.read({ buffer: Buffer.allocUnsafe(pieceBytes) })
    if (bytesRead === 0) return
    onRead(bytesRead)
    yield buffer.subarray(0, bytesRead)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const faultTexts: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist on the machine of the proxy', EACCES: 'may not be opened by the user of the proxy', EPERM: 'may not be opened by the user of the proxy',
  EISDIR: 'is a folder', ENOTDIR: 'is in no folder', EEXIST: 'is there already', ENOSPC: 'cannot be written: the disk is full', EROFS: 'is on a file system that is read-only',
}

function fileFault(path: string, error: unknown): ArchiveFileFault {
  const code = codeOf(error)
  return new ArchiveFileFault(`\`${path}\` ${faultTexts[code] ?? `cannot be used (${code})`}`, { cause: error })
}
