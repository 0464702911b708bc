// kill -9 under load at random moments: no decision that a client heard of is missing. The long version is
// test/scripts/kill-rounds.ts.
import t from 'tap'
import { killRounds } from '../support/kill-rounds.ts'
import { strictOrigin } from '../support/strict-origin.ts'

const rounds = 20

t.test(`${rounds} rounds of kill -9 under load lose no decision that anybody heard of`, { timeout: 100_000 }, async (t) => {
  const origin = await strictOrigin(t)
  const targets = (): readonly string[] => origin.requests.map(({ target }) => target)
  let seed = 7
  // a small generator, so that a failure comes back
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647
  const result = await killRounds(t, rounds, { port: origin.port, targets }, random)
  t.strictSame(result.missing, [])
  t.strictSame(result.unexplained, [], 'and no request left without its decision')
  t.equal(result.fault, undefined)
  t.ok(result.heard > rounds, `${result.heard} decisions heard`)
})
