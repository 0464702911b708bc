// Waiters, reviewers, policy reloads, expiry, revocations, clients that leave and kill -9, in any order and over
// real sockets, against a proxy in a process of its own. What everybody heard is collected here and compared with
// the journal and with what reached the origins in approval-races-check.ts.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Actor } from '../../src/approvals/actor.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { SessionRegistry } from '../../src/approvals/session-registry.ts'
import { TokenRegistry } from '../../src/approvals/token-registry.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { systemClock } from '../../src/clock.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { call, type Got } from '../control/caller.ts'
import { checkRaces, checkRestart, type Heard } from './approval-races-check.ts'
import { startChildProxy, type ChildProxy } from './child-proxy.ts'
import { basicField } from './issued-sessions.ts'
import { rawOrigin } from './origins.ts'
import { readJournal } from './proxy.ts'
import type { Scope } from './scope.ts'
import { ok, strictOrigin, type StrictOrigin } from './strict-origin.ts'
import { WireClient } from './wire-client.ts'

export interface RacesResult {
  /** requests that were asked about or not, answered or not */
  readonly asked: number
  /** of these, what reached an origin */
  readonly served: number
  /** answers of reviewers that were taken */
  readonly decided: number
  readonly reloads: number
  readonly kills: number
  /** broken promises, in words */
  readonly broken: readonly string[]
}

const hosts = ['a.race.test', 'b.race.test', 'www.b.race.test', 'c.race.test', 'd.race.test'] as const
const sessionCount = 4
const waiterCount = 10
const reviewerCount = 3
/** longer than any hold: whoever has heard nothing by then was forgotten */
const forgottenMs = 20_000

interface Credentials {
  readonly id: string
  readonly field: string
}

interface Issued {
  readonly sessions: readonly Credentials[]
  readonly reviewers: readonly string[]
}

async function issue(dataDir: string): Promise<Issued> {
  mkdirSync(dataDir, { recursive: true })
  const store = openSqliteStore(join(dataDir, 'sallyport.db'), migrations)
  const onFault = (error: unknown): never => {
    throw error
  }
  const registry = new SessionRegistry({ store, clock: systemClock, audit: { append: async () => {} }, requireSession: false, policyNamesAgents: () => false, onFault })
  const sessions: Credentials[] = []
  for (let place = 0; place < sessionCount; place++) {
    const { session: { id }, token } = await registry.create({ agent: 'racer', owner: undefined, team: undefined, hold: 1_500 + place * 500, unattended: false, ttlMs: undefined }, 'tester')
    sessions.push({ id, field: basicField(id, token) })
  }
  const tokens = new TokenRegistry({ store, clock: systemClock, onFault })
  const admin: Actor = { kind: 'local', name: 'tester', role: 'admin', teams: [], tokenId: undefined, mintedBy: undefined }
  const reviewers = Array.from({ length: reviewerCount }, (_, place) => tokens.create({ kind: 'person', name: `reviewer-${place}`, role: 'reviewer', teams: [], ttlMs: 86_400_000 }, admin).secret)
  registry.close()
  tokens.close()
  store.close()
  return { sessions, reviewers }
}

class Races {
  readonly heard: Heard[] = []
  /** ids of approvals that a reviewer was told are decided, with the verdict */
  readonly decided = new Map<string, string>()
  /** ids of approvals that a client or a reviewer was told of */
  readonly shown = new Set<string>()
  readonly broken: string[] = []
  reloads = 0
  kills = 0
  isOver = false
  #child: ChildProxy
  /** grows when the process is killed: what was going on then may fail */
  #life = 0
  #requests = 0
  /** settled while the process is up */
  #up: Promise<void> = Promise.resolve()
  readonly #scope: Scope
  readonly #dir: string
  readonly #issued: Issued
  readonly #ports: { readonly plain: number; readonly tunnels: number }
  readonly #random: () => number
  #policy: string

  private constructor(scope: Scope, dir: string, issued: Issued, ports: { readonly plain: number; readonly tunnels: number }, random: () => number, policy: string, child: ChildProxy) {
    this.#scope = scope
    this.#dir = dir
    this.#issued = issued
    this.#ports = ports
    this.#random = random
    this.#policy = policy
    this.#child = child
  }

