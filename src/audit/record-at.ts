// Reads single records at a known place of the journal, and checks that they are what stands there. It keeps one segment
// open at a time, for those who ask go through the journal in order.
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { isAbsent } from './absent.ts'
import type { JournalRecord } from './record.ts'
import { RecordOpener } from './record-opener.ts'
import { segmentName } from './segments.ts'

/** `gone`: the segment is not there any more; `other`: no valid record starts at that byte. */
export type FoundAt = { readonly record: JournalRecord } | { readonly record?: undefined; readonly why: 'gone' | 'other' }

const newline = 10
const firstBytes = 4096
const maxBytes = 16 * 1024 * 1024

export class PlacedReader {
  readonly #dir: string
  readonly #opener: RecordOpener
  #open: { readonly firstSeq: number; readonly fd: number } | undefined
  #buffer = Buffer.allocUnsafe(firstBytes)

  constructor(dir: string) {
    this.#dir = dir
    this.#opener = RecordOpener.beside(dir)
  }

  /** The record whose line starts at byte `offset` of the segment that begins with `firstSeq`. */
  read(firstSeq: number, offset: number): FoundAt {
    const fd = this.#fdOf(firstSeq)
    if (fd === undefined) return { why: 'gone' }
    const line = this.#lineAt(fd, offset)
    const { record } = line === undefined ? {} : this.#opener.parse(line)
    return record === undefined ? { why: 'other' } : { record }
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd)
    this.#open = undefined
  }

  #fdOf(firstSeq: number): number | undefined {
    if (this.#open?.firstSeq === firstSeq) return this.#open.fd
    this.close()
    try {
      this.#open = { firstSeq, fd: openSync(join(this.#dir, segmentName(firstSeq)), 'r') }
      return this.#open.fd
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  #lineAt(fd: number, offset: number): string | undefined {
    for (;;) {
      const bytesRead = readSync(fd, this.#buffer, 0, this.#buffer.length, offset)
      const end = this.#buffer.subarray(0, bytesRead).indexOf(newline)
      if (end !== -1) return this.#buffer.toString('latin1', 0, end)
      if (bytesRead < this.#buffer.length || this.#buffer.length >= maxBytes) return undefined
      this.#buffer = Buffer.allocUnsafe(this.#buffer.length * 4)
    }
  }
}
