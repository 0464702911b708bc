// What the composition root promises its starter: the running instance and where it listens, so that commands and
// tests can stand in for the real one.
import { join } from 'node:path'
import type { Policy } from '../policy/policy.ts'
import { scarcityOf, type DescriptorShares } from './descriptors.ts'
import type { Environment } from './environment.ts'
import type { PolicySource, RunPolicyJob } from './policy-files.ts'
import type { Settings } from './settings.ts'

/** What is true once the listeners are open. */
export interface Listening {
  /** URL of the proxy listener, with the port that was picked: `http://127.0.0.1:3128` */
  readonly proxy: string
  /** URL of the control listener, or `off` */
  readonly control: string
  /** where the commands of this machine reach the control plane */
  readonly controlSocket: string
  /** URL of the ops listener, or `off` */
  readonly ops: string
  /** revision of the policy in force */
  readonly policy: string
  readonly pid: number
  readonly mode: 'enforce' | 'monitor'
  /** policy files that were read, managed layer first */
  readonly policyFiles: readonly string[]
  readonly ruleCount: number
  /** names on denied_domains_files */
  readonly feedNames: number
  /** folder of the journal's segments */
  readonly journal: string
  /** OTLP endpoint, or undefined when nothing is exported */
  readonly otlp: string | undefined
  /** name and kind of every other destination of events */
  readonly otherDestinations: readonly { readonly name: string; readonly type: string }[]
  /** clients may run as the user that this process runs as */
  readonly advisory: boolean
  /** one sentence each, for the operator */
  readonly warnings: readonly string[]
}

/** `unchanged`: the files say what is in force already; `rejected`: the last good policy stays in force */
export type ReloadOutcome = 'reloaded' | 'unchanged' | 'rejected'

export interface App {
  start(): Promise<Listening>
  /** graceful: what is in flight may finish, up to `limits.drain`; else everything is cut at once */
  stop(graceful: boolean): Promise<void>
  /** reads policies again; a policy that does not compile leaves the last good one in force */
  reload(): Promise<ReloadOutcome>
  /** also of an instance that was not started: of a data folder without a running proxy */
  readonly erasure: PersonErasure
}

/** Erases what there is of a person; `by`: who wants it. */
export interface PersonErasure {
  look(person: string): Promise<ErasedThings>
  erase(person: string, by: string | undefined): Promise<{ readonly keys: readonly string[]; readonly counts: ErasedThings }>
}

/** How much there was, as docs/events.md says of `sallyport.audit.erased`. */
export interface ErasedThings {
  readonly records: number
  readonly unsealed: number
  readonly sessions: number
  readonly approvals: number
  readonly grants: number
  readonly tokens: number
  readonly others: number
}

/** Fields are a closed list of plain values: never a header object, never a credential. */
export interface OperatorLog {
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
}
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface AppDeps {
  readonly log: OperatorLog
  readonly version: string
  /** where credentials are read from; absent: that of this process */
  readonly env?: Environment
  /** compiles policies; absent: in a worker of its own, as whatever serves traffic must */
  readonly runPolicyJob?: RunPolicyJob
}

export type CreateApp = (settings: Settings, deps: AppDeps) => Promise<App>

/** What is said when the listeners are open. */
export function listeningOf(
  settings: Settings,
  doors: Pick<Listening, 'proxy' | 'control' | 'controlSocket' | 'ops'>,
  { revision, mode, ruleCount, feedNames }: Policy,
  source: Pick<PolicySource, 'files' | 'problems'>,
  shares: DescriptorShares | undefined,
): Listening {
  const scarcity = scarcityOf(shares, settings.limits.connections)
  const problems = source.problems().filter((problem) => problem.severity !== 'error')
  return {
    ...doors,
    policy: revision,
    pid: process.pid,
    mode,
    policyFiles: source.files(),
    ruleCount,
    feedNames,
    journal: join(settings.dataDir, 'journal'),
    otlp: settings.otel.exporter?.endpoint,
    otherDestinations: settings.audit.destinations.map(({ name, type }) => ({ name, type })),
    advisory: settings.clients.length === 0,
    warnings: [...(scarcity === undefined ? [] : [scarcity]), ...problems.map((problem) => `${problem.file}:${problem.line}: ${problem.message}`)],
  }
}
