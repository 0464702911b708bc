// Which records a person or a program asks for: by host, agent, session, rule, time and so on. Pure. Everything that
// reads the journal asks through this, so that a question means the same on the command line, in the control API, of a
// destination and with the index. It chooses what is shown, and decides about no request.
import { compileGlob } from './glob.ts'
import { escapeNonAscii } from './json-text.ts'
import { verdicts } from '../policy/decision.ts'
import type { JournalRecord } from './record.ts'

/** All that is given has to hold. Texts are globs (`*`, `?`, `[…]`, `{a,b}`, a `!` in front), without regard to
 * case; `verdict`, `approval` and `request` are whole words. */
export interface RecordQuestion {
  /** `server.address`; with a port behind it (`*.example.com:8443`) that too */
  readonly host?: string | undefined
  readonly agent?: string | undefined
  readonly session?: string | undefined
  /** `user.name` */
  readonly owner?: string | undefined
  readonly team?: string | undefined
  /** allow, deny or ask: of decisions */
  readonly verdict?: string | undefined
  /** `security_rule.name` */
  readonly rule?: string | undefined
  /** `sallyport.code` */
  readonly code?: string | undefined
  /** name of the event, `sallyport.` left out or not */
  readonly event?: string | undefined
  readonly approval?: string | undefined
  readonly request?: string | undefined
  /** wall clock, `ms`: not before */
  readonly sinceMs?: number | undefined
  /** wall clock, `ms`: before */
  readonly untilMs?: number | undefined
}

export const globFields = ['host', 'agent', 'session', 'owner', 'team', 'rule', 'code', 'event'] as const
export type GlobField = (typeof globFields)[number]
export const wordFields = ['verdict', 'approval', 'request'] as const
export type WordField = (typeof wordFields)[number]

/** Thrown for a question that cannot be asked. */
export class FilterFault extends Error {
  override readonly name = 'FilterFault'
  readonly field: GlobField | WordField

  constructor(field: GlobField | WordField, message: string) {
    super(message)
    this.field = field
  }
}

/** A text and the test that it stands for. */
export interface Glob {
  readonly text: string
  /** nothing in it stands for more than itself */
  readonly isLiteral: boolean
  readonly matches: (value: string) => boolean
}

const attributeOf: Readonly<Record<Exclude<GlobField, 'event'>, string>> = {
  host: 'server.address',
  agent: 'gen_ai.agent.name',
  session: 'session.id',
  owner: 'user.name',
  team: 'sallyport.team',
  rule: 'security_rule.name',
  code: 'sallyport.code',
}

// a call of the control API names the question that it answers as its subject
const wordAttributes: Readonly<Record<WordField, readonly string[]>> = {
  verdict: ['network.policy.decision'],
  approval: ['sallyport.approval.id', 'sallyport.subject.id'],
  request: ['sallyport.request.id'],
}

/** What a glob is held against; undefined: the record has none, and fits no glob. Of a host with its port. */
export function valueOf({ name, attributes }: JournalRecord, field: GlobField): string | undefined {
  if (field === 'event') return shortName(name)
  const value = attributes[attributeOf[field]]
  if (typeof value !== 'string') return undefined
  return field === 'host' ? `${value}:${String(attributes['server.port'] ?? '')}` : value
}

/** The word that a record answers to. */
export function wordOf({ attributes }: JournalRecord, field: WordField): string | undefined {
  for (const name of wordAttributes[field]) {
    const value = attributes[name]
    if (typeof value === 'string') return value
  }
  return undefined
}

const maxText = 256
const maxStars = 4
const namePrefix = 'sallyport.'

export class RecordFilter {
  /** as it was asked */
  readonly question: RecordQuestion
  readonly globs: ReadonlyMap<GlobField, Glob>
  readonly words: ReadonlyMap<WordField, string>
  /** the host's is one of host and port */
  readonly #hasPort: boolean
  readonly #since: string
  readonly #until: string
  readonly #patterns: readonly RegExp[]

  /** Throws FilterFault. */
  constructor(question: RecordQuestion) {
    this.question = question
    const globs = new Map<GlobField, Glob>()
    for (const field of globFields) {
      const text = question[field]
      if (text !== undefined) globs.set(field, globOf(field, field === 'event' ? shortName(text) : text))
    }
    const words = new Map<WordField, string>()
    for (const field of wordFields) {
      const text = question[field]
      if (text !== undefined) words.set(field, checkedWord(field, text))
    }
    this.globs = globs
    this.#hasPort = namesPort(question.host ?? '')
    this.words = words
    this.#since = boundText(question.sinceMs, '')
    this.#until = boundText(question.untilMs, '~')
    this.#patterns = [...globs].flatMap(([field, glob]) => linePattern(field, glob, this.#hasPort))
  }

