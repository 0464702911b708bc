// Which records a destination is sent. Pure. INVARIANT: what the journal says of itself always passes, so that no
// filter hides a gap, a silence or a change of destination.
import micromatch from 'micromatch'
import { isFiltered, type DestinationFilter } from './destination.ts'
import type { JournalRecord } from './record.ts'

const alwaysPasses = /^sallyport\.(?:audit|process|destination)\./

/** Throws where a pattern cannot be read as one. */
export function createFilter(filter: DestinationFilter): (record: JournalRecord) => boolean {
  if (!isFiltered(filter)) return () => true
  const { verdicts = [], events = [] } = filter
  const wanted: ReadonlySet<unknown> = new Set(verdicts)
  const matchers = events.map((pattern) => micromatch.matcher(pattern))
  return ({ name, attributes }) => alwaysPasses.test(name) || wanted.has(attributes['network.policy.decision']) || matchers.some((matches) => matches(name))
}
