// Conditional requests and preferences: If-Match, If-None-Match (RFC 9110 section 13), Prefer: wait (RFC 7240).
// Pure. A version is an approval's, written as a strong entity tag.
import { ControlFault } from './problem.ts'

export function etagOf(version: number): string {
  return `"${version}"`
}

/** The version that a decision is about. Throws `version_required` without one, and `version_conflict` for what no
 * approval's tag can be: `*` would decide what nobody looked at, and a weak tag never matches. */
export function requiredVersion(field: string | undefined): number {
  if (field === undefined) throw new ControlFault('version_required', 'say which version this is about: If-Match with the ETag of the approval')
  const digits = /^"(\d{1,15})"$/.exec(field.trim())?.[1]
  if (digits === undefined) throw new ControlFault('invalid', 'If-Match has to be one ETag as it was given, such as "3"')
  return Number(digits)
}

/** Whether the caller already has this version. */
export function hasVersion(field: string | undefined, version: number): boolean {
  if (field === undefined) return false
  return field.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etagOf(version))
}

/** The `wait` of Prefer, `ms`, at most `maxMs`; undefined without one. */
export function waitOf(field: string | undefined, maxMs: number): number | undefined {
  for (const preference of (field ?? '').split(',')) {
    const digits = /^\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:;.*)?$/i.exec(preference)?.[1]
    if (digits !== undefined) return Math.min(Number(digits) * 1000, maxMs)
  }
  return undefined
}
