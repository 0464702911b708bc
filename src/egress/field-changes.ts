// What rules do to the fields of one request on its way out: strip, then set, and credentials that the agent
// never holds. A credential is only ever the whole value of one field (or the password of Basic), goes only
// over TLS whose certificate was judged, and never into a message.
import { ProxyError } from '../errors.ts'
import type { FieldChange, FieldValue } from '../policy/decision.ts'
import { methodOverrideFields } from '../policy/field-names.ts'
import { isToken, isTrimmedFieldValue } from '../target/field-syntax.ts'
import { quoted } from '../target/quoted.ts'
import { editOf, proxyFields, type FieldEdit } from './field-rules.ts'

/** Where credentials are read. What it rejects with must not hold the value. */
export interface Credentials {
  value(name: string): Promise<string>
  /** what stands for the value in the hands of agents; nobody outside takes it for a credential */
  dummy(name: string): Promise<string>
}

export interface RequestEdit extends FieldEdit {
  /** names of the credentials that are in `added`, sorted */
  readonly credentials: readonly string[]
}

/** What of the way to the origin says whether a credential may go on it. */
export interface EditContext {
  /** https, and the certificate is judged */
  readonly isVerified: boolean
  /** https, looked into: what would overrule a rule about methods is stripped */
  readonly isIntercepted: boolean
  readonly credentials: Credentials | undefined
}

type Credential = Extract<FieldValue, { kind: 'credential' }>

const overridesGone: RequestEdit = { ...editOf(methodOverrideFields, []), credentials: [] }
const basic = /^basic +(?<credentials>[A-Za-z0-9+/]+={0,2})$/i

/** Names of all fields that `changes` set, in lower case: a client may not take them away by Connection. */
export function setNames(changes: readonly FieldChange[]): ReadonlySet<string> {
  return new Set(changes.flatMap(({ set }) => set.map(({ name }) => name.toLowerCase())))
}

/**
 * What is done to the fields of this request; undefined for nothing. A promise only where a credential is read.
 * Codes `credential_unavailable`, `obligation_conflict` (two rules set a field differently, or one that is the proxy's own).
 */
export function editFor(changes: readonly FieldChange[] | undefined, rawHeaders: readonly string[], context: EditContext): RequestEdit | undefined | Promise<RequestEdit> {
  if (changes === undefined || changes.length === 0) return context.isIntercepted ? overridesGone : undefined
  const edit = new Edit(changes, context)
  const needed: { readonly name: string; readonly value: Credential }[] = []
  for (const { name, value } of changes.flatMap(({ set }) => set)) {
    if (value.kind === 'text') edit.set(name, value.text)
    else needed.push({ name, value })
  }
  return needed.length === 0 ? edit.done() : withCredentials(edit, needed, rawHeaders, context)
}

async function withCredentials(edit: Edit, needed: readonly { readonly name: string; readonly value: Credential }[], rawHeaders: readonly string[], context: EditContext): Promise<RequestEdit> {
  for (const { name, value } of needed) {
    const field = value.placeholder ? await translated(name, value, rawHeaders, context) : await whole(value, context)
    if (field !== undefined) edit.setCredential(name, field, value.credential)
  }
  return edit.done()
}

/** What is done to one request, as it is put together. */
class Edit {
  readonly #gone = new Set<string>()
  readonly #values = new Map<string, { readonly name: string; readonly value: string }>()
  readonly #credentials = new Set<string>()

  constructor(changes: readonly FieldChange[], { isIntercepted }: EditContext) {
    if (isIntercepted) for (const name of methodOverrideFields) this.#gone.add(name)
    for (const { strip } of changes) for (const name of strip) this.#gone.add(name.toLowerCase())
  }

  set(name: string, value: string): void {
    if (!isTrimmedFieldValue(value)) throw new ProxyError('obligation_conflict', `a rule sets ${quoted(name)} to what is no field value`)
    this.#add(name, value)
  }

  setCredential(name: string, value: string, credential: string): void {
    if (!isTrimmedFieldValue(value)) throw unavailable(credential, 'makes no field value')
    this.#add(name, value)
    this.#credentials.add(credential)
  }

  done(): RequestEdit {
    const added = [...this.#values.values()].flatMap(({ name, value }) => [name, value])
    return { ...editOf(this.#gone, added), credentials: [...this.#credentials].toSorted() }
  }

  #add(name: string, value: string): void {
    const lower = name.toLowerCase()
    if (!isToken(name) || proxyFields.has(lower)) throw new ProxyError('obligation_conflict', `a rule sets ${quoted(name)}, which is the proxy's own`)
    const before = this.#values.get(lower)
    if (before !== undefined && before.value !== value) throw new ProxyError('obligation_conflict', `rules set ${quoted(name)} to different values`)
    this.#gone.add(lower)
    this.#values.set(lower, { name, value })
  }
}

async function whole({ credential, prefix }: Credential, context: EditContext): Promise<string> {
  return prefix + await read(credential, 'value', context)
}

/** The value of the field in which the client sent the dummy, with the credential in its place; undefined where it did not. */
async function translated(name: string, { credential, prefix }: Credential, rawHeaders: readonly string[], context: EditContext): Promise<string | undefined> {
  const sent = onlyValue(rawHeaders, name.toLowerCase())
  if (sent === undefined) return undefined
  const dummy = await read(credential, 'dummy', context)
  if (sent === prefix + dummy) return prefix + await read(credential, 'value', context)
  const user = name.toLowerCase() === 'authorization' ? userOf(sent, dummy) : undefined
  if (user === undefined) return undefined
  const value = Buffer.from(await read(credential, 'value', context), 'latin1')
  return `Basic ${Buffer.concat([user, value]).toString('base64')}`
}

/** RFC 7617: what stands before the password, colon included, when the password is exactly `dummy`. */
function userOf(sent: string, dummy: string): Buffer | undefined {
  const encoded = basic.exec(sent)?.groups?.['credentials']
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64')
  // what does not come back the same could be read in two ways
  if (decoded.toString('base64').replaceAll('=', '') !== encoded.replaceAll('=', '')) return undefined
  const colon = decoded.indexOf(0x3a)
  return colon !== -1 && decoded.subarray(colon + 1).equals(Buffer.from(dummy, 'latin1')) ? decoded.subarray(0, colon + 1) : undefined
}

async function read(name: string, what: 'value' | 'dummy', { credentials, isVerified }: EditContext): Promise<string> {
  if (what === 'value' && !isVerified) throw unavailable(name, 'goes only over TLS whose certificate is judged')
  if (credentials === undefined) throw unavailable(name, 'is wanted where none can be read')
  let text: string
  try {
    text = await credentials[what](name)
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'credential_unavailable') throw error
    // its message is not ours and could say anything: only its code is kept
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    throw unavailable(name, `cannot be read${typeof code === 'string' ? ` (${quoted(code)})` : ''}`)
  }
  if (text === '') throw unavailable(name, 'is empty')
  return text
}

function unavailable(name: string, why: string): ProxyError {
  return new ProxyError('credential_unavailable', `the credential ${quoted(name)} ${why}`)
}

/** The value of a field that stands once; undefined when it is missing or repeated. */
function onlyValue(rawHeaders: readonly string[], wanted: string): string | undefined {
  let found: string | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() !== wanted) continue
    if (found !== undefined) return undefined
    found = rawHeaders[i + 1] ?? ''
  }
  return found
}
