// A second signal counts when a person sent it, not when it is the first one again.
import t from 'tap'
import { StopSignals } from '../../src/cli/stop-signals.ts'

t.test('a second signal within 500 ms is the echo of the first, and a later one insists', async (t) => {
  let now = 1_000
  const signals = new StopSignals({ now: () => now, monotonic: () => now })
  t.equal(signals.take(), 'stop')
  now += 3
  t.equal(signals.take(), 'echo')
  now += 496
  t.equal(signals.take(), 'echo')
  now += 1
  t.equal(signals.take(), 'insist')
})
