// Requests and answers as the tests of the live cache write them.
import { readAsked, type Asked, type Asking } from '../../../src/cache/live/asked.ts'
import { keptHead, type AnswerHead } from '../../../src/cache/live/keeping.ts'
import type { CachedHead } from '../../../src/cache/cached-response.ts'

/** Saturday 2026-11-21 12:00:00 GMT */
export const nowMs = Date.UTC(2026, 10, 21, 12)
export const date = (offsetS = 0): string => new Date(nowMs + offsetS * 1000).toUTCString()

/** `Name: value` lines, flat. */
export function flat(...lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
}

export function asked(lines: readonly string[] = [], change: Partial<Asking> = {}): Asked {
  return readAsked({ method: 'GET', fields: flat(...lines), hasContent: false, stripped: [], isChanged: false, originRoots: [], ...change })
}

export function answer(lines: readonly string[], status = 200): AnswerHead {
  return { status, reason: 'OK', fields: flat(...lines) }
}

export function kept(lines: readonly string[], request = asked(), status = 200): CachedHead | undefined {
  return keptHead(request, answer(lines, status), { requestMs: nowMs, responseMs: nowMs })
}

/** A head whatever rules say of keeping it. */
export function head(lines: readonly string[], status = 200): CachedHead {
  return { status, reason: 'OK', fields: flat(...lines), vary: [], storedMs: nowMs, initialAgeMs: 0 }
}
