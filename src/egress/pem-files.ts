// Further roots as they stand on disk now: PEM files that rules name, looked at again at most once a second.
// Reads are synchronous: they are rare, local and small, and must not wait in the libuv pool. Must never go
// on with the old text of a file that cannot be read any more.
import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { checkEveryMs } from './watched-file.ts'

export interface PemText {
  readonly pem: string
  /** another one: the file has changed */
  readonly stamp: string
}

/** Throws an Error whose message says what is wrong with the file. */
export type ReadPem = (path: string) => PemText

const maxBytes = 4 * 1024 * 1024
const maxFiles = 256
const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Reads files that hold at least one certificate; a change is seen within a second. */
export function createPemReader(clock: Clock): ReadPem {
  const held = new LRUCache<string, { readonly text: PemText; readonly checkedAtMs: number }>({ max: maxFiles })
  return (path) => {
    const before = held.get(path)
    const nowMs = clock.monotonic()
    if (before !== undefined && nowMs - before.checkedAtMs < checkEveryMs) return before.text
    held.delete(path)
    const { mtimeMs, ctimeMs, size, ino } = statSync(path)
    // mtime alone misses a file that was replaced by an older one
    const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`
    if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`)
    const text = before?.text.stamp === stamp ? before.text : { pem: checked(readFileSync(path, 'latin1')), stamp }
    held.set(path, { text, checkedAtMs: nowMs })
    return text
  }
}

/** The certificates of a PEM text and nothing else of it, so that a private key beside them goes nowhere. */
function checked(text: string): string {
  const found = text.match(certificate)
  if (found === null) throw new Error('it holds no certificate')
  for (const each of found) {
    // throws on what is no certificate
    if (new X509Certificate(each).subject === undefined) throw new Error('a certificate in it names nobody')
  }
  return `${found.join('\n')}\n`
}
