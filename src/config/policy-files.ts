// The policy in force: loads the layers in a worker, watches them, and keeps the last good policy
// when a change does not compile. A load never blocks the main loop, and a policy is either the old
// one or the new one as a whole, never a mixture.
import { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.ts'
import type { KnownCredential, Policy, Problem } from '../policy/compile.ts'
import { managedDefault as systemManaged, stampOf } from './policy-read.ts'
import { watchPolicy } from './policy-watch.ts'
import type { PolicyWatch } from './policy-watch.ts'
import type { PolicyJob, PolicyYield, ReservedDestination } from './policy-worker.ts'

export interface PolicySourceOptions {
  readonly policiesDir: string
  /** the managed layer named by the operator; undefined: `managedDefault`, if it exists */
  readonly requirementsFile: string | undefined
  /** where a managed layer is looked for when none is named; `/etc/sallyport/requirements.toml` */
  readonly managedDefault?: string
  /** what the proxy itself connects to: denied to agents */
  readonly reserved: readonly ReservedDestination[]
  /** `knownCredentials(settings.credentials)`; absent: rules that send one are not checked against it */
  readonly credentials?: readonly KnownCredential[]
  readonly clock: Clock
  /** absent: each job runs in a worker of its own */
  readonly runJob?: RunPolicyJob | undefined
  onLog(level: 'info' | 'warn' | 'error', message: string): void
}

/** Rejects where the job could not be done. */
export type RunPolicyJob = (job: PolicyJob) => Promise<PolicyYield>

export interface LoadResult {
  /** `unchanged`: the same content as before; `rejected`: the last good policy stays in force */
  readonly outcome: 'loaded' | 'unchanged' | 'rejected'
  /** the policy in force after this load */
  readonly policy: Policy | undefined
  /** of this load: errors when rejected, else warnings and notices */
  readonly problems: readonly Problem[]
  readonly durationMs: number
}

export interface PolicySource {
  current(): Policy | undefined
  /** of the last load, whether it was good or not */
  problems(): readonly Problem[]
  /** paths of the files that the policy in force was made of, managed layer first */
  files(): readonly string[]
  /** paths that the last load read beside them: the managed layer, feeds and roots, whether or not they are there */
  besides(): readonly string[]
  /** `none`: nothing valid was ever loaded */
  state(): 'ok' | 'rejected' | 'none'
  load(): Promise<LoadResult>
  /** from now on a change is live within a second */
  watch(): void
  /** loads at once, as on SIGHUP; never rejects for what is in the files */
  reload(): Promise<LoadResult>
  /** What is wrong with all layers when `90-approved.toml` has this text; changes nothing. Never rejects for what is in the files. */
  tryApproved(text: string): Promise<readonly Problem[]>
  close(): Promise<void>
  onLoaded(listener: (policy: Policy, problems: readonly Problem[]) => void): void
  onRejected(listener: (problems: readonly Problem[]) => void): void
}

/** A load whose files change while it runs is run again, so often at most. */
const maxAttempts = 5

/** Reads nothing yet: call `load`, then `watch`. */
export function createPolicySource(options: PolicySourceOptions): PolicySource {
  return new FilePolicySource(options)
}

interface Good {
  readonly policy: Policy
  readonly problems: readonly Problem[]
  readonly fingerprint: string
  readonly sourcePaths: readonly string[]
}

class FilePolicySource implements PolicySource {
  readonly #options: PolicySourceOptions
  readonly #loaded: ((policy: Policy, problems: readonly Problem[]) => void)[] = []
  readonly #rejected: ((problems: readonly Problem[]) => void)[] = []
  #good: Good | undefined
  #bad: { readonly problems: readonly Problem[]; readonly fingerprint: string } | undefined
  #managedSeen = false
  #running: Promise<LoadResult> | undefined
  #next: Promise<LoadResult> | undefined
  readonly #workers = new Set<Worker>()
  #watch: PolicyWatch | undefined
  #followed: { readonly files: readonly string[]; readonly stamp: string } | undefined
  #closed = false

  constructor(options: PolicySourceOptions) {
    this.#options = options
  }

  current(): Policy | undefined {
    return this.#good?.policy
  }

  problems(): readonly Problem[] {
    return this.#bad?.problems ?? this.#good?.problems ?? []
  }

  files(): readonly string[] {
    return this.#good?.sourcePaths ?? []
  }

  besides(): readonly string[] {
    return this.#followed?.files ?? []
  }

  state(): 'ok' | 'rejected' | 'none' {
    if (this.#good === undefined) return 'none'
    return this.#bad === undefined ? 'ok' : 'rejected'
  }

  onLoaded(listener: (policy: Policy, problems: readonly Problem[]) => void): void {
    this.#loaded.push(listener)
  }

  onRejected(listener: (problems: readonly Problem[]) => void): void {
    this.#rejected.push(listener)
  }

  /** One load at a time. Whoever asks while one runs shares the one after it, which sees the last state. */
  load(): Promise<LoadResult> {
    if (this.#running === undefined) {
      this.#running = this.#run().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    const running = this.#running
    this.#next ??= (async () => {
      // whoever asked for that load is told how it ended; this one runs either way
      await Promise.allSettled([running])
      this.#next = undefined
      return this.load()
    })()
    return this.#next
  }

  reload(): Promise<LoadResult> {
    return this.load()
  }

  async tryApproved(text: string): Promise<readonly Problem[]> {
    const { policiesDir } = this.#options
    const answer = await this.#compile(text)
    return answer instanceof Error ? [fault(`the policy could not be compiled: ${answer.message}`, policiesDir)] : answer.problems
  }

  watch(): void {
    if (this.#closed || this.#watch !== undefined) return
    const { clock, policiesDir } = this.#options
    this.#watch = watchPolicy({
      clock,
      stamp: () => stampOf(policiesDir, this.#followed?.files ?? []),
      onChange: async () => {
        await this.load()
      },
      onFault: (folder, error) =>
        this.#options.onLog('warn', `\`${folder}\` cannot be watched, so it is looked at twice a second: ${String(error)}`),
    })
    if (this.#followed !== undefined) {
      this.#watch.follow(policiesDir, this.#followed.files, this.#followed.stamp)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#watch?.close()
    await Promise.all([...this.#workers].map((worker) => worker.terminate()))
    await this.#running
  }

  async #run(): Promise<LoadResult> {
    const { clock, policiesDir } = this.#options
    const startedAt = clock.monotonic()
    for (let attempt = 1; ; attempt += 1) {
      const known = this.#followed?.files ?? [this.#managedPath()]
      // what changes while the worker fails is a change from this
      const before = await stampOf(policiesDir, known)
      const answer = await this.#compile()
      if (this.#closed) return this.#result('rejected', startedAt, [fault('the proxy is shutting down', policiesDir)])
      if (answer instanceof Error) {
        // followed all the same: what broke the worker is tried again when it changes, not twice a second
        this.#follow(known, before)
        return this.#reject([fault(`the policy could not be compiled: ${answer.message}`, policiesDir)], answer.message, startedAt)
      }
      const stamp = await stampOf(policiesDir, answer.files)
      if (stamp !== answer.stamp && attempt < maxAttempts) continue
      this.#follow(answer.files, answer.stamp)
      this.#managedSeen ||= answer.managedFound
      return this.#settle(answer, startedAt)
    }
  }

  #follow(files: readonly string[], stamp: string): void {
    this.#followed = { files, stamp }
    this.#watch?.follow(this.#options.policiesDir, files, stamp)
  }

  #managedPath(): string {
    return this.#options.requirementsFile ?? this.#options.managedDefault ?? systemManaged
  }

  #settle(answer: PolicyYield, startedAt: number): LoadResult {
    if (answer.outcome === 'invalid') return this.#reject(answer.problems, answer.fingerprint, startedAt)
    const recovered = this.#bad !== undefined
    this.#bad = undefined
    if (answer.policy !== undefined) {
      const { policy, problems, fingerprint, sourcePaths } = answer
      this.#good = { policy, problems, fingerprint, sourcePaths }
    } else if (!recovered || this.#good === undefined) {
      return this.#result('unchanged', startedAt, this.problems())
    }
    if (this.#good !== undefined) {
      for (const listener of this.#loaded) listener(this.#good.policy, this.#good.problems)
    }
    return this.#result('loaded', startedAt, this.problems())
  }

  /** The same broken content is told once, not at every save. */
  #reject(problems: readonly Problem[], fingerprint: string, startedAt: number): LoadResult {
    const told = this.#bad?.fingerprint === fingerprint
    this.#bad = { problems, fingerprint }
    if (!told) for (const listener of this.#rejected) listener(problems)
    return this.#result('rejected', startedAt, problems)
  }

  #result(outcome: LoadResult['outcome'], startedAt: number, problems: readonly Problem[]): LoadResult {
    return { outcome, policy: this.current(), problems, durationMs: this.#options.clock.monotonic() - startedAt }
  }

  /** `approved`: tried in place of the file, whatever is in force */
  async #compile(approved?: string): Promise<PolicyYield | Error> {
    if (this.#closed) return new Error('closed')
    const { policiesDir, requirementsFile, reserved, credentials, runJob } = this.#options
    const job: PolicyJob = {
      policiesDir,
      managed: { path: this.#managedPath(), mustExist: requirementsFile !== undefined || this.#managedSeen },
      known: approved === undefined ? this.#good?.fingerprint : undefined,
      approved,
      reserved,
      credentials,
    }
    let worker: Worker | undefined
    try {
      if (runJob !== undefined) return await runJob(job)
      worker = startWorker(job)
      this.#workers.add(worker)
      const answer = await answerOf(worker)
      await worker.terminate()
      return answer
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    } finally {
      if (worker !== undefined) this.#workers.delete(worker)
    }
  }
}

function startWorker(job: PolicyJob): Worker {
  // built, this is JavaScript, and the name of a worker's file is not rewritten by the compiler
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const file = new URL(`./policy-worker.${extension}`, import.meta.url)
  // no flags and no environment of the parent: what is loaded into the proxy by either is not wanted here
  return new Worker(file, { workerData: job, execArgv: [], env: {} })
}

function answerOf(worker: Worker): Promise<PolicyYield | Error> {
  return new Promise((resolve) => {
    worker.once('message', resolve)
    worker.once('messageerror', resolve)
    worker.once('error', (error) => resolve(error instanceof Error ? error : new Error(String(error))))
    worker.once('exit', (code) => resolve(new Error(`the worker ended early with code ${code}`)))
  })
}

function fault(message: string, file: string): Problem {
  return { severity: 'error', file, line: 1, column: 1, message, text: '' }
}