  static async start(scope: Scope, ports: { readonly plain: number; readonly tunnels: number }, random: () => number): Promise<Races> {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-races-'))
    scope.teardown(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(join(dir, 'hosts'), hosts.map((host) => `127.0.0.1 ${host}\n`).join(''))
    writeFileSync(join(dir, 'sallyport.toml'), `[dns]\nhosts = ${JSON.stringify(join(dir, 'hosts'))}\n[approvals]\nwaiting_ttl = "2 s"\nidle_ttl = "4 s"\nper_session_per_minute = 100000\n`)
    const issued = await issue(join(dir, 'var'))
    const policy = policyOf(ports, undefined, undefined)
    return new Races(scope, dir, issued, ports, random, policy, await startChild(scope, dir, policy))
  }

  get journal(): string {
    return join(this.#dir, 'var', 'journal')
  }

  pick<T>(of: readonly T[]): T {
    const picked = of[Math.floor(this.#random() * of.length)]
    if (picked === undefined) throw new Error('there is nothing to pick from')
    return picked
  }

  /** One client after the other: asks, and stays for the answer or leaves before it. */
  async wait(): Promise<void> {
    while (!this.isOver) {
      await this.#up
      const life = this.#life
      const host = this.pick(hosts)
      const session = this.pick(this.#issued.sessions)
      const number = ++this.#requests
      const isTunnel = this.#random() < 0.4
      const leavesMs = this.#random() < 0.3 ? this.#random() * 1_500 : undefined
      const status = await this.#ask(host, session, number, isTunnel, leavesMs).catch(() => 'cut' as const)
      if (status === 'forgotten') this.broken.push(`request ${number} heard nothing for ${forgottenMs} ms`)
      const isCut = status === 'cut' && life === this.#life
      this.heard.push({ number, host, session: session.id, isTunnel, isCut, status: typeof status === 'number' ? status : undefined })
      if (typeof status === 'number' && ![200, 403, 502].includes(status)) this.broken.push(`request ${number} for ${host} was answered ${status}`)
      await delay(this.#random() * 40)
    }
  }

  async #ask(host: string, { field }: Credentials, number: number, isTunnel: boolean, leavesMs: number | undefined): Promise<number | 'left' | 'cut' | 'forgotten'> {
    const wire = await WireClient.open(this.#child.port)
    const authority = `${host}:${isTunnel ? this.#ports.tunnels : this.#ports.plain}`
    wire.send(`${isTunnel ? `CONNECT ${authority}` : `GET http://${authority}/r/${number}`} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: racer/${number}\r\nProxy-Authorization: ${field}\r\n\r\n`)
    const over = new AbortController()
    const answer = wire.until((received) => received.includes('\r\n\r\n')).then((received) => (received === '' ? ('cut' as const) : Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1])))
    const leave = delay(leavesMs ?? forgottenMs, leavesMs === undefined ? ('forgotten' as const) : ('left' as const), { signal: over.signal })
    // whichever comes second is of no interest
    leave.catch(() => undefined)
    const status = await Promise.race([answer, leave])
    over.abort()
    wire.socket.destroy()
    const [, told] = /reviewer has been asked \(approval (\w+)\)/.exec(wire.received) ?? []
    if (told !== undefined) this.shown.add(told)
    return status
  }

  /** One reviewer: answers what is pending, one way or the other. */
  async review(token: string): Promise<void> {
    while (!this.isOver) {
      await this.#up
      await this.#during(async () => {
        const pending = (await this.#control('GET', '/v1/approvals?state=pending', token)).json.items as readonly { readonly id: string; readonly version: number }[]
        if (pending.length === 0) return
        for (const approval of pending) this.shown.add(approval.id)
        const { id, version } = this.pick(pending)
        const verdict = this.#random() < 0.7 ? 'allow' : 'deny'
        const term = this.pick(['once', 'once', 'session', 'until'] as const)
        const body = { verdict, term, ...(term === 'until' ? { duration: '1s' } : {}), subdomains: this.#random() < 0.2 }
        const { status, text, json } = await this.#control('POST', `/v1/approvals/${id}/decision`, token, body, version)
        if (status === 200 && json.state !== 'pending') {
          if (this.decided.has(id)) this.broken.push(`approval ${id} was decided twice, and both reviewers were told so`)
          this.decided.set(id, verdict)
        } else if (![404, 409, 412, 429].includes(status)) this.broken.push(`a decision was answered ${status}: ${text}`)
      })
      await delay(40 + this.#random() * 120)
    }
  }

  /** Takes grants back now and then. */
  async revoke(): Promise<void> {
    while (!this.isOver) {
      await delay(300 + this.#random() * 500)
      await this.#up
      await this.#during(async () => {
        const grants = (await this.#control('GET', '/v1/grants', undefined)).json.items as readonly { readonly id: string }[]
        if (grants.length === 0) return
        const { status, text } = await this.#control('POST', `/v1/grants/${this.pick(grants).id}/revoke`, undefined, {})
        if (![200, 404].includes(status)) this.broken.push(`a revocation was answered ${status}: ${text}`)
      })
    }
  }

  /** Policy opens one host, closes another, or asks about all again. */
  async reload(): Promise<void> {
    while (!this.isOver) {
      await delay(400 + this.#random() * 600)
      await this.#up
      const [allowed, denied] = [this.#random() < 0.5 ? this.pick(hosts) : undefined, this.#random() < 0.5 ? this.pick(hosts) : undefined]
      this.#policy = policyOf(this.#ports, allowed, denied)
      writeFileSync(join(this.#dir, 'next.toml'), this.#policy)
      renameSync(join(this.#dir, 'next.toml'), join(this.#dir, 'policies', '10-test.toml'))
      this.reloads += 1
    }
  }

  /** kill -9, a new process on the same folder, and a look at what it took up. */
  async kill(): Promise<void> {
    while (!this.isOver) {
      await delay(1_500 + this.#random() * 2_000)
      if (this.isOver) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#up = promise
      this.#life += 1
      this.kills += 1
      this.#child.child.kill('SIGKILL')
      await this.#child.ended
      this.#noFaults()
      this.#child = await startChild(this.#scope, this.#dir, this.#policy)
      await this.#lookAfterRestart()
      resolve()
    }
  }

  async #lookAfterRestart(): Promise<void> {
    const listed = (await this.#control('GET', '/v1/approvals?state=pending&limit=200', undefined)).json.items as readonly { readonly id: string; readonly waiting: number }[]
    const { fault } = await verifyJournal(this.journal)
    if (fault !== undefined) this.broken.push(`the journal after kill ${this.kills}: ${fault.file}:${fault.line}: ${fault.what}`)
    this.broken.push(...checkRestart(readJournal(this.journal), listed, this.decided, this.shown).map((what) => `after kill ${this.kills}: ${what}`))
  }

  /** Everybody has left or was answered: nobody is counted as waiting. */
  async settle(): Promise<void> {
    const endMs = performance.now() + forgottenMs
    for (;;) {
      const listed = (await this.#control('GET', '/v1/approvals?state=pending&limit=200', undefined)).json.items as readonly { readonly id: string; readonly waiting: number }[]
      const waiting = listed.filter((approval) => approval.waiting > 0)
      if (waiting.length === 0) break
      if (performance.now() > endMs) {
        this.broken.push(`${waiting.length} approvals count somebody as waiting who left`)
        break
      }
      await delay(50)
    }
    this.#child.child.kill('SIGTERM')
    const code = await this.#child.ended
    this.#noFaults()
    if (code !== 0) this.broken.push(`it ended with ${code}: ${this.#child.stderr()}`)
    const { fault } = await verifyJournal(this.journal)
    if (fault !== undefined) this.broken.push(`the journal at the end: ${fault.file}:${fault.line}: ${fault.what}`)
  }

  /** The proxy says itself when it did what it should never do. */
  #noFaults(): void {
    for (const line of this.#child.stderr().split('\n')) if (line.includes('a fault of the proxy itself')) this.broken.push(line)
  }

  async #control(method: string, path: string, token: string | undefined, body?: object, version?: number): Promise<Got> {
    const headers = { host: 'localhost', ...(version === undefined ? {} : { 'if-match': `"${version}"` }) }
    return call(join(this.#dir, 'var', 'control.sock'), path, { method, headers, ...(token === undefined ? {} : { token }), ...(body === undefined ? {} : { body }) })
  }

  /** What a kill cuts short is no fault. */
  async #during(work: () => Promise<void>): Promise<void> {
    const life = this.#life
    try {
      await work()
    } catch (error) {
      if (life === this.#life) this.broken.push(`the control socket: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  reviewers(): readonly string[] {
    return this.#issued.reviewers
  }
}

function startChild(scope: Scope, dir: string, policy: string): Promise<ChildProxy> {
  return startChildProxy(scope, { dir, policy, flags: ['--config', join(dir, 'sallyport.toml')] })
}

function policyOf({ plain, tunnels }: { readonly plain: number; readonly tunnels: number }, allowed: string | undefined, denied: string | undefined): string {
  const at = (names: readonly string[]): string => names.flatMap((host) => [`"${host}:${plain}"`, `"${host}:${tunnels}"`]).join(', ')
  const rule = (id: string, names: readonly string[], verdict: string): string => (names.length === 0 ? '' : `[[network.rules]]\nid = "${id}"\nhosts = [${at(names)}]\n${verdict === 'deny' ? '' : 'local = ["127.0.0.1/32"]\n'}verdict = "${verdict}"\n\n`)
  const asked = hosts.filter((host) => host !== allowed && host !== denied)
  return `[network]\nunknown = "deny"\n\n${rule('asked', asked, 'ask')}${rule('opened', hosts.filter((host) => host === allowed && host !== denied), 'allow')}${rule('closed', hosts.filter((host) => host === denied), 'deny')}`
}

/** Runs for `seconds`; `random` picks what happens when, 0 to 1. */
export async function approvalRaces(scope: Scope, seconds: number, random: () => number): Promise<RacesResult> {
  const plain: StrictOrigin = await strictOrigin(scope, ({ target }) => ok(target))
  const tunnels = await rawOrigin(scope, (socket) => void socket.on('end', () => socket.end()).resume())
  const races = await Races.start(scope, { plain: plain.port, tunnels: tunnels.port }, random)
  const actors = [
    ...Array.from({ length: waiterCount }, () => races.wait()),
    ...races.reviewers().map((token) => races.review(token)),
    races.revoke(), races.reload(), races.kill(),
  ]
  await delay(seconds * 1000)
  races.isOver = true
  await Promise.all(actors)
  await races.settle()
  const targets = plain.requests.map(({ target }) => target)
  const broken = checkRaces(readJournal(races.journal), { heard: races.heard, decided: races.decided, targets, tunnels: tunnels.connections(), tunnelPort: tunnels.port })
  return {
    asked: races.heard.length, served: targets.length + tunnels.connections(), decided: races.decided.size, reloads: races.reloads, kills: races.kills,
    broken: [...races.broken, ...plain.complaints, ...broken],
  }
}
