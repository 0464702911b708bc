// What a destination refused for good, kept beside the journal with the reason: nothing that was journaled is
// given up without a trace that a person can read and send again.
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { destinationFile } from './export-cursor.ts'
import type { JournalRecord } from './record.ts'

export interface Refused {
  readonly record: JournalRecord
  readonly detail: string
}

export class PoisonFile {
  readonly name: string
  readonly #path: string

  constructor(dir: string, destination: string) {
    this.name = destinationFile(destination, 'poison.jsonl')
    this.#path = join(dir, this.name)
  }

  /** Resolves when they are on the disk. */
  async add(entries: readonly object[]): Promise<void> {
    const time = new Date().toISOString()
    const text = entries.map((entry) => `${JSON.stringify({ v: 1, time, ...entry })}\n`).join('')
    await appendFile(this.#path, text, { mode: 0o600, flush: true })
  }

  async addRefused(refused: readonly Refused[]): Promise<void> {
    await this.add(refused.map(({ record, detail }) => ({ reason: detail, record })))
  }
}
