// May an answer be kept on shelf `web`, and what of it? Pure. What was asked for with somebody's credentials, what its
// origin calls private, and what is not whole must never be kept: unsure is no.
import { isFieldValue, isToken } from '../target/field-syntax.ts'
import { quoted } from '../target/quoted.ts'
import { joinedValue, listMembers, onlyValue, valuesOf } from '../target/field-list.ts'
import { sharedPolicy } from './cache-control.ts'
import type { CachedHead } from './cached-response.ts'
import { contentCoding, maxCodings } from './decoding.ts'
import type { ContentCoding } from './decoding.ts'
import { readHttpDate } from './http-date.ts'
import { keptFields } from './kept-fields.ts'

/** The request as it left us. */
export interface AskedFor {
  readonly method: string
  /** flat name, value, name, value */
  readonly fields: readonly string[]
  /** a rule put a credential in, whatever its field is called, or TLS carried a client certificate */
  readonly isCredentialed: boolean
}

/** The answer as it came, interim answers left out; times are wall clock, `ms`. */
export interface Answered {
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
  readonly askedMs: number
  readonly answeredMs: number
  /** when an archive captured it; undefined: it came from its origin just now */
  readonly capturedMs?: number | undefined
}

export interface KeptAnswer {
  readonly head: CachedHead
  /** content codings in the order they were applied; content is kept without (`decoded`) */
  readonly codings: readonly ContentCoding[]
  /** bytes of the coded content that the head promises; other content is not whole */
  readonly contentLength: number | undefined
}

export type Admission = { readonly kept: KeptAnswer } | { readonly refused: string }

/** `import`: `private` and `no-store` are ignored: what an archive's origin said to browsers long ago. */
export type AdmissionMode = 'answer' | 'import'

/** Statuses that say something about the page (RFC 9110, RFC 7725); 206 and 304 are parts of an answer. */
const keptStatuses: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451])
const credentials: readonly string[] = ['authorization', 'proxy-authorization', 'cookie', 'cookie2']
const keptVary: ReadonlySet<string> = new Set(['accept', 'accept-language', 'accept-encoding'])
const ignoredInImports: ReadonlySet<string> = new Set(['private', 'no-store'])
const digits = /^\d{1,15}$/
const maxFieldBytes = 64 * 1024
const maxAgeSeconds = 2 ** 31

/**
 * The parts of an entry, or a sentence that says why there is none. Storing is chosen by people here, so that a redirect
 * needs no explicit lifetime; every other condition of RFC 9111 section 3 holds, and more. Accept-Encoding is left out of
 * `vary`, since content is kept without coding.
 */
export function admit(asked: AskedFor, answered: Answered, mode: AdmissionMode = 'answer'): Admission {
  const refused = faultOfRequest(asked) ?? faultOfFields(answered.fields) ?? faultOfAnswer(asked, answered, mode)
  if (refused !== undefined) return { refused }
  const length = contentLength(answered.fields)
  if (length === 'bad') return { refused: 'its Content-Length is not one number, or stands beside Transfer-Encoding' }
  const vary = variants(asked.fields, answered.fields)
  if (typeof vary === 'string') return { refused: vary }
  const codings = contentCodings(answered.fields)
  if (codings === undefined) return { refused: `its Content-Encoding ${quoted(joinedValue(answered.fields, 'content-encoding') ?? '')} is not one of gzip, deflate, br, zstd, or more than two of them` }
  const head: CachedHead = {
    status: answered.status,
    reason: answered.reason,
    fields: keptFields(answered.fields, codings.length > 0, answered.capturedMs ?? answered.answeredMs),
    vary,
    storedMs: answered.answeredMs,
    initialAgeMs: initialAge(answered),
  }
  return { kept: { head, codings, contentLength: length } }
}

