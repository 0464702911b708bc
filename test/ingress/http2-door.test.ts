// Streams of HTTP/2 at the door of every request, with a gate, a policy and an origin: each is an exchange of
// its own, decided and recorded once, and a refusal of one leaves the others alone.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AuditEvent } from '../../src/audit/event.ts'
import { systemClock } from '../../src/clock.ts'
import { Deadlines } from '../../src/deadlines.ts'
import { createForwarder } from '../../src/egress/forward.ts'
import { Reach } from '../../src/egress/reach.ts'
import { createResolver } from '../../src/egress/resolver.ts'
import { Admitted } from '../../src/gate/admitted.ts'
import type { Exchange } from '../../src/gate/exchange.ts'
import { Gate } from '../../src/gate/gate.ts'
import { NameBudget } from '../../src/gate/name-budget.ts'
import { RequestIds } from '../../src/gate/request-id.ts'
import { anonymous, type IngressContext } from '../../src/ingress/context.ts'
import { servePlain } from '../../src/ingress/plain.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { parseHost } from '../../src/target/host.ts'
import { ask, http2Limits, startHttp2, type Http2World } from '../support/http2-world.ts'
import { httpOrigin, type HttpOrigin } from '../support/origins.ts'
import type { Scope } from '../support/scope.ts'

interface Served extends Http2World {
  readonly origin: HttpOrigin
  readonly authority: string
  readonly events: readonly AuditEvent[]
  decisions(): readonly AuditEvent[]
  drain(): void
}

function policyOf(text: string): Policy {
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(JSON.stringify(problems))
  return policy
}

function gateOf(policy: Policy, events: AuditEvent[]): Gate {
  return new Gate({
    policy: () => policy,
    audit: { append: async (event) => void events.push(event), overQuota: () => false },
    redaction: { url: 'path', key: new Uint8Array(32) },
    clock: systemClock,
    surroundings: () => ({ ownPorts: [], ownAddresses: [], onlyLoopback: true }),
    nameBudget: new NameBudget(systemClock, 30),
    usesParent: false,
    parentResolves: false,
    onFault: (error) => {
      throw error
    },
    onVerdict: () => undefined,
  })
}

/** The CONNECT that the connection is inside of. */
async function connectTo(port: number): Promise<Admitted> {
  const facts: Exchange['facts'] = { stage: 'connect', scheme: 'http', host: parseHost('allowed.test'), port, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal: anonymous }
  const exchange: Exchange = { id: 'connect', facts, client: { address: '127.0.0.1', port: 1, advisory: true }, protocol: 'https_connect', userAgent: undefined, startedMs: 0 }
  const admitted = await gateOf(policyOf(`[network]\nallowed_domains = ["allowed.test:${port}"]\n`), []).admit(exchange)
  if (!(admitted instanceof Admitted)) throw new Error(admitted.code)
  return admitted
}

async function resolverFor(t: Scope): Promise<ReturnType<typeof createResolver>> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-http2-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'hosts'), '127.0.0.1 allowed.test\n')
  writeFileSync(join(dir, 'resolv.conf'), '')
  return createResolver({ servers: [], resolvConfPath: join(dir, 'resolv.conf'), hostsPath: join(dir, 'hosts'), timeoutMs: 1_000, clock: systemClock })
}

async function served(t: Test): Promise<Served> {
  const origin = await httpOrigin(t)
  const events: AuditEvent[] = []
  const gate = gateOf(policyOf(`[network]
unknown = "deny"
[[network.rules]]
id = "some"
hosts = ["allowed.test:${origin.port}"]
local = ["127.0.0.1/32"]
methods = ["GET", "POST", "OPTIONS"]
paths = ["/ok/**"]
verdict = "allow"
`), events)
  const clock = systemClock
  const deadlines = new Deadlines(clock)
  const forwarder = createForwarder({ pseudonym: 'sally-test', originTimeoutMs: 10_000 })
  const resolver = await resolverFor(t)
  t.teardown(() => forwarder.close())
  let isDraining = false
  const context = {
    gate, forwarder, clock, deadlines, ids: new RequestIds(clock), limits: http2Limits, pseudonym: 'sally-test', isDraining: () => isDraining,
    sessions: { authenticate: () => undefined, live: () => undefined, credentialsNeeded: () => false },
    reach: new Reach({ resolver, gate, parent: undefined, connectTimeoutMs: 1_000, clock, deadlines }),
  } as unknown as IngressContext
  const bound = await connectTo(origin.port)
  const world = await startHttp2(t, (arrival) => servePlain(arrival, context), {}, { bound, gate })
  return {
    ...world, origin, events,
    authority: `allowed.test:${origin.port}`,
    decisions: () => events.filter(({ name }) => name === 'sallyport.decision'),
    drain: () => {
      isDraining = true
    },
  }
}

