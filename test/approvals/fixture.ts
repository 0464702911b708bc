// What the tests of the registries share: a clock that stands still, a journal that remembers, a database file.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrations } from '../../src/approvals/migrations.ts'
import type { NewSession } from '../../src/approvals/session.ts'
import { SessionRegistry, type SessionRegistryOptions } from '../../src/approvals/session-registry.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { Scope } from '../support/scope.ts'

/** wall and monotonic time move together */
export class HandClock {
  ms = Date.UTC(2026, 0, 2)

  now(): number {
    return this.ms
  }

  monotonic(): number {
    return this.ms
  }

  pass(ms: number): void {
    this.ms += ms
  }
}

export interface DatabaseFile {
  readonly dir: string
  open(): Store
  /** of every file that belongs to it, the log of writes too */
  bytes(): Buffer
}

export function databaseFile(t: Scope): DatabaseFile {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-registry-'))
  const stores: Store[] = []
  t.teardown(() => {
    for (const store of stores) store.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return {
    dir,
    open: () => {
      const store = openSqliteStore(join(dir, 'sallyport.db'), migrations)
      stores.push(store)
      return store
    },
    bytes: () => Buffer.concat(readdirSync(dir).map((name) => readFileSync(join(dir, name)))),
  }
}

export interface Registered {
  readonly registry: SessionRegistry
  readonly events: AuditEvent[]
  readonly faults: unknown[]
}

export function sessionRegistry(t: Scope, store: Store, clock: HandClock, change: Partial<SessionRegistryOptions> = {}): Registered {
  const events: AuditEvent[] = []
  const faults: unknown[] = []
  const registry = new SessionRegistry({
    store,
    clock,
    audit: { append: async (event) => void events.push(event) },
    requireSession: false,
    policyNamesAgents: () => false,
    onFault: (error) => faults.push(error),
    ...change,
  })
  t.teardown(() => registry.close())
  return { registry, events, faults }
}

export const wanted: NewSession = { agent: 'codex', owner: 'alice', team: 'web', hold: 'auto', unattended: false, ttlMs: undefined }
export const here = { address: '127.0.0.1', uid: undefined }