  /** Nothing was asked: every record fits. */
  get isEmpty(): boolean {
    const { sinceMs, untilMs } = this.question
    return this.globs.size === 0 && this.words.size === 0 && sinceMs === undefined && untilMs === undefined
  }

  matches(record: JournalRecord): boolean {
    if (!this.#isInTime(record.time)) return false
    for (const [field, word] of this.words) if (wordOf(record, field) !== word) return false
    for (const field of this.globs.keys()) {
      const value = valueOf(record, field)
      if (value === undefined || !this.fits(field, value)) return false
    }
    return true
  }

  /** Whether a value, as `valueOf` has it, fits what is asked of that field. */
  fits(field: GlobField, value: string): boolean {
    const glob = this.globs.get(field)
    return glob === undefined || glob.matches(field === 'host' && !this.#hasPort ? value.slice(0, value.lastIndexOf(':')) : value)
  }

  /** Whether a line can be a record that fits; much cheaper than to read it, and it may say yes too often. What may be
   * sealed in the journal, the owner, is not looked at. */
  mayMatch(line: string): boolean {
    const at = line.indexOf(timeStart)
    if (at !== -1 && !this.#isInTime(line.slice(at + timeStart.length, at + timeStart.length + isoLength))) return false
    for (const [field, word] of this.words) if (!wordAttributes[field].some((name) => line.includes(`"${name}":${jsonWord(word)}`))) return false
    return this.#patterns.every((pattern) => pattern.test(line))
  }

  #isInTime(time: string): boolean {
    return time >= this.#since && time < this.#until
  }
}

/** Whether a glob of hosts is one of host and port; an IPv6 address has more than one colon. */
export function namesPort(glob: string): boolean {
  return /^[^:]*:(?:\d+|\*)$/.test(glob)
}

const timeStart = '"time":"'
const isoLength = '2027-01-31T18:00:00.000Z'.length
const lastDateMs = 253_402_300_799_999

/** Times of the journal are all of one form, so that their order is that of their texts. */
function boundText(ms: number | undefined, absent: string): string {
  if (ms === undefined) return absent
  return ms <= 0 ? '' : new Date(Math.min(Math.ceil(ms), lastDateMs)).toISOString()
}

function globOf(field: GlobField, text: string): Glob {
  if (text === '' || text === '!') throw new FilterFault(field, 'is empty')
  if (text.length > maxText) throw new FilterFault(field, `is longer than ${maxText} characters`)
  if (/[()]/.test(text)) throw new FilterFault(field, 'holds a parenthesis: globs here have `*`, `?`, `[…]`, `{a,b}` and a `!` in front')
  if (text.replace(/\*+/g, '*').split('*').length > maxStars + 1) throw new FilterFault(field, `has more than ${maxStars} \`*\``)
  return { text, isLiteral: /^[\w.:@ -]+$/.test(text), matches: compileGlob(text) }
}

function checkedWord(field: WordField, text: string): string {
  if (field === 'verdict' && !verdicts.some((verdict) => verdict === text)) throw new FilterFault(field, 'is not allow, deny or ask')
  if (text === '' || text.length > maxText) throw new FilterFault(field, text === '' ? 'is empty' : `is longer than ${maxText} characters`)
  return text
}

function jsonWord(word: string): string {
  return escapeNonAscii(JSON.stringify(word))
}

/** `decision` of `sallyport.decision`; a `!` in front stays there. */
function shortName(name: string): string {
  if (name.startsWith('!')) return `!${shortName(name.slice(1))}`
  return name.startsWith(namePrefix) ? name.slice(namePrefix.length) : name
}

/** What a line must hold for a glob that stands for one plain text. */
function linePattern(field: GlobField, { text, isLiteral }: Glob, hasPort: boolean): readonly RegExp[] {
  if (!isLiteral || field === 'owner' || !/^[\w.:-]+$/.test(text)) return []
  if (field === 'event') return [new RegExp(`"name":"(?:${RegExp.escape(namePrefix)})?${RegExp.escape(text)}"`, 'i')]
  const value = field === 'host' && hasPort ? text.slice(0, text.lastIndexOf(':')) : text
  return [new RegExp(`"${RegExp.escape(attributeOf[field])}":"${RegExp.escape(value)}"`, 'i')]
}
