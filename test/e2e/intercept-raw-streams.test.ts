// A few hundred streams of fragments, noise, cuts and resets inside TLS; the long version is test/scripts/raw-streams.ts.
import t from 'tap'
import { effort } from '../support/effort.ts'
import { insideStreams } from '../support/raw-streams.ts'

const streams = effort(150, 300)

t.test(`${streams} raw streams inside TLS leave the proxy serving, the journal whole and nothing dialled undecided`, { timeout: 60_000 }, async (t) => {
  const result = await insideStreams(t, streams, process.env.CI === undefined ? Math.floor(Math.random() * 2 ** 31) : 97)
  t.strictSame(result.faults, [])
  t.equal(result.streams, streams)
  t.ok(result.requests > 10 && result.answered > streams / 4, `${result.answered} answered, ${result.requests} reached the origin`)
})
