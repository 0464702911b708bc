// The keys of a rule that change what is sent, and how its origin is trusted: read and checked for themselves. What
// they may stand beside is checked in rule-checks. No secret ever stands in a policy: a credential is a name.
import type { FieldValue } from './decision.ts'
import { isShortToken, maxFieldValue, wrongChangeName, wrongFieldValue } from './field-names.ts'
import type { Path } from './positions.ts'
import type { TableReader } from './table-reader.ts'

export const effectKeys: readonly string[] = ['set_headers', 'strip_headers', 'credential', 'insecure', 'origin_ca']

export interface DraftCredential {
  readonly at: Path
  readonly name: string
}

/** A file of further roots, as written. */
export interface DraftRoot {
  readonly at: Path
  readonly path: string
}

export interface DraftEffects {
  readonly strip: readonly string[]
  readonly set: readonly { readonly name: string; readonly value: FieldValue }[]
  readonly credential: DraftCredential | undefined
  readonly insecure: boolean
  readonly originCa: readonly DraftRoot[]
}

const credentialKeys: readonly string[] = ['name', 'header', 'prefix', 'placeholder']
/** what a credential is called in process settings */
const credentialName = /^[a-z\d][\w.-]{0,63}$/i

/** The effects of a rule; undefined when it has none. */
export function readEffects(table: TableReader): DraftEffects | undefined {
  const set = [...readSet(table)]
  const strip = readStrip(table)
  const credential = readCredential(table)
  if (credential !== undefined) {
    if (set.some(({ name }) => name.toLowerCase() === credential.set.name.toLowerCase())) {
      table.file.error(table.at('credential'), `\`set_headers\` and \`credential\` both set ${credential.set.name}`)
    }
    set.push(credential.set)
  }
  const insecure = table.boolean('insecure') ?? false
  const originCa = readRoots(table)
  if (set.length + strip.length + originCa.length === 0 && !insecure) return undefined
  return { strip, set, credential: credential?.credential, insecure, originCa }
}

/** Whether requests have to be seen for it. */
export function changesFields(effects: DraftEffects | undefined): boolean {
  return effects !== undefined && effects.set.length + effects.strip.length > 0
}

function readSet(table: TableReader): readonly DraftEffects['set'][number][] {
  const inner = table.table('set_headers')
  if (inner === undefined) return []
  if (inner.keys().length === 0) table.file.error(table.at('set_headers'), '`set_headers` is empty: leave it out')
  const seen = new Set<string>()
  return inner.keys().flatMap((name) => {
    const text = inner.string(name)
    checkName(table, inner.at(name), name, 'key')
    if (seen.has(name.toLowerCase())) table.file.error(inner.at(name), `\`${name}\` twice: case does not count in the names of fields`, 'key')
    seen.add(name.toLowerCase())
    const wrong = text === undefined ? undefined : wrongFieldValue(text)
    if (wrong !== undefined) table.file.error(inner.at(name), `the value of \`${name}\` cannot be sent: ${wrong}`)
    return text === undefined ? [] : [{ name, value: { kind: 'text' as const, text } }]
  })
}

function readStrip(table: TableReader): readonly string[] {
  const names = table.strings('strip_headers') ?? []
  if (table.isEmptyArray('strip_headers')) table.file.error(table.at('strip_headers'), '`strip_headers` is empty: leave it out')
  names.forEach((name, i) => checkName(table, table.at('strip_headers', i), name, 'value'))
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

function checkName(table: TableReader, at: Path, name: string, part: 'key' | 'value'): void {
  const wrong = wrongChangeName(name)
  if (wrong !== undefined) table.file.error(at, `the field \`${name}\` is not a rule's to change: ${wrong}`, part)
}

function readCredential(table: TableReader): { readonly credential: DraftCredential; readonly set: DraftEffects['set'][number] } | undefined {
  const inner = table.table('credential')
  if (inner === undefined) return undefined
  inner.rejectUnknown(credentialKeys, 'a credential')
  const name = inner.string('name')
  const header = inner.string('header')
  const prefix = inner.string('prefix') ?? ''
  const placeholder = inner.boolean('placeholder') ?? false
  for (const key of ['name', 'header'] as const) {
    if (!inner.has(key)) table.file.error(table.at('credential'), `a credential without \`${key}\``, 'key')
  }
  if (name !== undefined && !credentialName.test(name)) table.file.error(inner.at('name'), 'a credential is called what `sallyport.toml` calls it: letters, digits, `_`, `.` and `-`')
  if (header !== undefined) checkName(table, inner.at('header'), header, 'value')
  if (!/^[\x20-\x7e]{0,200}$/.test(prefix) || prefix.trimStart() !== prefix) {
    table.file.error(inner.at('prefix'), 'a `prefix` is at most 200 characters of visible ASCII, such as `Bearer ` with its space')
  }
  if (name === undefined || header === undefined || !isShortToken(header)) return undefined
  return {
    credential: { at: inner.at('name'), name },
    set: { name: header, value: { kind: 'credential', credential: name, prefix, placeholder } },
  }
}

function readRoots(table: TableReader): readonly DraftRoot[] {
  const paths = table.strings('origin_ca') ?? []
  if (table.isEmptyArray('origin_ca')) table.file.error(table.at('origin_ca'), '`origin_ca` is empty: leave it out')
  return paths.flatMap((path, i) => {
    const at = table.at('origin_ca', i)
    if (path !== '' && !/\p{Cc}/u.test(path) && path.length <= maxFieldValue) return [{ at, path }]
    table.file.error(at, '`origin_ca` holds paths of PEM files')
    return []
  })
}
