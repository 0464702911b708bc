// Two reviewers at the same moment: one decision, one outcome, and the other hears that it came too late.
import t from 'tap'
import { connectBytes, problemIn, sent, startAsking } from '../support/ask-world.ts'
import { ControlClient } from '../support/control.ts'

t.test('of a yes and a no at the same moment one is made and the other is 409, a hundred times over', async (t) => {
  const tries = 100
  const limits = { perSession: tries, perSessionPerMinute: tries, total: tries * 2 }
  const { proxy, control } = await startAsking(t, 8443, { flags: { control: '127.0.0.1:0' }, change: (settings) => ({ ...settings, approvals: { ...settings.approvals, ...limits } }) })
  const reviewers = await Promise.all(['ann', 'bob'].map((name) => control.createToken({ name, role: 'reviewer' })))
  const clients = await Promise.all(Array.from({ length: tries }, (_, at) => sent(t, proxy, connectBytes(`h${at}.race.test:443`))))
  let approvals = await control.approvals()
  while (approvals.filter(({ waiting }) => waiting === 1).length < tries) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    approvals = await control.approvals()
  }
  const api = new ControlClient(proxy.control)
  const won = new Map<string, string | undefined>()
  for (const [at, approval] of approvals.entries()) {
    const verdicts = at % 2 === 0 ? (['allow', 'deny'] as const) : (['deny', 'allow'] as const)
    const answers = await Promise.all(verdicts.map((verdict, who) => api.answer(approval, { verdict, term: 'session' }, { authorization: `Bearer ${reviewers[who]}` })))
    t.strictSame(answers.map(({ status }) => status).toSorted((one, other) => one - other), [200, 409], approval.host)
    t.match(answers.find(({ status }) => status === 409)?.body, { code: 'already_decided', approval: { id: approval.id } })
    won.set(approval.host, verdicts[answers.findIndex(({ status }) => status === 200)])
  }
  const decided = proxy.records().filter(({ name }) => name === 'sallyport.approval.decided')
  t.strictSame(decided.map(({ attributes }) => attributes['sallyport.approval.id']), approvals.map(({ id }) => id), 'one decision for each')
  const kept = new Map((await control.approvals('')).map(({ host, decision }) => [host, decision?.verdict]))
  t.strictSame(kept, won)
  for (const { host } of approvals) {
    const answer = await clients[Number(/\d+/.exec(host)?.[0])]?.next()
    t.equal(problemIn(answer?.body)['code'], won.get(host) === 'allow' ? 'dns_failed' : 'approval_denied', `${host}: its client hears what was decided`)
  }
})
