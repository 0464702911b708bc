// What a command says, collected; and the process it believes to be in.
import type { App, AppDeps, Listening } from '../../src/config/listening.ts'
import type { Settings } from '../../src/config/settings.ts'
import type { CommandIo, RunDeps } from '../../src/cli/run.ts'

export interface FakeIo extends CommandIo {
  readonly stdout: () => string
  readonly stderr: () => string
}

export function fakeIo(cwd: string, more: { readonly signal?: AbortSignal; readonly isTty?: boolean } = {}): FakeIo {
  let out = ''
  let err = ''
  return {
    out: (text) => { out += text },
    err: (text) => { err += text },
    isTty: more.isTty ?? false,
    cwd,
    ...(more.signal === undefined ? {} : { signal: more.signal }),
    stdout: () => out,
    stderr: () => err,
  }
}

export const listening: Listening = {
  proxy: 'http://127.0.0.1:3128',
  control: 'http://127.0.0.1:3129',
  controlSocket: '/srv/var/control.sock',
  ops: 'http://127.0.0.1:3130',
  policy: 'abc123def456',
  pid: 4242,
  mode: 'enforce',
  policyFiles: ['/p/policies/00-default.toml'],
  ruleCount: 3,
  feedNames: 0,
  journal: '/p/var/journal',
  otlp: undefined,
  otherDestinations: [],
  advisory: false,
  warnings: [],
}

export interface FakeProcess extends RunDeps {
  /** what was asked of the app, in order */
  readonly calls: string[]
  readonly settings: () => Settings | undefined
  readonly deps: () => AppDeps | undefined
  insist(): void
  reload(): void
}

export interface FakeProcessOptions {
  readonly env?: Record<string, string>
  readonly execArgv?: readonly string[]
  readonly app?: Partial<App>
  readonly createFails?: Error
}

const nothingToErase = { records: 0, unsealed: 0, sessions: 0, approvals: 0, grants: 0, tokens: 0, others: 0 }

export function fakeProcess(options: FakeProcessOptions = {}): FakeProcess {
  const calls: string[] = []
  const insistent: (() => void)[] = []
  const reloading: (() => void)[] = []
  let given: Settings | undefined
  let handed: AppDeps | undefined
  return {
    env: options.env ?? {},
    execArgv: options.execArgv ?? [],
    signals: {
      onInsist: (listener) => void insistent.push(listener),
      onReload: (listener) => void reloading.push(listener),
    },
    createApp: async (settings, deps) => {
      given = settings
      handed = deps
      if (options.createFails !== undefined) throw options.createFails
      return {
        start: async () => {
          calls.push('start')
          return options.app?.start?.() ?? listening
        },
        stop: async (graceful) => {
          calls.push(graceful ? 'drain' : 'cut')
          await options.app?.stop?.(graceful)
        },
        erasure: {
          look: async () => nothingToErase,
          erase: async () => ({ keys: [], counts: nothingToErase }),
        },
        reload: async () => {
          calls.push('reload')
          return (await options.app?.reload?.()) ?? 'unchanged'
        },
      }
    },
    calls,
    settings: () => given,
    deps: () => handed,
    insist: () => { for (const listener of insistent) listener() },
    reload: () => { for (const listener of reloading) listener() },
  }
}
