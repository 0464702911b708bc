// Reads what is asked about the journal, from the query of a call or of a page. It asks the same as the command line.
import { FilterFault, globFields, RecordFilter, wordFields } from '../audit/record-filter.ts'

/** Texts by the names of the API's query; empty ones ask nothing. */
export type EventWords = { readonly [name in (typeof globFields)[number] | (typeof wordFields)[number] | 'since' | 'until']?: string | undefined }

/** What cannot be asked: which word, and why. */
export class QueryFault extends Error {
  override readonly name = 'QueryFault'
  readonly word: string

  constructor(word: string, message: string) {
    super(message)
    this.word = word
  }
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Throws QueryFault. */
export function readEventQuery(words: EventWords, nowMs: number): RecordFilter {
  const asked = Object.fromEntries([...globFields, ...wordFields].map((field) => [field, words[field] === '' ? undefined : words[field]]))
  const sinceMs = pastMs('since', words.since, nowMs)
  const untilMs = pastMs('until', words.until, nowMs)
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs) throw new QueryFault('since', 'is not before `until`')
  try {
    return new RecordFilter({ ...asked, sinceMs, untilMs })
  } catch (error) {
    if (error instanceof FilterFault) throw new QueryFault(error.field, error.message)
    throw error
  }
}

function pastMs(name: string, text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined || text === '') return undefined
  const [, count, unit = ''] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? []
  const ms = count === undefined ? Date.parse(text) : nowMs - Number(count) * (unitMs[unit] ?? 0)
  if (Number.isNaN(ms) || (count === undefined && !/^\d{4}-\d{2}-\d{2}/.test(text))) throw new QueryFault(name, 'is neither a time (RFC 3339) nor how long ago (15m, 8h, 7d)')
  return ms
}
