// A record as one line in the form that a SIEM reads. Pure: no clock, no file, nothing but the record and where
// it was written. Every line is visible ASCII, so that no text in it can end it early or act on a terminal.
import type { JournalRecord } from '../record.ts'
import { cefLine } from './cef.ts'
import { ecsLine } from './ecs.ts'
import { journalLine } from './journal-line.ts'
import { ocsfLine } from './ocsf.ts'

export const formatNames = ['jsonl', 'ocsf', 'ecs', 'cef'] as const
export type FormatName = (typeof formatNames)[number]

/** What the lines say of the proxy beside what its records do. */
export interface FormatContext {
  /** of the process that formats: `service.version` */
  readonly version: string
  /** `[otel] environment`: `deployment.environment.name` */
  readonly environment: string
  /** of the machine */
  readonly hostname: string
}

type Line = (record: JournalRecord, context: FormatContext) => string

const lines: Readonly<Record<FormatName, Line>> = { jsonl: journalLine, ocsf: ocsfLine, ecs: ecsLine, cef: cefLine }

/** The format of a name: makes one line of each record, without its newline. */
export function formatter(name: FormatName, context: FormatContext): (record: JournalRecord) => string {
  const line = lines[name]
  return (record) => line(record, context)
}
