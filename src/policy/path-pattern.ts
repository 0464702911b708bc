// Paths of requests and the patterns of rules: segments, `*` within one, `**` for any number of them.
// A path that an origin could read as another one is ambiguous and never matched against anything.
import { decodeOctets, isUtf8, utf8Octets } from './octets.ts'

/** Plain data; bytes as Latin-1. A segment is literal, a glob, or `**`. */
export interface PathPattern {
  readonly text: string
  readonly segments: readonly PathSegment[]
}

export type PathSegment =
  | { readonly kind: 'literal'; readonly text: string }
  /** literal runs between the stars; the first and last are anchored */
  | { readonly kind: 'glob'; readonly parts: readonly string[] }
  | { readonly kind: 'any' }

/** The ways in which an origin may read the path; more than one for `%2f` and `;`. */
export type PathReadings = readonly (readonly string[])[]

export interface BadPath {
  /** lower case, no final stop */
  readonly wrong: string
}

/**
 * Splits a raw path (without the query) into decoded segments. Dot segments, encoded dots, backslashes,
 * NUL and controls, `%25`, `//`, percent-encodings that are malformed or no UTF-8 make it ambiguous.
 * `%2f` is read as a letter and as a separator, `;x` as part of a segment and as its parameters.
 */
export function readPath(path: string): PathReadings | BadPath {
  if (path.charCodeAt(0) !== 0x2f) return { wrong: 'it does not start with `/`' }
  const wrong = ambiguity(path)
  if (wrong !== undefined) return { wrong }
  const raw = path.slice(1).split('/')
  const letters = decodeSegments(raw)
  if ('wrong' in letters) return letters
  const readings: (readonly string[])[] = [letters.segments]
  if (/%2f/i.test(path)) {
    const separated = decodeSegments(path.slice(1).split(/\/|%2f/i))
    if ('wrong' in separated) return separated
    readings.push(separated.segments)
  }
  if (!letters.segments.some((segment) => segment.includes(';'))) return readings
  const stripped = readings.map((segments) => segments.map((segment) => segment.split(';', 1)[0] ?? ''))
  for (const segments of stripped) {
    const bad = badSegments(segments)
    if (bad !== undefined) return { wrong: bad }
  }
  return [...readings, ...stripped]
}

/** Reads a pattern of a rule: starts with `/`, `*` within a segment, `**` as a whole segment. */
export function parsePathPattern(text: string): PathPattern | BadPath {
  if (!text.startsWith('/')) return { wrong: 'a path starts with `/`' }
  if (text.length > 1024) return { wrong: 'a path longer than 1024 characters' }
  if (text.includes('?')) return { wrong: '`?`: a path has no query and no single-character wildcard' }
  if (text.includes('#')) return { wrong: '`#`: a path has no fragment' }
  const bytes = utf8Octets(text)
  const wrong = ambiguity(bytes) ?? (/[\s{}[\]|^"<>`]/.test(text) ? 'a character that no path has' : undefined)
  if (wrong !== undefined) return { wrong: `no request can match: ${wrong}` }
  if (bytes.includes('//')) return { wrong: 'no request can match: an empty segment (`//`)' }
  const segments: PathSegment[] = []
  for (const raw of bytes.slice(1).split('/')) {
    if (raw === '**') {
      segments.push({ kind: 'any' })
      continue
    }
    if (raw.includes('**')) return { wrong: '`**` stands for whole segments: write it between slashes' }
    const parts = raw.split('*').map(decodeOctets)
    const bad = parts.length === 1 ? badSegments(parts) : undefined
    if (bad !== undefined) return { wrong: `no request can match: ${bad}` }
    segments.push(parts.length === 1 ? { kind: 'literal', text: parts[0] ?? '' } : { kind: 'glob', parts })
  }
  return { text, segments }
}

/** Whether the pattern covers one reading of a path. At most segments x pattern segments comparisons. */
export function matchPath(pattern: PathPattern, segments: readonly string[]): boolean {
  const wanted = pattern.segments
  let at = 0
  let within = 0
  let anyAt = -1
  let resume = 0
  while (at < segments.length) {
    const want = wanted[within]
    if (want?.kind === 'any') {
      anyAt = within++
      resume = at
    } else if (want !== undefined && matchSegment(want, segments[at] ?? '')) {
      within++
      at++
    } else if (anyAt === -1) return false
    else {
      within = anyAt + 1
      at = ++resume
    }
  }
  while (wanted[within]?.kind === 'any') within++
  return within === wanted.length
}

function matchSegment(want: PathSegment, segment: string): boolean {
  if (want.kind === 'literal') return want.text === segment
  if (want.kind === 'any') return true
  const { parts } = want
  // a lone star is a segment of something
  if (segment === '') return false
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  if (segment.length < first.length + last.length || !segment.startsWith(first) || !segment.endsWith(last)) return false
  let at = first.length
  const end = segment.length - last.length
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] ?? ''
    const found = segment.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

function ambiguity(path: string): string | undefined {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code < 0x20 || code === 0x7f) return 'a control character'
    if (code === 0x5c) return 'a backslash'
    if (code !== 0x25) continue
    const hex = path.slice(i + 1, i + 3)
    if (!/^[\da-f]{2}$/i.test(hex)) return 'a percent sign that encodes nothing'
    const value = Number.parseInt(hex, 16)
    if (value < 0x20 || value === 0x7f) return 'an encoded control character'
    if (value === 0x2e) return 'an encoded dot'
    if (value === 0x5c) return 'an encoded backslash'
    if (value === 0x25) return 'an encoded percent sign'
  }
  return undefined
}

function decodeSegments(raw: readonly string[]): { readonly segments: readonly string[] } | BadPath {
  const segments = raw.map(decodeOctets)
  const wrong = badSegments(segments) ?? (segments.every(isUtf8) ? undefined : 'bytes that are no UTF-8')
  return wrong === undefined ? { segments } : { wrong }
}

function badSegments(segments: readonly string[]): string | undefined {
  const last = segments.length - 1
  for (let i = 0; i <= last; i++) {
    const segment = segments[i] ?? ''
    if (segment === '' && i < last) return 'an empty segment (`//`)'
    if (segment === '.' || segment === '..') return 'a dot segment'
  }
  return undefined
}
