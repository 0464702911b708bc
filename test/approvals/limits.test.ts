// Limits of the policy at work: what one agent may ask is not what another may, and a new policy counts at once.
import t from 'tap'
import type { Scope } from '../support/scope.ts'
import { asking, codeOf, policyOf, World, type WorldOptions } from './world.ts'

const limit = (text: string): string => `${asking}[[network.limits]]\n${text}\n`

/** Two agents whose clients do not wait. */
function worldOf(t: Scope, policy: string, limits: WorldOptions['limits'] = {}): World {
  const world = new World(t, { holdMs: 0, policy, limits })
  world.addSession('ci', { agent: 'ci-7', team: 'web', hold: 0 })
  world.addSession('dev', { agent: 'codex', team: 'api', hold: 0 })
  return world
}

async function answersOf(world: World, session: string, hosts: readonly string[]): Promise<string[]> {
  const answers: string[] = []
  for (const host of hosts) {
    const answer = await world.ask(host, { session }).answer
    answers.push('code' in answer && answer.code !== 'approval_pending' ? `${answer.code}: ${answer.reason}` : codeOf(answer))
  }
  return answers
}

t.test('open questions: the agent that a limit names has fewer than another', async (t) => {
  const world = worldOf(t, limit('agents = ["ci-*"]\nopen_approvals = 1'), { perSession: 2 })
  t.same(await answersOf(world, 'ci', ['a.test', 'b.test', 'a.test']), ['approval_pending', 'approval_limit: this session has reached its limit of open approvals: 1', 'approval_pending'], 'what is open is joined')
  t.same(await answersOf(world, 'dev', ['a.test', 'b.test', 'c.test']), ['approval_pending', 'approval_pending', 'approval_limit: this session has reached its limit of open approvals: 2'])
  const [open] = world.approvals.pending.all()
  t.equal(open?.session, 'ci')
  if (open !== undefined) await world.decide(open, { verdict: 'deny' })
  t.same(await answersOf(world, 'ci', ['b.test']), ['approval_pending'], 'an answer makes room')
})

t.test('new questions in a minute: the team that a limit names has fewer than another', async (t) => {
  const world = worldOf(t, limit('teams = ["web"]\napprovals_per_minute = 1'), { perSessionPerMinute: 2 })
  t.same(await answersOf(world, 'ci', ['a.test', 'b.test']), ['approval_pending', 'approval_rate: this session has reached its limit of new approvals in a minute: 1'])
  t.same(await answersOf(world, 'dev', ['a.test', 'b.test', 'c.test']), ['approval_pending', 'approval_pending', 'approval_rate: this session has reached its limit of new approvals in a minute: 2'])
  world.nowMs += 60_000
  t.same(await answersOf(world, 'ci', ['b.test']), ['approval_pending'])
})

t.test('the settings are the ceiling of what policy leaves', async (t) => {
  const world = worldOf(t, limit('open_approvals = 100\napprovals_per_minute = 100'), { perSession: 1, perSessionPerMinute: 1 })
  t.match(await answersOf(world, 'ci', ['a.test', 'b.test']), ['approval_pending', /^approval_limit: .* 1$/])
  const [open] = world.approvals.pending.all()
  if (open !== undefined) await world.decide(open, { verdict: 'deny' })
  t.match(await answersOf(world, 'ci', ['b.test']), [/^approval_rate: .* 1$/])
})

t.test('a limit of 0 leaves no question at all, and takes nothing from what is allowed', async (t) => {
  for (const [key, code] of [['open_approvals', 'approval_limit'], ['approvals_per_minute', 'approval_rate']] as const) {
    const world = worldOf(t, limit(`agents = ["ci-*"]\n${key} = 0`))
    t.match(await answersOf(world, 'ci', ['a.test', 'allowed.test']), [new RegExp(`^${code}: .*: 0$`), 'admitted'])
    t.same(await answersOf(world, 'dev', ['a.test']), ['approval_pending'])
    t.equal(world.approvals.pending.size, 1, 'the other agent\'s')
  }
})

t.test('a new policy counts for the next question, and withdraws none that is open', async (t) => {
  const world = worldOf(t, asking)
  t.same(await answersOf(world, 'ci', ['a.test', 'b.test']), ['approval_pending', 'approval_pending'])
  world.policy = policyOf(limit('agents = ["ci-*"]\nopen_approvals = 1'))
  world.approvals.policyChanged()
  t.same(await answersOf(world, 'ci', ['b.test', 'c.test']), ['approval_pending', 'approval_limit: this session has reached its limit of open approvals: 1'])
  t.equal(world.approvals.pending.size, 2)
  world.policy = policyOf(asking)
  t.same(await answersOf(world, 'ci', ['c.test']), ['approval_pending'])
})

t.test('new names below a wildcard: one agent has fewer in a minute than another, and is told how many', async (t) => {
  const wide = '[network]\nallowed_domains = ["*.wide.test"]\n[[network.limits]]\nagents = ["ci-*"]\nnew_names_per_minute = 2\n'
  const world = worldOf(t, wide)
  const names = ['a.wide.test', 'b.wide.test', 'c.wide.test', 'a.wide.test']
  const refused = 'name_budget_exceeded: too many new names below the domain of c.wide.test in a minute: the limit of this session is 2'
  t.same(await answersOf(world, 'ci', names), ['admitted', 'admitted', refused, 'admitted'])
  t.same(await answersOf(world, 'dev', names), ['admitted', 'admitted', 'admitted', 'admitted'])
  world.policy = policyOf(wide.replace('= 2', '= 0'))
  t.match(await answersOf(world, 'ci', ['a.wide.test', 'd.wide.test']), ['admitted', /^name_budget_exceeded: .* is 0$/])
  world.policy = policyOf(wide.replace('= 2', '= 0').replace('[network]', '[network]\nmode = "monitor"'))
  t.same(await answersOf(world, 'ci', ['d.wide.test']), ['admitted'], 'monitor mode refuses nothing')
})

t.test('a name that only a grant opened counts as well', async (t) => {
  const world = worldOf(t, limit('agents = ["ci-*"]\nnew_names_per_minute = 1'))
  for (const session of ['ci', 'dev']) {
    t.same(await answersOf(world, session, ['new.test']), ['approval_pending'])
    const [open] = world.approvals.pending.all()
    if (open !== undefined) await world.decide(open, { term: 'session', subdomains: true })
  }
  t.match(await answersOf(world, 'ci', ['a.new.test', 'b.new.test']), ['admitted', /^name_budget_exceeded: .* is 1$/])
  t.same(await answersOf(world, 'dev', ['a.new.test', 'b.new.test']), ['admitted', 'admitted'])
})
