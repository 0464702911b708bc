// A small system file (hosts, resolv.conf) that is read again when it changes. Reads are synchronous: they
// are rare, local and small, and must not wait in the libuv pool behind other work. It never keeps the old
// content when the new one cannot be read: the caller is told.
import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../clock.ts'

export type Watched<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly detail: string }

export interface WatchedFile<T> {
  /** the content as of at most one second ago; a missing file is an empty one */
  current(): Watched<T>
}

export const checkEveryMs = 1000
const maxBytes = 32 * 1024 * 1024

export function watchFile<T>(path: string, clock: Clock, parse: (text: string) => T): WatchedFile<T> {
  let held: Watched<T> | undefined
  let stamp = ''
  let checkedAtMs = -Infinity

  function look(): Watched<T> {
    const stats = statSync(path, { throwIfNoEntry: false })
    // mtime alone misses a file that was replaced by an older one
    const seen = stats === undefined ? 'missing' : `${stats.mtimeMs} ${stats.ctimeMs} ${stats.size} ${stats.ino}`
    if (held !== undefined && held.ok && seen === stamp) return held
    stamp = seen
    if (stats === undefined) return { ok: true, value: parse('') }
    if (stats.size > maxBytes) return { ok: false, detail: `${path} is larger than ${maxBytes} bytes` }
    return { ok: true, value: parse(readFileSync(path, 'utf8')) }
  }

  return {
    current() {
      const now = clock.monotonic()
      if (held !== undefined && now - checkedAtMs < checkEveryMs) return held
      checkedAtMs = now
      try {
        held = look()
      } catch (error) {
        held = { ok: false, detail: `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}` }
      }
      return held
    },
  }
}
