// An event whose JSON text was made by its builder: the way of the two events that every exchange has,
// where an object of thirty attributes and its encoding cost more than the decision. Pure. The text is
// all there is: attributes are read back from it, so the two cannot differ.
import { escapeText } from './escape.ts'
import type { AttributeValue, AuditEvent, EventName, Severity } from './event.ts'
import { jsonText } from './json-text.ts'

export interface Prepared {
  readonly name: EventName
  readonly severity: Severity
  /** not yet escaped, of any length */
  readonly body: string
  /** every part of `body` is known to be visible ASCII without `"` and `\` */
  readonly isPlain: boolean
  /** members of a JSON object, ASCII, without its braces */
  readonly attributesJson: string
  readonly session: string | undefined
}

const maxBody = 1024

export class PreparedEvent implements AuditEvent {
  readonly name: EventName
  readonly severity: Severity
  readonly body: string
  readonly session: string | undefined
  readonly #json: string

  constructor({ name, severity, body, isPlain, attributesJson, session }: Prepared) {
    const isSafe = isPlain && body.length <= maxBody
    this.name = name
    this.severity = severity
    this.body = isSafe ? body : escapeText(body, maxBody)
    this.session = session
    this.#json = `"body":"${isSafe ? body : jsonText(this.body)}","attributes":{${attributesJson}}`
  }

  get attributes(): Readonly<Record<string, AttributeValue>> {
    return JSON.parse(`{${this.#json}}`).attributes
  }

  /** `"body":…,"attributes":{…}`, ASCII: as it stands in a line of the journal. */
  get json(): string {
    return this.#json
  }
}
