// The keys of a rule that look at query, fields and content: read, checked, and laid out as evaluate wants them.
import { wrongPredicateName } from './field-names.ts'
import { utf8Octets } from './octets.ts'
import type { FieldTerm, QueryTerm, RequestTerms } from './policy.ts'
import { foldKey } from './query.ts'
import { readingMethods } from './read-only.ts'
import { parseSize } from './size.ts'
import type { TableReader } from './table-reader.ts'

export const termKeys: readonly string[] = ['query', 'headers', 'content_types', 'max_content', 'read_only']

/** What user patterns may cost: they are matched by a linear scan, over values of any length. */
const maxPattern = 1000
const maxTerms = 100

/** The terms of a rule; undefined when it has none. `secure`: it sends a credential. */
export function readTerms(table: TableReader, secure: boolean): RequestTerms | undefined {
  const query = readQueryTerms(table)
  const fields = readFieldTerms(table)
  const contentTypes = readContentTypes(table)
  const maxContent = readMaxContent(table)
  const noContent = table.boolean('read_only') === true
  if (query.length + fields.length === 0 && contentTypes === undefined && maxContent === undefined && !noContent && !secure) return undefined
  return { query, fields, contentTypes, maxContent, noContent, secure }
}

/** What `read_only` leaves of the methods of a rule; says where the rule contradicts it. */
export function readOnlyMethods(table: TableReader, methods: readonly string[] | undefined): readonly string[] | undefined {
  if (table.boolean('read_only') !== true) return methods
  methods?.forEach((method, i) => {
    if (!readingMethods.includes(method)) table.file.error(table.at('methods', i), `\`${method}\` beside \`read_only\`: what only reads is ${readingMethods.join(', ')}`)
  })
  if (table.has('upgrades')) table.file.error(table.at('upgrades'), '`upgrades` beside `read_only`: an upgrade is not only reading')
  return methods ?? readingMethods
}

function readQueryTerms(table: TableReader): readonly QueryTerm[] {
  const terms = readNamed(table, 'query').map(({ name: key, values }) => ({ key: utf8Octets(key), folded: foldKey(utf8Octets(key), key.includes('[')), values }))
  terms.forEach(({ folded, key }, i) => {
    const other = terms.findIndex((term) => term.folded === folded)
    if (other < i) table.file.error(table.at('query'), `origins may read \`${terms[other]?.key ?? ''}\` and \`${key}\` as one key: write one of them`)
  })
  return terms
}

function readFieldTerms(table: TableReader): readonly FieldTerm[] {
  const terms = readNamed(table, 'headers').flatMap(({ name, values, at }) => {
    const wrong = wrongPredicateName(name)
    if (wrong !== undefined) table.file.error(at, `a rule cannot be about the field \`${name}\`: ${wrong}`, 'key')
    return wrong === undefined ? [{ name: name.toLowerCase(), values }] : []
  })
  terms.forEach(({ name }, i) => {
    if (terms.findIndex((term) => term.name === name) < i) table.file.error(table.at('headers'), `\`${name}\` twice: case does not count in the names of fields`)
  })
  return terms
}

interface Named {
  readonly name: string
  readonly values: readonly string[]
  readonly at: TableReader['path']
}

/** `{ name = ["pattern", ...] }`; an empty list is any value. */
function readNamed(table: TableReader, key: 'query' | 'headers'): readonly Named[] {
  const inner = table.table(key)
  if (inner === undefined) return []
  const names = inner.keys()
  if (names.length === 0) table.file.error(table.at(key), `\`${key}\` is empty, so it says nothing: leave it out`)
  if (names.length > maxTerms) table.file.error(table.at(key), `\`${key}\` names more than ${maxTerms}`)
  return names.flatMap((name) => {
    if (name === '' || name.length > maxPattern) table.file.error(inner.at(name), `a name in \`${key}\` has 1 to ${maxPattern} characters`, 'key')
    const values = inner.strings(name)
    if (values === undefined) return []
    values.forEach((value, i) => {
      const wrong = wrongPattern(value, key)
      if (wrong !== undefined) table.file.error(inner.at(name, i), `not a value pattern: ${wrong}`)
    })
    return [{ name, values: values.map(utf8Octets), at: inner.at(name) }]
  })
}

function wrongPattern(pattern: string, key: 'query' | 'headers'): string | undefined {
  if (pattern.length > maxPattern) return `longer than ${maxPattern} characters`
  if (/\p{Cc}/u.test(pattern)) return 'a control character, which no value that is matched has'
  return key === 'headers' && pattern.trim() !== pattern ? 'white space around the value of a field does not count' : undefined
}

function readContentTypes(table: TableReader): readonly string[] | undefined {
  const types = table.strings('content_types')
  if (table.isEmptyArray('content_types')) table.file.error(table.at('content_types'), '`content_types` is empty, so no content would do: write `max_content = 0`')
  types?.forEach((type, i) => {
    const [, main = '', sub = ''] = /^([^/]*)\/([^/]*)$/.exec(type) ?? []
    if (!/^[!#$&^_.+*\w-]{1,127}$/.test(main) || !/^[!#$&^_.+*\w-]{1,127}$/.test(sub)) {
      table.file.error(table.at('content_types', i), `\`${type}\` is no media type such as \`application/json\` or \`text/*\`, without parameters`)
    }
  })
  return types?.map((type) => type.toLowerCase())
}

function readMaxContent(table: TableReader): number | undefined {
  const value = table.value('max_content')
  if (value === undefined) return undefined
  const size = parseSize(value)
  if (size === undefined) table.file.error(table.at('max_content'), '`max_content` has to be a whole number of bytes, or text such as `"512 KiB"`, `"1 MiB"` or `"2 GiB"`')
  return size
}