t.test('each stream is decided by its own path, and a refusal ends nothing but its stream', async (t) => {
  const world = await served(t)
  const session = world.connect()
  const at = (path: string) => ask(session, { ':authority': world.authority, ':path': path })
  const [first, denied, second] = await Promise.all([at('/ok/a'), at('/else'), at('/ok/b?c')])
  t.equal(first.body.toString(), 'GET /ok/a\n')
  t.equal(second.body.toString(), 'GET /ok/b?c\n')
  t.equal(denied.status, 403)
  t.equal(denied.headers['content-type'], 'application/problem+json')
  t.match(JSON.parse(denied.body.toString()), { host: 'allowed.test' })
  t.notOk(denied.isBroken)
  t.equal(world.origin.requests.length, 2)
  t.equal(world.decisions().length, 3)
  t.strictSame(world.faults, [])
})

t.test('an upload that is refused is answered, whether its body came or not', async (t) => {
  const world = await served(t)
  const session = world.connect()
  const fields = { ':method': 'POST', ':authority': world.authority, ':path': '/else' }
  for (const body of ['', 'hello', Buffer.alloc(200_000)]) {
    const { status, code } = await ask(session, fields, body)
    t.equal(status, 403)
    t.equal(code, 0)
  }
  t.equal((await ask(session, { ...fields, ':path': '/ok/' }, Buffer.alloc(200_000))).status, 200)
  t.equal(world.origin.requests.length, 1)
})

t.test('a stream that names another authority than its connection is misdirected, whenever it comes', async (t) => {
  const world = await served(t)
  const session = world.connect()
  const good = { ':authority': world.authority, ':path': '/ok/' }
  const other = [{ ':authority': 'evil.test' }, { ':authority': 'allowed.test' }, { ':authority': 'allowed.test:1' }, { host: 'evil.test' }]
  let misdirected = 0
  for (let round = 0; round < 50; round += 1) {
    t.equal((await ask(session, { ...good, host: world.authority })).status, 200)
    const change = other[round]
    if (change === undefined) continue
    const answer = await ask(session, { ...good, ...change })
    t.equal(answer.status, 421, JSON.stringify(change))
    misdirected += 1
  }
  t.equal(world.decisions().length, 50 + misdirected)
  t.equal(world.origin.requests.length, 50)
})

t.test('what is too long, unknown or not proxied is refused as on every other connection', async (t) => {
  const world = await served(t)
  const session = world.connect()
  const good = { ':authority': world.authority, ':path': '/ok/' }
  const many = Object.fromEntries(Array.from({ length: 201 }, (_, at) => [`x-${at}`, 'a']))
  for (const [change, status] of [
    [{ ':path': `/ok/${'a'.repeat(9_000)}` }, 414],
    [many, 431],
    [{ x: 'a'.repeat(17_000) }, 431],
    [{ ':method': 'OPTIONS', ':path': '*' }, 400],
    [{ ':method': 'TRACE' }, 405],
    [{ ':method': 'DELETE' }, 403],
    [{ ':method': 'OPTIONS', 'max-forwards': '0' }, 204],
    [{ ':path': '/ok/\u00e9' }, 400],
    [{ ':path': '/ok/%2e%2e/' }, 400],
    [{ expect: 'miracles' }, 417],
    [{ via: '2.0 sally-test' }, 508],
    [{ 'proxy-authorization': 'Basic eDp5' }, 407],
  ] as const) {
    const before = world.decisions().length
    const answer = await ask(session, { ...good, ...change })
    t.equal(answer.status, status)
    t.equal(answer.code, 0)
    t.equal(world.decisions().length, before + 1, 'one decision')
  }
  t.equal(world.origin.requests.length, 0)
  t.strictSame(world.faults, [])
})

t.test('an expectation of a request that is refused hears no 100', async (t) => {
  const world = await served(t)
  const stream = world.connect().request({ ':method': 'POST', ':authority': world.authority, ':path': '/else', expect: '100-continue' })
  const heard: string[] = []
  stream.on('continue', () => heard.push('continue'))
  stream.on('response', ({ ':status': status }) => heard.push(String(status)))
  await new Promise((resolve) => stream.on('response', resolve))
  t.strictSame(heard, ['403'])
  stream.close()
})

t.test('a malformed stream is one decision, and its end is recorded', async (t) => {
  const world = await served(t)
  const session = world.connect()
  const answer = await ask(session, { ':authority': world.authority, ':path': '/ok/', ':scheme': 'http' })
  t.equal(answer.status, 0)
  t.equal(answer.code, 1)
  t.equal(world.decisions().length, 1)
  t.equal(world.events.length, 2)
  t.equal((await ask(session, { ':authority': world.authority, ':path': '/ok/' })).status, 200)
})

t.test('a proxy that drains refuses what still comes', async (t) => {
  const world = await served(t)
  const session = world.connect()
  t.equal((await ask(session, { ':authority': world.authority, ':path': '/ok/' })).status, 200)
  world.drain()
  t.equal((await ask(session, { ':authority': world.authority, ':path': '/ok/' })).status, 503)
})