function faultOfRequest(asked: AskedFor): string | undefined {
  if (asked.method !== 'GET') return `it answers ${quoted(asked.method)}; only answers to GET are kept`
  if (asked.isCredentialed) return 'it was asked for with a credential'
  for (const name of [...credentials, 'range', 'if-range']) {
    if (valuesOf(asked.fields, name).length > 0) return `it was asked for with ${quoted(name)}`
  }
  return undefined
}

function faultOfFields(fields: readonly string[]): string | undefined {
  let bytes = 0
  if (fields.length % 2 !== 0) return 'its list of fields is not whole'
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    if (!isToken(name)) return `the field name ${quoted(name)} is not valid`
    if (!isFieldValue(value)) return `the value of ${quoted(name)} is not valid`
    bytes += name.length + value.length
  }
  return bytes > maxFieldBytes ? `its fields are larger than ${maxFieldBytes} bytes` : undefined
}

function faultOfAnswer(asked: AskedFor, { status, reason, fields }: Answered, mode: AdmissionMode): string | undefined {
  if (!keptStatuses.has(status)) return `its status is ${status}; kept are ${[...keptStatuses].join(', ')}`
  if (!isFieldValue(reason)) return 'its reason phrase is not valid'
  if (valuesOf(fields, 'content-range').length > 0) return 'it is a part of the content (Content-Range)'
  const ignored = mode === 'import' ? ignoredInImports : undefined
  // which statuses are kept is said above; the library is asked about everything else
  const policy = sharedPolicy({ requestFields: asked.fields, status: 200, fields, ...(ignored === undefined ? {} : { ignored }) })
  return policy.storable() ? undefined : 'its Cache-Control, or that of the request, forbids a shared cache to keep it'
}

/** The bytes that the head promises, `bad` where it is not plain how many. */
function contentLength(fields: readonly string[]): number | 'bad' | undefined {
  const values = valuesOf(fields, 'content-length')
  if (values.length === 0) return undefined
  const [value = ''] = values
  if (values.length > 1 || !digits.test(value) || valuesOf(fields, 'transfer-encoding').length > 0) return 'bad'
  return Number(value)
}

/** Request fields that chose this answer; a sentence where it depends on one that the cache does not know. */
function variants(askedFields: readonly string[], fields: readonly string[]): CachedHead['vary'] | string {
  const vary: (readonly [string, string | null])[] = []
  for (const member of listMembers(joinedValue(fields, 'vary') ?? '')) {
    const name = member.toLowerCase()
    if (!keptVary.has(name)) return `it depends on more than Accept, Accept-Language and Accept-Encoding: Vary is ${quoted(member)}`
    if (name === 'accept-encoding' || vary.some(([one]) => one === name)) continue
    vary.push([name, joinedValue(askedFields, name) ?? null])
  }
  return vary
}

/** In the order they were applied; undefined for too many or one that is not known. */
function contentCodings(fields: readonly string[]): ContentCoding[] | undefined {
  const codings: ContentCoding[] = []
  for (const member of listMembers(joinedValue(fields, 'content-encoding') ?? '')) {
    if (member.toLowerCase() === 'identity') continue
    const coding = contentCoding(member)
    if (coding === undefined) return undefined
    codings.push(coding)
  }
  return codings.length > maxCodings ? undefined : codings
}

/** Age on arrival (RFC 9111 section 4.2.3), `ms`; what an archive captured is as old as it is there, and older by its Age. */
function initialAge({ fields, askedMs, answeredMs, capturedMs }: Answered): number {
  const cameMs = capturedMs ?? answeredMs
  const delayMs = capturedMs === undefined ? Math.max(0, answeredMs - askedMs) : 0
  const dateMs = readHttpDate(onlyValue(fields, 'date') ?? '', cameMs)
  const apparent = dateMs === undefined ? 0 : Math.max(0, cameMs - dateMs)
  const [age = ''] = listMembers(joinedValue(fields, 'age') ?? '')
  const corrected = delayMs + (digits.test(age) ? Math.min(Number(age), maxAgeSeconds) * 1000 : 0)
  return Math.max(apparent, corrected) + Math.max(0, answeredMs - cameMs)
}
