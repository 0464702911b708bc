// What copies of live traffic need of header fields beside target/field-list: more is refused here, since what an origin
// means is guessed at for nobody. Pure. Nothing is decided here.
import { valuesOf } from '../../target/field-list.ts'

/** `name` in lower case. */
export function hasField(fields: readonly string[], name: string): boolean {
  return valuesOf(fields, name).length > 0
}

/** The value of a field that is no list; undefined where it is missing or there with two values. */
export function singleValue(fields: readonly string[], name: string): string | undefined {
  const [first, ...more] = valuesOf(fields, name)
  return more.every((value) => value === first) ? first : undefined
}

/** Without the fields of these names, which are in lower case. */
export function withoutFields(fields: readonly string[], names: ReadonlySet<string>): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (!names.has(name.toLowerCase())) kept.push(name, fields[i + 1] ?? '')
  }
  return kept
}

/** Members of a comma-separated list (RFC 9110 section 5.6.1), blanks and empty ones left out; what stands in quotes is
 * not cut. Undefined where a quote is never closed. */
export function listMembers(values: readonly string[]): string[] | undefined {
  const members: string[] = []
  for (const value of values) {
    let start = 0
    let isQuoted = false
    for (let i = 0; i <= value.length; i++) {
      const character = value[i]
      if (isQuoted) {
        if (character === '\\') i++
        else if (character === '"') isQuoted = false
      } else if (character === '"') {
        isQuoted = true
      } else if (character === ',' || character === undefined) {
        const member = value.slice(start, i).trim()
        if (member !== '') members.push(member)
        start = i + 1
      }
    }
    if (isQuoted) return undefined
  }
  return members
}
