// Sessions for a proxy that has not started: written with the registry into the database that it will open.
import { join } from 'node:path'
import { migrations } from '../../src/approvals/migrations.ts'
import type { NewSession } from '../../src/approvals/session.ts'
import { SessionRegistry } from '../../src/approvals/session-registry.ts'
import { systemClock } from '../../src/clock.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { startProxy, type TestProxy, type TestProxyOptions } from './proxy.ts'
import type { Scope } from './scope.ts'

export interface Issued {
  readonly id: string
  readonly token: string
  /** value of Proxy-Authorization */
  readonly field: string
  /** the proxy's URL with the credentials in it */
  url(proxyUrl: string): string
}

/** `isEnded`: over already */
export type Wanted = Partial<NewSession> & { readonly isEnded?: true }

const plain: NewSession = { agent: 'tester', owner: undefined, team: undefined, hold: 'auto', unattended: false, ttlMs: undefined }

/** One for each of `wanted`, what it does not say being the default. */
async function issueSessions(dataDir: string, wanted: readonly Wanted[]): Promise<Issued[]> {
  const store = openSqliteStore(join(dataDir, 'sallyport.db'), migrations)
  const registry = new SessionRegistry({
    store,
    audit: { append: async () => {} },
    clock: systemClock,
    requireSession: false,
    policyNamesAgents: () => false,
    onFault: (error) => {
      throw error
    },
  })
  const issued: Issued[] = []
  for (const { isEnded, ...change } of wanted) {
    const { session: { id }, token } = await registry.create({ ...plain, ...change }, 'tester')
    if (isEnded === true) await registry.end(id, 'tester')
    issued.push({
      id,
      token,
      field: basicField(id, token),
      url: (proxyUrl) => proxyUrl.replace('//', `//${id}:${token}@`),
    })
  }
  registry.close()
  store.close()
  return issued
}

export function basicField(id: string, token: string): string {
  return `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}`
}

export interface ProxyWithSessions {
  readonly proxy: TestProxy
  readonly sessions: readonly Issued[]
}

export async function startWith(t: Scope, wanted: readonly Wanted[], options: TestProxyOptions): Promise<ProxyWithSessions> {
  let sessions: readonly Issued[] = []
  const before = async (dataDir: string): Promise<void> => {
    sessions = await issueSessions(dataDir, wanted)
  }
  return { proxy: await startProxy(t, { ...options, before }), sessions }
}
