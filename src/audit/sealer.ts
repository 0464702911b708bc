// Seals what belongs to people when an event is encoded for the journal: each part under its person's key, in one
// attribute. What a session's records have in common is sealed once. It must never write a part in the clear instead.
import type { AttributeValue, AuditEvent } from './event.ts'
import { escapeNonAscii, inOnePiece } from './json-text.ts'
import type { Personal } from './personal.ts'
import type { PersonKeys } from './person-keys.ts'
import type { OwnPart } from './prepared-event.ts'
import { PreparedEvent } from './prepared-event.ts'
import { contextOf, sealedAttribute } from './sealed-text.ts'
import { placeOf, Slots } from './slots.ts'

interface Known {
  readonly part: OwnPart
  readonly keyId: string
  readonly text: string
}

/** Events that may still come of what an erased person had under way; all others say that it does something anew. */
const late: ReadonlySet<AuditEvent['name']> = new Set([
  'sallyport.decision', 'sallyport.exchange.ended', 'sallyport.cache.hit', 'sallyport.cache.missed',
  'sallyport.approval.expired', 'sallyport.approval.withdrawn', 'sallyport.session.ended', 'sallyport.session.shared',
])

const erasedJson = '"sallyport.erased":true'

export class Sealer {
  readonly #keys: PersonKeys
  /** of sessions: the same parts stand in each of their records */
  readonly #known = new Slots<Known>()

  constructor(keys: PersonKeys) {
    this.#keys = keys
  }

  /** `"body":…,"attributes":{…}`, ASCII, with nothing of people in the clear; undefined for an event in which nothing is
   * anybody's. Throws ProxyError `audit_unavailable`. */
  encode(event: AuditEvent): string | undefined {
    if (event instanceof PreparedEvent) {
      const { split } = event
      return split === undefined ? undefined : `${split.sealedStart}${split.front},${this.#member(event.name, split.parts)}${split.back}`
    }
    return event.personal === undefined ? undefined : this.#encode(event, event.personal)
  }

  #encode({ name, attributes }: AuditEvent, personal: Personal): string {
    const sealed = new Set(personal.parts.flatMap((part) => part.attributes))
    const clear = Object.fromEntries(Object.entries(attributes).filter(([each]) => !sealed.has(each)))
    const context = contextOf(clear, 'own')
    const parts = personal.parts.map((part): OwnPart => ({ person: part.person, bound: 'own', context, json: membersOf(attributes, part.attributes) }))
    const json = JSON.stringify(clear)
    const more = `${json === '{}' ? '' : ','}${this.#member(name, parts)}}`
    return escapeNonAscii(`"body":${JSON.stringify(personal.body)},"attributes":${json.slice(0, -1)}`) + more
  }

  #member(name: AuditEvent['name'], parts: readonly OwnPart[]): string {
    let texts = ''
    let isErased = false
    for (const part of parts) {
      const text = this.#seal(name, part)
      if (text === undefined) isErased = true
      else texts += texts === '' ? `"${text}"` : `,"${text}"`
    }
    if (texts === '') return erasedJson
    return `"${sealedAttribute}":[${texts}]${isErased ? `,${erasedJson}` : ''}`
  }

  /** Undefined: its person was erased. */
  #seal(name: AuditEvent['name'], part: OwnPart): string | undefined {
    const { person, bound, context, json } = part
    if (late.has(name)) {
      if (this.#keys.isGone(person)) return undefined
    } else this.#keys.returned(person)
    const key = this.#keys.keyOf(person)
    if (bound !== 'session') return key.seal(json, bound, context)
    const at = placeOf(context, json.length)
    const known = this.#known.get(at)
    if (known?.keyId === key.id && known.part.context === context && known.part.person === person && known.part.json === json) return known.text
    const text = inOnePiece(key.seal(json, bound, context))
    this.#known.put(at, { part, keyId: key.id, text })
    return text
  }
}

/** Members of a JSON object, ASCII. */
function membersOf(attributes: AuditEvent['attributes'], names: readonly string[]): string {
  const chosen: Record<string, AttributeValue | undefined> = {}
  for (const name of names) chosen[name] = attributes[name]
  return escapeNonAscii(JSON.stringify(chosen).slice(1, -1))
}
