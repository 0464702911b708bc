// The options by which commands choose records of the journal: the same words everywhere, and one meaning.
import { FilterFault, globFields, RecordFilter, wordFields } from '../audit/record-filter.ts'
import { UsageError } from './run.ts'
import { readPast } from './time-words.ts'

/** For node:util parseArgs. */
export const filterOptions = {
  host: { type: 'string' },
  agent: { type: 'string' },
  session: { type: 'string' },
  owner: { type: 'string' },
  team: { type: 'string' },
  verdict: { type: 'string' },
  rule: { type: 'string' },
  code: { type: 'string' },
  event: { type: 'string' },
  approval: { type: 'string' },
  request: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
} as const

export const filterOptionsHelp = `  --host GLOB     records about hosts that match: 'api-*', '*.example.com', '*.example.com:8443'
  --agent GLOB    of agents, by name; likewise --session, --owner and --team
  --verdict V     decisions that say allow, deny or ask
  --rule GLOB     decisions of rules with such an id; likewise --code, such as 'dns_*'
  --event GLOB    by the event's name, such as 'approval.*' (docs/events.md)
  --approval ID   of one question; --request ID of one exchange
  --since TIME    from then on, --until TIME before: 15m, 8h, 7d ago, or 2027-01-31T18:00Z
`

export type FilterValues = { readonly [name in keyof typeof filterOptions]?: string | undefined }

/** Throws UsageError for what cannot be asked. */
export function readFilter(values: FilterValues, nowMs: number): RecordFilter {
  const sinceMs = values.since === undefined ? undefined : readPast('--since', values.since, nowMs)
  const untilMs = values.until === undefined ? undefined : readPast('--until', values.until, nowMs)
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs) throw new UsageError('--since is not before --until')
  try {
    return new RecordFilter({ ...values, sinceMs, untilMs })
  } catch (error) {
    if (error instanceof FilterFault) throw new UsageError(`\`--${error.field} ${values[error.field] ?? ''}\` ${error.message}`)
    throw error
  }
}

/** What was asked, as one would type it; empty: nothing. */
export function askedText(values: FilterValues): string {
  return [...globFields, ...wordFields, 'since' as const, 'until' as const].flatMap((name) => (values[name] === undefined ? [] : [`--${name} ${values[name]}`])).join(' ')
}
