// Appends decisions as fast as it can and acknowledges each on stdout; the test kills it at any moment.
import { join } from 'node:path'
import { writeSync } from 'node:fs'
import { openJournal } from '../../src/audit/journal.ts'
import { systemClock } from '../../src/clock.ts'
import { decisionOf } from './fixture.ts'

const [dir = '', round = ''] = process.argv.slice(2)
const journal = await openJournal({ dir: join(dir, 'journal'), instanceId: `round-${round}`, clock: systemClock, segmentBytes: 200_000, maxBytes: 2 ** 30, maxAgeMs: 1e12, onFault: (error) => { throw error } })
const worker = async (name: number): Promise<void> => {
  for (let at = 0; ; at++) {
    const id = `r-${round}-${name}-${at}`
    await journal.append(decisionOf(id))
    writeSync(1, `${id}\n`)
  }
}
await Promise.all(Array.from({ length: 8 }, (_, name) => worker(name)))
