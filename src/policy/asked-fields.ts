// Header fields as people write them in cases and on the command line, and what they say of the content.
import type { Facts } from './facts.ts'
import { isShortToken } from './field-names.ts'

/** `Name: value` as a flat pair; or what is wrong with it, lower case, no final stop. */
export function readField(line: string): readonly [name: string, value: string] | { readonly wrong: string } {
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(colon, 0)).trim()
  if (!isShortToken(name)) return { wrong: `\`${line.trim()}\` is no field: write \`Name: value\`` }
  const value = line.slice(colon + 1).trim()
  return /\p{Cc}/u.test(value) ? { wrong: `the value of \`${name}\` holds a control character` } : [name, value]
}

/** What the fields declare: none without a length, a coding or a type. */
export function declaredContent(fields: readonly string[]): Facts['content'] | { readonly wrong: string } {
  let content: Facts['content'] = 0
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]?.toLowerCase()
    const value = fields[i + 1] ?? ''
    if (name === 'content-length') return /^\d{1,15}$/.test(value) ? Number(value) : { wrong: `\`${value}\` is no length of content` }
    if (name === 'content-type' || name === 'transfer-encoding') content = 'unknown'
  }
  return content
}
