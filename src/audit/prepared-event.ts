// An event whose JSON text was made by its builder: the way of the two events that every exchange has,
// where an object of thirty attributes and its encoding cost more than the decision. Pure. The text is
// all there is: attributes are read back from it, so the two cannot differ.
import { escapeText } from './escape.ts'
import type { AttributeValue, AuditEvent, EventName, Severity } from './event.ts'
import { jsonText } from './json-text.ts'

export interface Prepared {
  readonly name: EventName
  readonly severity: Severity
  /** from `shownBody` */
  readonly body: string
  /** `eventStart`, members of a JSON object, ASCII, and `eventEnd` */
  readonly json: string
  readonly session: string | undefined
}

const maxBody = 1024

/** A body as it is shown, and what stands between its quotes in JSON. `isPlain`: every part of it is known to be
 * visible ASCII without `"` and `\`. */
export function shownBody(body: string, isPlain: boolean): { readonly body: string; readonly json: string } {
  if (isPlain && body.length <= maxBody) return { body, json: body }
  const shown = escapeText(body, maxBody)
  return { body: shown, json: jsonText(shown) }
}

/** What stands before the attributes; `bodyJson` is from `shownBody`. */
export function eventStart(bodyJson: string): string {
  return `"body":"${bodyJson}","attributes":{`
}

/** What stands behind them. */
export const eventEnd = '}'

export class PreparedEvent implements AuditEvent {
  readonly name: EventName
  readonly severity: Severity
  readonly body: string
  readonly session: string | undefined
  readonly #json: string

  constructor({ name, severity, body, json, session }: Prepared) {
    this.name = name
    this.severity = severity
    this.body = body
    this.session = session
    this.#json = json
  }

  get attributes(): Readonly<Record<string, AttributeValue>> {
    return JSON.parse(`{${this.#json}}`).attributes
  }

  /** `"body":…,"attributes":{…}`, ASCII: as it stands in a line of the journal. */
  get json(): string {
    return this.#json
  }
}
