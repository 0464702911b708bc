// Which parts of an event belong to which person. Pure. What belongs to somebody is sealed under that person's key
// before it is written, so that it can be erased by destroying the key; what is not named here stays in the clear, and
// is there for good. docs/decisions/019-erasing-a-person.md says what is personal, and why.
import { escapeText } from './escape.ts'
import type { AttributeValue, AuditEvent } from './event.ts'

/** Attributes of an event that are one person's. */
export interface PersonalPart {
  /** as an owner's label or a reviewer's name is written */
  readonly person: string
  readonly attributes: readonly string[]
}

/** What of an event is sealed. */
export interface Personal {
  /** `body` with `{attribute}` in the place of what is sealed */
  readonly body: string
  readonly parts: readonly PersonalPart[]
}

/** A text of one attribute, as the body has it. */
export type Say = (attribute: string, text: string) => string

/** What an event is, beside its body. */
type Rest = Omit<AuditEvent, 'body' | 'personal'>

/** An event whose body repeats what belongs to people. `say` stands around each of these texts in the body; a part
 * without a person, or of which no attribute is there, is none. */
export function personalEvent(rest: Rest, body: (say: Say) => string, parts: readonly { readonly person: string | undefined; readonly attributes: readonly string[] }[]): AuditEvent {
  const there = parts.flatMap(({ person, attributes }) => {
    const names = attributes.filter((name) => rest.attributes[name] !== undefined)
    return person === undefined || person === erasedName || names.length === 0 ? [] : [{ person, attributes: names }]
  })
  const shown = escapeText(body((_, text) => text))
  if (there.length === 0) return { ...rest, body: shown }
  const sealed = new Set(there.flatMap(({ attributes }) => attributes))
  return { ...rest, body: shown, personal: { body: escapeText(body((name, text) => (sealed.has(name) ? placeholder(name) : text))), parts: there } }
}

/** What stands in a body for an attribute that is sealed. */
export function placeholder(attribute: string): string {
  return `{${attribute}}`
}

const placeholders = /\{([a-z_]+(?:\.[a-z_]+)+)\}/g

/** The body with what was opened in it, and `[word]` for each of `names` that was not; other braces are foreign text. */
export function filledBody(body: string, opened: Readonly<Record<string, AttributeValue | null>>, word: string | undefined): string {
  return body.replace(placeholders, (whole, name: string) => {
    const value = opened[name]
    if (value !== undefined && value !== null) return escapeText(String(value))
    return word === undefined || !sealable.has(name) ? whole : `[${word}]`
  })
}

/** Every attribute that is ever sealed. */
export const sealable: ReadonlySet<string> = new Set([
  'user.name', 'client.address', 'url.path', 'url.query', 'user_agent.original', 'sallyport.reason', 'sallyport.monitored.reason',
  'sallyport.actor.name', 'sallyport.reviewer.name', 'sallyport.reviewer.second', 'sallyport.comment', 'sallyport.control.detail',
  'sallyport.client.uid', 'sallyport.session.first_address', 'sallyport.session.first_uid',
])

/** Stands in the place of a name that was erased; it is nobody's. */
export const erasedName = '[erased]'

/** One person, however the name is written: as the review rules compare owners and reviewers. */
export function personKeyOf(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase()
}

export function isSamePerson(one: unknown, other: string): boolean {
  return typeof one === 'string' && personKeyOf(one) === personKeyOf(other)
}

/** Whether JSON that this program wrote names a person: as a value, or as code in a text. */
export function namesPerson(json: string, person: string): boolean {
  return isNamedIn(JSON.parse(json), personKeyOf(person))
}

function isNamedIn(value: unknown, folded: string): boolean {
  if (typeof value === 'string') return personKeyOf(value) === folded || personKeyOf(value).includes(`\`${folded}\``)
  return typeof value === 'object' && value !== null && Object.values(value).some((each) => isNamedIn(each, folded))
}
