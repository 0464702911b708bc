// Waiters, reviewers, reloads, expiry, revocations, disconnects and kill -9 in any order, over real sockets. The long
// version is test/scripts/approval-races.ts.
import t from 'tap'
import { approvalRaces } from '../support/approval-races.ts'
import { effort } from '../support/effort.ts'

const seconds = effort(6, 8)

t.test(`${seconds} s of races over approvals break no promise`, { timeout: 90_000 }, async (t) => {
  let seed = 11
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647
  const { asked, served, decided, reloads, kills, broken } = await approvalRaces(t, seconds, random)
  t.comment(`${asked} asked, ${served} served, ${decided} decided, ${reloads} reloads, ${kills} kills`)
  t.strictSame(broken, [])
  t.ok(asked > 50 && served > 0 && decided > 0 && reloads > 0 && kills > 0, 'and something of everything happened')
})
