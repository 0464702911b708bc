// Reads the events of a server-sent stream whose data is JSON (HTML, 9.2.6), as its text arrives in pieces. What is no
// such event is a fault of the stream and never guessed at.
import { ControlFault } from './control-fault.ts'
import { Members } from './members.ts'

export interface ServerEvent {
  readonly event: string
  readonly data: Members
}

/** Longest line that is kept; what is longer is no event of ours. */
const maxLine = 1 << 20

export class ServerEvents {
  #rest = ''
  #event = ''
  #data: string | undefined

  /** Those that are complete with this piece. Throws ControlFault `unexpected`. */
  take(text: string): readonly ServerEvent[] {
    const found: ServerEvent[] = []
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > maxLine) throw notOurs()
    for (const line of lines) {
      if (line === '') found.push(...this.#dispatch())
      else if (line.startsWith('event:')) this.#event = line.slice(6).trimStart()
      else if (line.startsWith('data:')) this.#data = (this.#data === undefined ? '' : `${this.#data}\n`) + line.slice(5).replace(/^ /, '')
    }
    return found
  }

  #dispatch(): ServerEvent[] {
    const event = this.#event
    const data = this.#data
    this.#event = ''
    this.#data = undefined
    if (data === undefined) return []
    try {
      return [{ event, data: new Members(JSON.parse(data), `event ${event}`) }]
    } catch (error) {
      throw error instanceof SyntaxError ? notOurs() : error
    }
  }
}

function notOurs(): ControlFault {
  return new ControlFault('unexpected', 'the stream is not as expected: is that the control listener of a sallyport of this version?')
}
