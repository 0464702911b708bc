// Which request fields choose between answers, and whether two requests say the same in them (RFC 9111 section 4.1).
// Pure. Two spellings of one list are one request; where that is not known, they differ.
import { valuesOf } from '../../target/field-list.ts'
import { listMembers } from './field-list.ts'

export type Selecting = readonly (readonly [name: string, value: string | null])[]

// a field name starts with no colon, so no answer can name it
/** Roots that a rule adds for the origin: what was fetched under them is only for requests under the same. */
export const trustName = ':origin-ca'
const maxNames = 16
// lists whose order says nothing and whose case does not count (RFC 9110 sections 12.5.3 and 12.5.4)
const unordered: ReadonlySet<string> = new Set(['accept-encoding', 'accept-language'])

/** What the answer was chosen by, from the request that fetched it; undefined: by what no request shows. */
export function selectingFields(answer: readonly string[], request: readonly string[]): Selecting | undefined {
  const names = new Set(valuesOf(answer, 'vary').flatMap((value) => value.split(',')).map((name) => name.trim().toLowerCase()).filter((name) => name !== ''))
  if (names.has('*') || names.size > maxNames) return undefined
  if (valuesOf(request, trustName).length > 0) names.add(trustName)
  return [...names].toSorted().map((name) => [name, selectingValue(request, name)] as const)
}

export function isSelected(vary: Selecting, request: readonly string[]): boolean {
  return vary.every(([name, value]) => selectingValue(request, name) === value)
}

/** One text for all spellings that say the same; null where the field is not there. */
function selectingValue(request: readonly string[], name: string): string | null {
  const values = valuesOf(request, name)
  if (values.length === 0) return null
  const members = listMembers(values)
  if (members === undefined) return values.join(', ')
  if (!unordered.has(name)) return members.join(',')
  return members.map((member) => member.toLowerCase().replaceAll(/[ \t]/g, '')).toSorted().join(',')
}
