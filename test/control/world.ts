// A control API of fakes, open on both doors, and what it was seen to do.
import type { ProxyError } from '../../src/errors.ts'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { KeptAnswers } from '../../src/approvals/kept-answers.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { createControl, type Control } from '../../src/control/control.ts'
import { controlLimits, type ControlDeps } from '../../src/control/deps.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { keepLogs } from '../support/kept-logs.ts'
import { agentToken, cardOf, explained, FakeClock, FakeDesk, FakeErasure, FakeEvents, FakeSessions, FakeSockets, FakeTokens, sessionOf } from './fakes.ts'

export const roleNames = ['viewer', 'auditor', 'launcher', 'reviewer', 'admin'] as const

export class World {
  readonly clock = new FakeClock()
  readonly desk = new FakeDesk()
  readonly sessions = new FakeSessions()
  readonly tokens = new FakeTokens()
  readonly sockets = new FakeSockets()
  /** what the certificate authority says */
  caFault: ProxyError | undefined
  looksInside = false
  readonly events = new FakeEvents()
  readonly journaled: AuditEvent[] = []
  readonly faults: unknown[] = []
  readonly dir: string
  readonly deps: ControlDeps
  control: Control
  url = ''
  socket = ''
  isJournalDown = false
  readonly erasure = new FakeErasure()
  #ids = 0

  constructor(dir: string, more: Partial<ControlDeps> = {}) {
    this.dir = dir
    for (const role of roleNames) this.tokens.add(role, role)
    this.sessions.byId.set('s-1', sessionOf('s-1', 'alice'))
    this.sessions.tokenById.set('s-1', agentToken)
    const store = openSqliteStore(':memory:', migrations)
    this.deps = {
      listen: { host: '127.0.0.1', port: 0 },
      hosts: [],
      socketPath: join(dir, 'run', 'control.sock'),
      instanceId: 'deadbeef-0000-4000-8000-000000000000',
      localUser: 'root',
      desk: this.desk,
      card: cardOf,
      sessions: this.sessions,
      tokens: this.tokens,
      isAgentCredential: (id, token) => this.sessions.tokenById.get(id) === token,
      policy: {
        state: () => ({
          revision: '0123456789ab', mode: 'enforce', unknown: 'ask', files: ['policies/10-base.toml'], ruleCount: 3, feedNames: 0,
          problems: [{ file: 'policies/10-base.toml', line: 4, column: 1, severity: 'warning', message: 'covers nothing', text: 'x' }],
        }),
        explain: () => explained,
        looksInside: () => this.looksInside,
      },
      events: this.events,
      search: (search) => this.events.search(search),
      answers: new KeptAnswers(store, this.clock),
      erasure: this.erasure,
      audit: { append: async (event) => this.#journal(event) },
      clock: this.clock,
      limits: { ...controlLimits, actorBurst: 100_000, refusedBurst: 100_000 },
      proxyUrl: () => 'http://127.0.0.1:3128',
      sockets: this.sockets,
      trustedPem: async () => {
        if (this.caFault !== undefined) throw this.caFault
        return 'PEM\n'
      },
      keepOut: () => ['/srv/var', '/srv/certs'],
      refused: (session) => session.length,
      requestId: () => `r-${++this.#ids}`,
      onFault: (error) => this.faults.push(error),
      ...more,
    }
    this.control = createControl(this.deps)
  }

  /** The calls that were journaled, as `METHOD route status actor`. */
  get called(): readonly string[] {
    const told = ['http.request.method', 'http.route', 'http.response.status_code', 'sallyport.actor.name']
    return this.journaled.map(({ attributes }) => told.map((name) => String(attributes[name])).join(' '))
  }

  #journal(event: AuditEvent): void {
    if (this.isJournalDown) throw new Error('the journal is down')
    this.journaled.push(event)
  }
}

/** Both doors open, until the test is over. */
export async function openWorld(t: Test, more: Partial<ControlDeps> = {}): Promise<World> {
  const world = new World(folderOf(t), more)
  const { url, socket } = await world.control.start()
  t.teardown(async () => {
    await world.control.stop()
    keepLogs(undefined, { 'events.jsonl': world.journaled.map((event) => `${JSON.stringify(event)}\n`).join('') })
  })
  world.url = url
  world.socket = socket
  return world
}

export function folderOf(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-control-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
