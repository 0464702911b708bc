// Header fields as node gives them and the cache keeps them, a flat list of name, value, name, value, and how they are read:
// by name, whatever its case (RFC 9110 section 5.1). Pure. Names are matched in lower case only.

/** The values of a field in their order; `name` in lower case. */
export function valuesOf(fields: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const given = fields[i] ?? ''
    if (given.length === name.length && given.toLowerCase() === name) values.push(fields[i + 1] ?? '')
  }
  return values
}

/** The lines of a field as one (RFC 9110 section 5.3); undefined where it is not there. */
export function joinedValue(fields: readonly string[], name: string): string | undefined {
  const values = valuesOf(fields, name)
  return values.length === 0 ? undefined : values.join(', ')
}

/** The value of a field that stands there once; undefined where it is not there, or more often: then nobody can say which counts. */
export function onlyValue(fields: readonly string[], name: string): string | undefined {
  const values = valuesOf(fields, name)
  return values.length === 1 ? values[0] : undefined
}

/** The members of a list field (RFC 9110 section 5.6.1), trimmed, empty ones left out; commas within quotes or `<>` part nothing. */
export function listMembers(value: string): string[] {
  const members: string[] = []
  let start = 0
  let inQuotes = false
  let inAngles = false
  for (let i = 0; i < value.length; i++) {
    const c = value.charAt(i)
    if (inQuotes) {
      if (c === '\\') i++
      else if (c === '"') inQuotes = false
    } else if (inAngles) {
      inAngles = c !== '>'
    } else if (c === '"') {
      inQuotes = true
    } else if (c === '<') {
      inAngles = true
    } else if (c === ',') {
      members.push(value.slice(start, i).trim())
      start = i + 1
    }
  }
  members.push(value.slice(start).trim())
  return members.filter((member) => member !== '')
}
