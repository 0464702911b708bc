// Records for the control plane: by number from the files at once, everything else from the worker that has the index.
import type { JournalEvents } from './journal-events.ts'
import type { JournalSearcher } from './journal-searcher.ts'
import type { Search, SearchAnswer } from './record-search.ts'

export type EventPage = Pick<SearchAnswer, 'records' | 'lookedTo'>
export type EventSearch = (search: Search) => Promise<EventPage>

/** Rejects as `JournalSearcher.search`. What asks for nothing but numbers needs neither index nor worker. */
export function eventSearch(events: Pick<JournalEvents, 'read' | 'latest'>, searcher: Pick<JournalSearcher, 'search'>): EventSearch {
  return async (search) => {
    const { question, scope, from, limit, afterSeq, beforeSeq } = search
    const isByNumber = scope === undefined && beforeSeq === undefined && Object.values(question).every((asked) => asked === undefined)
    if (!isByNumber || (from === 'newest' && afterSeq !== undefined)) return searcher.search(search)
    const records = from === 'newest' ? await events.latest(limit) : await events.read(afterSeq ?? 0, limit)
    return { records, lookedTo: records.length < limit ? undefined : records.at(from === 'newest' ? 0 : -1)?.seq }
  }
}
