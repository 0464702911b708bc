// The journal's own line, made again of a record that was read from it. Pure.
import { escapeNonAscii } from '../json-text.ts'
import type { JournalRecord } from '../record.ts'

/** The line as it stands in the segment, byte for byte, as long as nothing in the record was opened or taken
 * away since it was read. */
export function journalLine(record: JournalRecord): string {
  return escapeNonAscii(JSON.stringify(record))
}
