// Reads the members of a JSON object whose shape is promised and not trusted: what is not as promised is a
// fault that names the member, never a crash further on.
import { escapeText } from '../audit/escape.ts'
import { ControlFault, isObject } from './control-fault.ts'

/** Every method throws ControlFault `unexpected`. null and absent are the same. */
export class Members {
  readonly #object: Readonly<Record<string, unknown>>
  readonly #what: string

  constructor(value: unknown, what: string) {
    if (!isObject(value)) throw unexpected(what)
    this.#object = value
    this.#what = what
  }

  text(name: string): string {
    const value = this.#object[name]
    if (typeof value !== 'string') throw this.#wrong(name)
    return value
  }

  optionalText(name: string): string | undefined {
    return this.#isAbsent(name) ? undefined : this.text(name)
  }

  number(name: string): number {
    const value = this.#object[name]
    if (typeof value !== 'number') throw this.#wrong(name)
    return value
  }

  optionalNumber(name: string): number | undefined {
    return this.#isAbsent(name) ? undefined : this.number(name)
  }

  flag(name: string): boolean {
    const value = this.#object[name]
    if (typeof value !== 'boolean') throw this.#wrong(name)
    return value
  }

  optionalFlag(name: string): boolean | undefined {
    return this.#isAbsent(name) ? undefined : this.flag(name)
  }

  /** A time as `ms` since the epoch. */
  time(name: string): number {
    const ms = Date.parse(this.text(name))
    if (Number.isNaN(ms)) throw this.#wrong(name)
    return ms
  }

  optionalTime(name: string): number | undefined {
    return this.#isAbsent(name) ? undefined : this.time(name)
  }

  object(name: string): Members {
    return new Members(this.#object[name], `${this.#what}.${name}`)
  }

  optionalObject(name: string): Members | undefined {
    return this.#isAbsent(name) ? undefined : this.object(name)
  }

  /** Absent counts as empty. */
  objects(name: string): Members[] {
    return this.#array(name).map((each) => new Members(each, `${this.#what}.${name}`))
  }

  /** Absent counts as empty. */
  texts(name: string): string[] {
    return this.#array(name).map((each) => {
      if (typeof each !== 'string') throw this.#wrong(name)
      return each
    })
  }

  /** The object itself, as it was sent. */
  get json(): Readonly<Record<string, unknown>> {
    return this.#object
  }

  #array(name: string): readonly unknown[] {
    const value = this.#object[name]
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw this.#wrong(name)
    return value
  }

  #isAbsent(name: string): boolean {
    return this.#object[name] === undefined || this.#object[name] === null
  }

  #wrong(name: string): ControlFault {
    return unexpected(`${this.#what}.${name}`)
  }
}

function unexpected(what: string): ControlFault {
  return new ControlFault('unexpected', `the answer is not as expected at \`${escapeText(what, 100)}\`: is that the control listener of a sallyport of this version?`)
}
