// The promises of the enforcement point: no answer without a journaled decision, and a deny for
// everything that is thrown, missing or beyond our means.
import t from 'tap'
import type { AuditEvent } from '../../src/audit/event.ts'
import { ProxyError } from '../../src/errors.ts'
import { Admitted, Vetted } from '../../src/gate/admitted.ts'
import type { Exchange } from '../../src/gate/exchange.ts'
import { Gate, type GateOptions } from '../../src/gate/gate.ts'
import { NameBudget } from '../../src/gate/name-budget.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Facts } from '../../src/policy/facts.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { parseIp, type IpAddress } from '../../src/target/address.ts'
import { parseHost } from '../../src/target/host.ts'

const clock = { now: () => 0, monotonic: () => 0 }

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

const allowing = policyOf('[network]\nunknown = "deny"\nallowed_domains = ["allowed.test", "**.wide.test"]\ndenied_domains = ["203.0.113.0/24"]\n')

function exchangeOf(change: Partial<Facts> = {}): Exchange {
  const facts: Facts = {
    stage: 'connect', scheme: 'https', host: parseHost('allowed.test'), port: 443, method: undefined, path: undefined, query: undefined, upgrade: undefined,
    principal: { session: 'anonymous', agent: 'local', team: undefined, owner: undefined }, ...change,
  }
  return { id: 'id', facts, client: { address: '127.0.0.1', port: 1, advisory: true }, protocol: 'https_connect', userAgent: undefined, startedMs: 0 }
}

function gateWith(change: Partial<GateOptions> = {}) {
  const events: AuditEvent[] = []
  const faults: unknown[] = []
  const gate = new Gate({
    policy: () => allowing,
    audit: { append: async (event) => void events.push(event), overQuota: () => false },
    redaction: { url: 'path', key: new Uint8Array(32) },
    clock,
    surroundings: () => ({ ownPorts: [3128], ownAddresses: [], onlyLoopback: true }),
    nameBudget: new NameBudget(clock, 2),
    usesParent: false,
    parentResolves: false,
    onFault: (error) => faults.push(error),
    onVerdict: () => {},
    ...change,
  })
  return { gate, events, faults }
}

function address(text: string): IpAddress {
  const ip = parseIp(text)
  if (ip === undefined) throw new Error(text)
  return ip
}

function codeOf(answer: Admitted | Vetted | { readonly code: string }): string {
  return 'code' in answer ? answer.code : 'admitted'
}

t.test('an allowed exchange is admitted after its decision is journaled, and not before', async (t) => {
  let written: () => void = () => {}
  const { gate } = gateWith({ audit: { append: () => new Promise((resolve) => (written = resolve)), overQuota: () => false } })
  let answer: unknown
  const admitting = gate.admit(exchangeOf()).then((value) => (answer = value))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(answer, undefined, 'the journal has not taken it yet')
  written()
  await admitting
  t.ok(answer instanceof Admitted)
})

t.test('what the journal does not take is refused, whatever policy says', async (t) => {
  const full = new ProxyError('audit_unavailable', 'disk full')
  for (const append of [() => Promise.reject(full), () => Promise.reject(new Error('a fault'))]) {
    const { gate } = gateWith({ audit: { append, overQuota: () => false } })
    t.equal(codeOf(await gate.admit(exchangeOf())), 'audit_unavailable')
    t.equal(codeOf(await gate.admit(exchangeOf({ host: parseHost('unknown.test') }))), 'audit_unavailable')
  }
  const { gate, events } = gateWith({ audit: { append: async (event) => void events.push(event), overQuota: () => true } })
  t.equal(codeOf(await gate.admit(exchangeOf())), 'audit_unavailable', 'and so is a session beyond its quota')
})

t.test('without a valid policy, or when evaluating throws, the answer is a deny', async (t) => {
  t.equal(codeOf(await gateWith({ policy: () => undefined }).gate.admit(exchangeOf())), 'policy_unavailable')
  const broken = { ...allowing, get rules(): never { throw new Error('broken') }, get index(): never { throw new Error('broken') } }
  const { gate, events } = gateWith({ policy: () => broken })
  t.not(codeOf(await gate.admit(exchangeOf())), 'admitted')
  t.equal(events[0]?.attributes['network.policy.decision'], 'deny')
})

t.test('one forbidden address refuses the name, with an event of its own before the answer', async (t) => {
  const { gate, events } = gateWith()
  const admitted = await gate.admit(exchangeOf())
  if (!(admitted instanceof Admitted)) throw new Error('not admitted')
  t.ok((await gate.admitAddresses(admitted, [address('93.184.215.14')])) instanceof Vetted)
  t.equal(events.length, 1, 'an address that is fine is not an event')
  t.equal(codeOf(await gate.admitAddresses(admitted, [address('93.184.215.14'), address('10.0.0.1')])), 'dns_mixed')
  t.equal(codeOf(await gate.admitAddresses(admitted, [address('169.254.169.254')])), 'ip_denied')
  t.strictSame(events.slice(1).map((event) => event.attributes['sallyport.stage']), ['address', 'address'])
})

