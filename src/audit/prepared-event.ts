// An event whose JSON text was made by its builder: the way of the two events that every exchange has,
// where an object of thirty attributes and its encoding cost more than the decision. Pure. The text is
// all there is: attributes are read back from it, so the two cannot differ.
import { escapeText } from './escape.ts'
import type { AttributeValue, AuditEvent, EventName, Severity } from './event.ts'
import { jsonText } from './json-text.ts'
import type { Bound } from './sealed-text.ts'

export interface Prepared {
  readonly name: EventName
  readonly severity: Severity
  /** from `shownBody` */
  readonly body: string
  /** `eventStart`, members of a JSON object, ASCII, and `eventEnd`; or what is whose */
  readonly json: string | SplitJson
  readonly session: string | undefined
}

/** What belongs to one person, as JSON members without a comma before them. */
export interface OwnPart {
  readonly person: string
  readonly bound: Bound
  /** what `contextOf` reads from the record */
  readonly context: string
  readonly json: string
}

/** The JSON of an event in which something belongs to people. */
export interface SplitJson {
  /** `eventStart` */
  readonly start: string
  /** the same with `{attribute}` in the place of what is sealed; `start` itself where the body holds none of it */
  readonly sealedStart: string
  /** members behind `start`, ASCII */
  readonly front: string
  /** behind a comma each between `front` and `back`, or sealed in their place */
  readonly parts: readonly OwnPart[]
  /** members, each behind a comma, and `eventEnd` */
  readonly back: string
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
  readonly #json: string | SplitJson

  constructor({ name, severity, body, json, session }: Prepared) {
    this.name = name
    this.severity = severity
    this.body = body
    this.session = session
    this.#json = json
  }

  get attributes(): Readonly<Record<string, AttributeValue>> {
    return JSON.parse(`{${this.json}}`).attributes
  }

  /** `"body":…,"attributes":{…}`, ASCII: as it stands in a line of the journal where nothing is sealed. */
  get json(): string {
    if (typeof this.#json === 'string') return this.#json
    const { start, front, parts, back } = this.#json
    return start + front + parts.map(({ json }) => `,${json}`).join('') + back
  }

  /** What is whose; undefined: nothing in it is anybody's. */
  get split(): SplitJson | undefined {
    return typeof this.#json === 'string' ? undefined : this.#json
  }
}
