// Erases what there is of a person: ends what it has under way, destroys its keys, so that what is sealed with them in
// the journal, in its copies and in its backups cannot be read any more, and takes the rest out of the data folder.
// INVARIANT: once keys are destroyed their files name the person until all of this is done, so that a crash between
// is made good at the next start; and what is said of an erasure names nobody.
import type { AuditSink } from './event.ts'
import { forgetInFiles, isNamedIn } from './journal-leftovers.ts'
import { forgetOwner } from './record-index.ts'
import { personKeyOf } from './personal.ts'
import type { PersonKeys } from './person-keys.ts'
import { listSegments, readLines } from './segments.ts'
import { erasedEvent, type ErasureCounts } from './service-events.ts'

export type { ErasureCounts } from './service-events.ts'

/** Something that holds things about people. Every method throws what its store throws. */
export interface PersonalPlace {
  /** Ends what the person has under way; resolves when its last events are on their way to the journal. */
  end?(person: string, by: string | undefined): Promise<void>
  count(person: string): Promise<Partial<ErasureCounts>>
  /** Takes it out of memory and off the disk, and says what there was. */
  scrub(person: string): Promise<Partial<ErasureCounts>>
}

export interface ErasureOptions {
  /** DATA/journal */
  readonly journalDir: string
  readonly journal: AuditSink & { flush(): Promise<void> }
  readonly keys: PersonKeys
  readonly places: readonly PersonalPlace[]
  readonly onFault: (error: unknown) => void
}

export interface Erased {
  /** ids of the destroyed keys */
  readonly keys: readonly string[]
  readonly counts: ErasureCounts
}

const none: ErasureCounts = { records: 0, unsealed: 0, sessions: 0, approvals: 0, grants: 0, tokens: 0, others: 0 }

export class Erasure {
  readonly #options: ErasureOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: ErasureOptions) {
    this.#options = options
  }

  /** What an erasure would find. */
  async look(person: string): Promise<ErasureCounts> {
    const { places, journalDir, keys } = this.#options
    const counts: Partial<ErasureCounts>[] = [await countRecords(journalDir, person, keys.idsOf(person)), { others: await forgetInFiles(journalDir, person, false) }]
    for (const place of places) counts.push(await place.count(person))
    return sumOf(counts)
  }

  /** Erases; once more for the same person does no harm. One at a time. `by`: who wants it, for what ends because of it.
   * Rejects with ProxyError `audit_unavailable`, ReviewFault, or what a store throws: what was not done then is done by
   * the next try, or at the next start. */
  erase(person: string, by: string | undefined): Promise<Erased> {
    const erased = this.#last.then(() => this.#erase(person, by))
    this.#last = erased.catch(() => undefined)
    return erased
  }

  /** Goes on with erasures that a crash cut short. Nobody waits for one that fails: it stays for the next start. */
  async resume(): Promise<void> {
    for (const person of this.#options.keys.unfinished()) {
      try {
        await this.erase(person, undefined)
      } catch (error) {
        this.#options.onFault(new Error('an erasure that was cut short could not be finished; it is tried again at the next start', { cause: error }))
      }
    }
  }

  async #erase(person: string, by: string | undefined): Promise<Erased> {
    const { places, journal, journalDir, keys } = this.#options
    const before = keys.idsOf(person)
    for (const place of places) await place.end?.(person, by)
    await journal.flush()
    const records = await countRecords(journalDir, person, before)
    const ids = keys.destroy(person)
    const counts: Partial<ErasureCounts>[] = [records, { others: await forgetInFiles(journalDir, person, true) }]
    for (const place of places) counts.push(await place.scrub(person))
    // last: what was being indexed when the key went is in it by now
    forgetOwner(journalDir, person)
    const sum = sumOf(counts)
    await journal.append(erasedEvent(ids, sum))
    await journal.flush()
    keys.forget(ids)
    return { keys: ids, counts: sum }
  }
}

function sumOf(counts: readonly Partial<ErasureCounts>[]): ErasureCounts {
  return counts.reduce<ErasureCounts>((sum, each) => ({
    records: sum.records + (each.records ?? 0),
    unsealed: sum.unsealed + (each.unsealed ?? 0),
    sessions: sum.sessions + (each.sessions ?? 0),
    approvals: sum.approvals + (each.approvals ?? 0),
    grants: sum.grants + (each.grants ?? 0),
    tokens: sum.tokens + (each.tokens ?? 0),
    others: sum.others + (each.others ?? 0),
  }), none)
}

/** Records that are sealed with these keys, and those that name the person in the clear. Lines are looked at as they are. */
async function countRecords(journalDir: string, person: string, ids: readonly string[]): Promise<Pick<ErasureCounts, 'records' | 'unsealed'>> {
  let records = 0
  let unsealed = 0
  const folded = personKeyOf(person)
  for (const { path } of await listSegments(journalDir)) {
    for await (const { text } of readLines(path)) {
      if (ids.some((id) => text.includes(id) && !text.includes('"name":"sallyport.audit.erased"'))) records++
      if (isNamedIn(text, folded)) unsealed++
    }
  }
  return { records, unsealed }
}
