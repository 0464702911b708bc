import t from 'tap'
import { ServerEvents } from '../../src/cli/server-events.ts'
import * as fc from '../support/property.ts'

t.test('events are the same in whatever pieces they come', async () => {
  const told = fc.array(fc.record({ event: fc.stringMatching(/^[a-z]{1,8}$/), data: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.string()) }), { maxLength: 5 })
  await fc.assert(fc.asyncProperty(told, fc.integer({ min: 1, max: 20 }), async (events, size) => {
    const text = `retry: 2000\n\n${events.map(({ event, data }) => `:\n\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('')}`
    const reader = new ServerEvents()
    const found: unknown[] = []
    for (let at = 0; at < text.length; at += size) for (const { event, data } of reader.take(text.slice(at, at + size))) found.push({ event, data: data.json })
    return JSON.stringify(found) === JSON.stringify(events.map(({ event, data }) => ({ event, data: JSON.parse(JSON.stringify(data)) })))
  }))
})

t.test('what is no event of ours is a fault', async (t) => {
  for (const text of ['event: done\ndata: no json\n\n', 'event: done\ndata: 3\n\n', 'x'.repeat(1_100_000)]) t.throws(() => new ServerEvents().take(text), { code: 'unexpected' }, text.slice(0, 40))
  t.strictSame(new ServerEvents().take(':\n\nevent: half\ndata: {"a"'), [])
})
