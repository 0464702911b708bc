// What is remembered of the index, beside a plain map: no key is answered with what another has, and what is taken back
// is gone, whichever places they fall on.
import t from 'tap'
import type { CachedResponse, CacheKey } from '../../src/cache/cached-response.ts'
import { RecentEntries } from '../../src/cache/recent-entries.ts'
import * as fc from '../support/property.ts'
import { entryOf } from './entries.ts'

// few, and alike enough to fall on one place: the same length and end
const key: fc.Arbitrary<CacheKey> = fc.record({
  shelf: fc.constantFrom('web', 'live'),
  partition: fc.constantFrom('common', 'team:a', 'team:b', 'teamless'),
  url: fc.constantFrom('http://a.test/', 'http://b.test/', 'http://a.test/1xyz', 'http://a.test/2xyz', 'http://a.test/longer', '/', ''),
})
// a heavy one is not among the last few
const found = fc.constantFrom<readonly CachedResponse[]>([], [entryOf()], [entryOf({ id: 2 }), entryOf({ id: 3 })], [entryOf({ id: 4, fields: ['X', 'x'.repeat(20_000)] })])
const steps = fc.array(fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('get' as const), key }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('set' as const), key, found }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('clear' as const) }) },
), { maxLength: 60 })

t.test('whatever is done in whatever order, it knows what a map knows', async () => {
  fc.assert(fc.property(steps, (done) => {
    const recent = new RecentEntries()
    const model = new Map<string, readonly CachedResponse[]>()
    for (const step of done) {
      const name = step.what === 'clear' ? '' : JSON.stringify([step.key.shelf, step.key.partition, step.key.url])
      if (step.what === 'set') {
        recent.set(step.key, step.found)
        model.set(name, step.found)
      } else if (step.what === 'delete') {
        recent.delete(step.key)
        model.delete(name)
      } else if (step.what === 'clear') {
        recent.clear()
        model.clear()
      } else if (recent.get(step.key) !== model.get(name)) {
        throw new Error(`${name} has what it has not`)
      }
    }
  }))
})
