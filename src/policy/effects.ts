// What all rules that match one request do to it together: fields set and stripped, how the origin is trusted, how much
// content may go. A union that does not depend on the order of rules; what excludes each other is told, never chosen.
import type { FieldChange, FieldValue, Obligations, OriginTrust } from './decision.ts'
import { formatSize } from './size.ts'
import type { Pin, Rule } from './policy.ts'

/** Obligations that cannot be met together say why, as a whole sentence without a final stop. */
export interface Obliged extends Obligations {
  readonly conflict?: string
}

interface Placed {
  readonly change: FieldChange
  readonly file: string
  readonly line: number
}

/** Adds what the rules and pins ask for; rules that deny are not among them. */
export function withEffects(base: Obligations, rules: readonly Rule[], pins: readonly Pin[]): Obliged {
  const placed: Placed[] = [...pins]
  for (const { effects, file, line, tightenOnly } of rules) {
    if (effects?.change !== undefined && !tightenOnly) placed.push({ change: effects.change, file, line })
  }
  const fieldChanges = mergeChanges(placed.toSorted(byPlace).map(({ change }) => change))
  if ('conflict' in fieldChanges) return { ...base, ...fieldChanges }
  const originTrust = mergeTrust(rules)
  const maxContent = Math.min(...rules.map(({ terms }) => terms?.maxContent ?? Infinity))
  const credential = credentialIn(fieldChanges.changes)
  if (credential !== undefined && originTrust?.insecure === true) {
    return { ...base, conflict: `rule ${credential} sends a credential, and another rule says that the origin's certificate is not verified` }
  }
  if (credential !== undefined && base.inspect === 'cache') {
    return { ...base, conflict: `rule ${credential} sends a credential, and another rule says that the answer comes from the cache` }
  }
  return {
    ...base,
    ...(fieldChanges.changes.length === 0 ? {} : { fieldChanges: fieldChanges.changes }),
    ...(originTrust === undefined ? {} : { originTrust }),
    ...(maxContent === Infinity ? {} : { maxContent }),
  }
}

/** Whether two sets of obligations do the same to a request. */
export function sameEffects(a: Obligations, b: Obligations): boolean {
  return told(a) === told(b)
}

function told({ fieldChanges, originTrust, maxContent, sharedCache }: Obligations): string {
  return JSON.stringify([fieldChanges, originTrust, maxContent, sharedCache])
}

/** One line each, for people; of a credential its name alone. */
export function effectLines({ fieldChanges = [], originTrust, maxContent, sharedCache }: Obligations): readonly string[] {
  const lines = fieldChanges.flatMap(({ rule, strip, set }) => [
    ...strip.map((name) => `${name} is stripped, by ${rule}`),
    ...set.map(({ name, value }) => `${name} is set to ${valueText(value)}, by ${rule}`),
  ])
  if (originTrust?.insecure === true) lines.push('the certificate of the origin is not verified')
  else if (originTrust !== undefined) lines.push(`the certificate of the origin may also lead to ${originTrust.caFiles.join(', ')}`)
  if (maxContent !== undefined) lines.push(`the content may be at most ${formatSize(maxContent)}`)
  if (sharedCache === true) lines.push('the answer may come from the shared cache, and be kept in it')
  return lines
}

function valueText(value: FieldValue): string {
  if (value.kind === 'text') return `\`${value.text}\``
  const where = value.placeholder ? ', where the client sends its placeholder' : ''
  return `${value.prefix === '' ? '' : `\`${value.prefix}\` and `}the credential ${value.credential}${where}`
}

/** By file and line, whatever the order in which they were found. */
function byPlace(a: Placed, b: Placed): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || (a.change.rule < b.change.rule ? -1 : 1)
}

/**
 * A field that any rule sets is stripped by none, and the same value twice is set once. Where a placeholder decides
 * whether it is set, a strip stands: it takes away what is no placeholder.
 */
function mergeChanges(changes: readonly FieldChange[]): { readonly changes: readonly FieldChange[] } | { readonly conflict: string } {
  if (changes.length <= 1) return { changes }
  const seen = new Map<string, { readonly rule: string; readonly value: FieldValue }>()
  const merged: FieldChange[] = []
  for (const { rule, strip, set } of changes) {
    const kept: FieldChange['set'][number][] = []
    for (const each of set) {
      const name = each.name.toLowerCase()
      const first = seen.get(name)
      if (first === undefined) {
        seen.set(name, { rule, value: each.value })
        kept.push(each)
      } else if (!sameValue(first.value, each.value)) return { conflict: `rules ${first.rule} and ${rule} set ${each.name} to different values` }
    }
    merged.push({ rule, strip, set: kept })
  }
  const stripped = new Set<string>()
  const left = merged.map((change) => {
    const strip = change.strip.filter((name) => !isSetForSure(seen.get(name)?.value) && !stripped.has(name))
    for (const name of strip) stripped.add(name)
    return { ...change, strip }
  })
  return { changes: left.filter(({ strip, set }) => strip.length + set.length > 0) }
}

function isSetForSure(value: FieldValue | undefined): boolean {
  return value !== undefined && !(value.kind === 'credential' && value.placeholder)
}

function sameValue(a: FieldValue, b: FieldValue): boolean {
  if (a.kind === 'text' || b.kind === 'text') return a.kind === 'text' && b.kind === 'text' && a.text === b.text
  return a.credential === b.credential && a.prefix === b.prefix && a.placeholder === b.placeholder
}

function mergeTrust(rules: readonly Rule[]): OriginTrust | undefined {
  const stated = rules.flatMap(({ effects, tightenOnly }) => (effects?.trust === undefined || tightenOnly ? [] : [effects.trust]))
  if (stated.length <= 1) return stated[0]
  return { insecure: stated.some(({ insecure }) => insecure), caFiles: [...new Set(stated.flatMap(({ caFiles }) => caFiles))].toSorted() }
}

/** The rule that sends one, if any. */
function credentialIn(changes: readonly FieldChange[]): string | undefined {
  return changes.find(({ set }) => set.some(({ value }) => value.kind === 'credential'))?.rule
}
