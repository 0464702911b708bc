// The key of the hashes that stand in for secrets in the journal: made once, kept with the data, mode
// 0600. It never leaves the machine; whoever has it can test guesses of what was redacted.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const keyBytes = 32

/** Reads `DATA/redaction.key`, or makes it. Never replaces a file that is there: that would untie old hashes. */
export function loadRedactionKey(dataDir: string): Uint8Array {
  const path = join(dataDir, 'redaction.key')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  try {
    writeFileSync(path, randomBytes(keyBytes), { flag: 'wx', mode: 0o600, flush: true })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const key = readFileSync(path)
  if (key.length !== keyBytes) throw new Error(`redaction key \`${path}\` has ${key.length} bytes and not ${keyBytes}; put the right file back, or remove it to start with a new key`)
  return key
}
