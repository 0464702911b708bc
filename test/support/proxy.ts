// A whole proxy in this process, on a free port, with its own policies, names and data folder; what a
// test does not say is the default. Everything is taken down with the test.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp } from '../../src/app.ts'
import { RecordOpener } from '../../src/audit/record-opener.ts'
import type { CacheStore } from '../../src/cache/cache-store.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { OperatorLog } from '../../src/config/listening.ts'
import { runPolicyJob as policyJob, type PolicyJob, type PolicyYield } from '../../src/config/policy-worker.ts'
import type { Settings } from '../../src/config/settings.ts'
import { transferables } from '../../src/policy/compile.ts'
import { keepLogs } from './kept-logs.ts'
import type { Scope } from './scope.ts'

export interface TestProxyOptions {
  /** TOML of the one policy file; default allows nothing */
  readonly policy?: string
  /** further policy files by name */
  readonly policies?: Readonly<Record<string, string>>
  /** names the proxy resolves, as a hosts file would say */
  readonly hosts?: Readonly<Record<string, string | readonly string[]>>
  readonly flags?: Readonly<Record<string, string>>
  readonly change?: (settings: Settings) => Settings
  /** where copies of live traffic are kept; absent: nowhere */
  readonly cacheStore?: CacheStore
  /** puts things into the data folder before the proxy starts */
  readonly before?: (dataDir: string) => Promise<void>
}

export interface JournalRecord {
  readonly seq: number
  /** of the process that wrote it */
  readonly instance: string
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly body: string
}

export interface TestProxy {
  readonly port: number
  readonly url: string
  readonly ops: string
  /** URL of the control listener, or `off`, which it is by default */
  readonly control: string
  readonly controlSocket: string
  readonly dir: string
  readonly policyFile: string
  readonly log: readonly string[]
  /** everything in the journal so far, in order */
  records(): JournalRecord[]
  decisions(): JournalRecord[]
  /** waits until a record fits */
  recorded(fits: (record: JournalRecord) => boolean): Promise<JournalRecord>
  stop(graceful?: boolean): Promise<void>
}

export async function startProxy(t: Scope, options: TestProxyOptions = {}): Promise<TestProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  const policies = join(dir, 'policies')
  mkdirSync(policies)
  const policyFile = join(policies, '10-test.toml')
  writeFileSync(policyFile, options.policy ?? '[network]\n')
  for (const [name, text] of Object.entries(options.policies ?? {})) writeFileSync(join(policies, name), text)
  writeFileSync(join(dir, 'hosts'), hostsFile(options.hosts ?? {}))
  writeFileSync(join(dir, 'resolv.conf'), '')
  await options.before?.(join(dir, 'var'))
  const log: string[] = []
  const app = await createApp(settingsFor(dir, options), { log: operatorLog(log), version: '0.0.0-test', runPolicyJob, cacheStore: options.cacheStore })
  const listening = await app.start()
  let stopped: Promise<void> | undefined
  const stop = (graceful = false): Promise<void> => (stopped ??= app.stop(graceful))
  t.teardown(async () => {
    await stop()
    keepLogs(dir, { 'operator.log': `${log.join('\n')}\n` })
    rmSync(dir, { recursive: true, force: true })
  })
  const journal = new GrowingJournal(join(dir, 'var', 'journal'))
  const records = (): JournalRecord[] => journal.records()
  return {
    port: Number(new URL(listening.proxy).port),
    url: listening.proxy,
    ops: listening.ops,
    control: listening.control,
    controlSocket: listening.controlSocket,
    dir,
    policyFile,
    log,
    records,
    decisions: () => records().filter((record) => record.name === 'sallyport.decision'),
    recorded: async (fits) => {
      for (;;) {
        const found = records().find(fits)
        if (found !== undefined) return found
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    stop,
  }
}

/** In this thread, since a worker for each proxy of each test would take longer than the test; what crosses threads is
 * cloned all the same. */
async function runPolicyJob(job: PolicyJob): Promise<PolicyYield> {
  const answer = await policyJob(structuredClone(job))
  return structuredClone(answer, { transfer: answer.policy === undefined ? [] : transferables(answer.policy) })
}

function settingsFor(dir: string, options: TestProxyOptions): Settings {
  const loaded = loadSettings({
    flags: { listen: '127.0.0.1:0', ops: 'off', control: 'off', policies: join(dir, 'policies'), data: join(dir, 'var'), certs: join(dir, 'certs'), ...options.flags },
    env: {},
    cwd: dir,
  })
  if (loaded.settings === undefined) throw new Error(loaded.problems.map((problem) => `${problem.where}: ${problem.message}`).join('\n'))
  const settings: Settings = { ...loaded.settings, dns: { ...loaded.settings.dns, hosts: join(dir, 'hosts'), resolvConf: join(dir, 'resolv.conf') } }
  return options.change === undefined ? settings : options.change(settings)
}

function hostsFile(hosts: Readonly<Record<string, string | readonly string[]>>): string {
  return Object.entries(hosts)
    .flatMap(([name, addresses]) => [addresses].flat().map((address) => `${address} ${name}\n`))
    .join('')
}

export function readJournal(dir: string): JournalRecord[] {
  return new GrowingJournal(dir).records()
}

interface ReadSegment {
  readonly bytes: number
  readonly records: readonly JournalRecord[]
}

/** A journal that is read again and again while it is written: each line is parsed once. */
class GrowingJournal {
  readonly #dir: string
  readonly #opener: RecordOpener
  #segments = new Map<string, ReadSegment>()

  constructor(dir: string) {
    this.#dir = dir
    this.#opener = RecordOpener.beside(dir)
  }

  records(): JournalRecord[] {
    const names = readdirSync(this.#dir).filter((name) => name.startsWith('segment-') && name.endsWith('.jsonl')).toSorted()
    this.#segments = new Map(names.map((name) => [name, this.#read(name)]))
    return [...this.#segments.values()].flatMap(({ records }) => records)
  }

  #read(name: string): ReadSegment {
    const path = join(this.#dir, name)
    const before = this.#segments.get(name)
    if (before?.bytes === statSync(path).size) return before
    const all = readFileSync(path)
    const { bytes, records } = before === undefined || before.bytes > all.length ? { bytes: 0, records: [] } : before
    const more = all.toString('utf8', bytes).split('\n').filter((line) => line !== '').map((line) => this.#opener.open(JSON.parse(line)))
    return { bytes: all.length, records: [...records, ...more] }
  }
}

function operatorLog(lines: string[]): OperatorLog {
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`)
  }
  return { info: note, warn: note, error: note, debug: note }
}
