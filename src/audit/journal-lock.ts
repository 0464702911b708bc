// Keeps a journal to one process. The lock is the kernel's, taken by SQLite on an empty file: it goes
// with the process that held it, however that ended, and holds across containers that share a volume,
// where a process id says nothing. It must never be broken by hand while a proxy runs.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface JournalLock {
  release(): void
}

/** Takes the lock of a journal folder; throws when another process has it. */
export function lockJournal(dir: string, onFault: (error: unknown) => void): JournalLock {
  const path = join(dir, 'lock')
  const ownerPath = join(dir, 'lock.owner')
  closeSync(openSync(path, 'a', 0o600))
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw new Error(`journal \`${dir}\` is in use by another process (${readOwner(ownerPath)}); one proxy has one data folder`, { cause: error })
  }
  try {
    writeFileSync(ownerPath, `pid ${process.pid} since ${new Date().toISOString()}\n`, { mode: 0o600 })
  } catch (error) {
    // only the message of whoever comes second is poorer: a full disk must not keep the proxy from starting
    onFault(error)
  }
  return {
    release: () => database.close(),
  }
}

function readOwner(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().slice(0, 80)
  } catch {
    return 'unknown process'
  }
}