t.test('rules that look inside the request oblige its tunnel to be looked into', async (t) => {
  const policy = policyOf('[network]\n[[network.rules]]\nid = "r"\nhosts = ["api.test", "api.test:80"]\nmethods = ["GET"]\nverdict = "allow"\n')
  const { gate } = gateWith({ policy: () => policy })
  const tunnel = await gate.admit(exchangeOf({ host: parseHost('api.test') }))
  t.equal(tunnel instanceof Admitted && tunnel.decision.obligations.inspect, 'intercept')
  t.equal(codeOf(await gate.admit(exchangeOf({ host: parseHost('api.test'), port: 80, scheme: 'http' }))), 'admitted')
})

t.test('in monitor mode the tunnel goes on and the event says what enforce would have done', async (t) => {
  const policy = policyOf('[network]\nmode = "monitor"\nunknown = "deny"\n')
  const { gate, events } = gateWith({ policy: () => policy })
  const admitted = await gate.admit(exchangeOf({ host: parseHost('unknown.test') }))
  t.ok(admitted instanceof Admitted)
  t.match(JSON.stringify(events[0]), /not_allowed/)
  if (admitted instanceof Admitted) t.equal(await gate.judgeTunnel(admitted, 'name_mismatch', 'another name'), undefined)
  t.match(JSON.stringify(events[1]), /name_mismatch/)
})

t.test('a policy that forbids the parent proxy denies everything while settings name one', async (t) => {
  const policy = policyOf('[network]\nallowed_domains = ["allowed.test"]\nallow_upstream_proxy = false\n')
  t.equal(codeOf(await gateWith({ policy: () => policy, usesParent: true }).gate.admit(exchangeOf())), 'parent_forbidden')
  t.equal(codeOf(await gateWith({ policy: () => policy }).gate.admit(exchangeOf())), 'admitted')
})

t.test('new names below a wildcard are budgeted, names that a rule spells out are not', async (t) => {
  const { gate } = gateWith()
  const codes: string[] = []
  for (const name of ['a.wide.test', 'b.wide.test', 'c.wide.test', 'allowed.test']) codes.push(codeOf(await gate.admit(exchangeOf({ host: parseHost(name) }))))
  t.strictSame(codes, ['admitted', 'admitted', 'name_budget_exceeded', 'admitted'])
})

t.test('a tunnel decided by a policy that was replaced meanwhile is judged again at once', async (t) => {
  let policy = allowing
  const { gate } = gateWith({ policy: () => policy })
  const admitted = await gate.admit(exchangeOf())
  if (!(admitted instanceof Admitted)) throw new Error('not admitted')
  policy = policyOf('[network]\ndenied_domains = ["allowed.test"]\n')
  const closed: string[] = []
  const live = gate.live.open(admitted, () => closed.push('closed'))
  t.equal(live.closedBy, 'policy_changed')
  live.onClose(() => closed.push('again'))
  t.strictSame(closed, ['closed', 'again'], 'whatever is opened afterwards is closed too')
})

t.test('a change of policy closes what it no longer allows and nothing else', async (t) => {
  let policy = allowing
  const { gate } = gateWith({ policy: () => policy })
  const closed: string[] = []
  for (const name of ['allowed.test', 'x.wide.test']) {
    const admitted = await gate.admit(exchangeOf({ host: parseHost(name) }))
    if (!(admitted instanceof Admitted)) throw new Error('not admitted')
    gate.live.open(admitted, () => closed.push(name))
  }
  policy = policyOf('[network]\nunknown = "deny"\nallowed_domains = ["allowed.test"]\n')
  t.equal(await gate.live.judgeAgain(), 1)
  t.strictSame(closed, ['x.wide.test'])
})

t.test('an address that a new policy denies closes what is connected to it', async (t) => {
  let policy = allowing
  const { gate } = gateWith({ policy: () => policy })
  const admitted = await gate.admit(exchangeOf())
  if (!(admitted instanceof Admitted)) throw new Error('not admitted')
  const live = gate.live.open(admitted, () => {})
  live.reached([address('93.184.215.14')])
  policy = policyOf('[network]\nallowed_domains = ["allowed.test"]\ndenied_domains = ["93.184.215.0/24"]\n')
  t.equal(await gate.live.judgeAgain(), 1)
  t.equal(live.closedBy, 'policy_changed')
})

t.test('what could not be recorded has no end on record either', async (t) => {
  const { gate, events } = gateWith({ audit: { append: async (event) => void events.push(event), overQuota: () => true } })
  const exchange = exchangeOf()
  t.equal(codeOf(await gate.admit(exchange)), 'audit_unavailable')
  gate.ended(exchange, { outcome: 'refused', bytesFromClient: 0, bytesFromOrigin: 0 })
  t.equal(events.length, 0)
})

t.test('look-alikes of what the gate makes are no such thing', async (t) => {
  t.notOk(Vetted.isGenuine(Object.create(Vetted.prototype)))
  t.notOk(Admitted.isGenuine(Object.create(Admitted.prototype)))
})
