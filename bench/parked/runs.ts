// The parked part of W6 as part of a run: for each load a fresh proxy in the proxies' place, with the sessions and
// reviewers it needs, and a load program in the load generator's; collects what they say.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Actor } from '../../src/approvals/actor.ts'
import { migrations } from '../../src/approvals/migrations.ts'
import { SessionRegistry } from '../../src/approvals/session-registry.ts'
import { TokenRegistry } from '../../src/approvals/token-registry.ts'
import { systemClock } from '../../src/clock.ts'
import { openSqliteStore } from '../../src/store/sqlite-store.ts'
import { launch, loadCore, proxyCore, stop } from '../launch.ts'
import type { Options } from '../options.ts'
import { busySeconds, cpuSeconds } from '../proc.ts'
import { parkedCost, parkedLoads, quickened, type ParkedCost, type ParkedLoad, type ParkedMeasured, type ParkedRound, type ParkedRuns } from './figures.ts'
import type { LoadJob } from './load.ts'

const binary = join(import.meta.dirname, '../../bin/sallyport.js')
const singleHolds = 200
/** nobody is told to come back while the load is still being put up */
const holdMs = 600_000
/** decisions: one for each question and single hold, 100 by each reviewer, and some to spare */
const reviewersFor = ({ sessions, hosts }: ParkedLoad): number => Math.ceil((sessions * hosts + singleHolds) / 100) + 1

const settings = (dir: string): string => `[dns]
hosts = ${JSON.stringify(join(dir, 'hosts'))}

[audit]
segment_bytes = "1 GiB"

[approvals]
total = 100000
`

const policy = (originPort: number): string => `[network]
unknown = "deny"

[[network.rules]]
id = "parked"
hosts = ["*.parked.test:${originPort}"]
local = ["127.0.0.1/32"]
verdict = "ask"
`

function hostsFile({ hosts }: ParkedLoad): string {
  const names = Array.from({ length: hosts }, (_, place) => `h${place}`)
  return ['single', ...names].map((name) => `127.0.0.1 ${name}.parked.test\n`).join('')
}

/** Written into the database that the proxy will open: the control API would have each caller wait its turn. */
async function issue(dataDir: string, load: ParkedLoad): Promise<Pick<LoadJob, 'sessions' | 'tokens'>> {
  mkdirSync(dataDir, { recursive: true })
  const store = openSqliteStore(join(dataDir, 'sallyport.db'), migrations)
  const onFault = (error: unknown): never => {
    throw error
  }
  const registry = new SessionRegistry({ store, clock: systemClock, audit: { append: async () => {} }, requireSession: false, policyNamesAgents: () => false, onFault })
  const sessions: { id: string; field: string }[] = []
  for (let place = 0; place < load.sessions * 1.25; place++) {
    const { session: { id }, token } = await registry.create({ agent: 'bench', owner: undefined, team: undefined, hold: holdMs, unattended: false, ttlMs: undefined }, 'bench')
    sessions.push({ id, field: `Basic ${Buffer.from(`${id}:${token}`).toString('base64')}` })
  }
  const admin: Actor = { kind: 'local', name: 'bench', role: 'admin', teams: [], tokenId: undefined, mintedBy: undefined }
  const reviewers = new TokenRegistry({ store, clock: systemClock, onFault })
  const tokens = Array.from({ length: reviewersFor(load) }, (_, place) =>
    reviewers.create({ kind: 'person', name: `reviewer-${place}`, role: 'reviewer', teams: [], ttlMs: 86_400_000 }, admin).secret)
  registry.close()
  reviewers.close()
  store.close()
  return { sessions, tokens }
}

class Lines {
  readonly #child: ChildProcess
  readonly #log: string
  readonly #lines: AsyncIterator<string>

  constructor(child: ChildProcess, log: string) {
    if (child.stdout === null) throw new Error('it has no standard output')
    this.#child = child
    this.#log = log
    const reader: Interface = createInterface({ input: child.stdout })
    this.#lines = reader[Symbol.asyncIterator]()
  }

  /** Its next line of JSON; fails when it ends without. */
  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done !== true) return JSON.parse(value)
    throw new Error(`it ended without a result (${this.#child.exitCode ?? this.#child.signalCode}): ${readFileSync(this.#log, 'utf8').match(/^\w*Error: .*$/m)?.[0] ?? 'no error'}`)
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined
}

const isMeasured = (value: unknown): value is ParkedMeasured => memberOf(value, 'latenciesMs') !== undefined

async function measureLoad(options: Options, dir: string, load: ParkedLoad): Promise<{ readonly cost: ParkedCost; readonly cpuSeconds: number }> {
  const log = `${dir}.log`
  const dataDir = join(dir, 'var')
  mkdirSync(join(dir, 'policies'), { recursive: true })
  writeFileSync(join(dir, 'hosts'), hostsFile(load))
  writeFileSync(join(dir, 'sallyport.toml'), settings(dir))
  const issued = await issue(dataDir, load)
  const driver = launch(process.execPath, [join(import.meta.dirname, 'load.ts')], { core: loadCore, log, pipeOutput: true })
  let proxy: ChildProcess | undefined
  try {
    const said = new Lines(driver, log)
    writeFileSync(join(dir, 'policies/bench.toml'), policy(Number(memberOf(await said.next(), 'port'))))
    const profiled = options.profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileDir}`]
    const args = ['start', '--json', '--config', join(dir, 'sallyport.toml'), '--listen', '127.0.0.1:0', '--ops', 'off', '--control', 'off', '--policies', join(dir, 'policies'), '--data', dataDir, '--certs', join(dir, 'certs')]
    proxy = launch(process.execPath, [...options.nodeOptions, ...profiled, binary, ...args], { core: proxyCore, log, cwd: dir, pipeOutput: true })
    const port = Number(/:(\d+)\/?$/.exec(String(memberOf(await new Lines(proxy, log).next(), 'proxy')))?.[1])
    const job: LoadJob = { load, proxy: { port, pid: proxy.pid ?? 0, socketPath: join(dataDir, 'control.sock'), journalDir: join(dataDir, 'journal') }, ...issued, singleHolds: Math.min(singleHolds, load.sessions) }
    driver.stdin?.write(`${JSON.stringify(job)}\n`)
    const measured = await said.next()
    if (!isMeasured(measured)) throw new Error('it said something else than a result')
    return { cost: parkedCost(load, measured), cpuSeconds: cpuSeconds(proxy.pid ?? 0) }
  } finally {
    await stop(driver)
    if (proxy !== undefined) await stop(proxy, 10_000)
    if (!options.keep) rmSync(dir, { recursive: true, force: true })
  }
}

async function oneRound(options: Options, dir: string): Promise<ParkedRound> {
  const began = performance.now()
  const busyBefore = busySeconds(proxyCore)
  const costs: ParkedCost[] = []
  let ownSeconds = 0
  for (const load of parkedLoads) {
    const { cost, cpuSeconds: used } = await measureLoad(options, `${dir}-${load.name}`, options.quick ? quickened(load) : load)
    costs.push(cost)
    ownSeconds += used
  }
  const foreign = (busySeconds(proxyCore) - busyBefore - ownSeconds) / ((performance.now() - began) / 1000)
  return { costs, foreign: Math.max(0, Math.round(foreign * 100) / 100) }
}

function shown({ costs }: ParkedRound): string {
  return costs.map((cost) => `${cost.load} ${cost.residentKiB.toFixed(1)} KiB, released in ${cost.releaseSeconds.toFixed(2)} s, left in ${cost.leaveSeconds.toFixed(2)} s, p50 ${cost.latencyP50.toFixed(1)} ms`).join('; ')
}

/** All rounds; one that fails is left out by its error. */
export async function runParked(options: Options, dir: string, say: (text: string) => void): Promise<ParkedRuns> {
  say('W6: parked requests')
  const rounds: (ParkedRound | null)[] = []
  let failure: string | undefined
  for (let number = 1; number <= options.rounds; number++) {
    try {
      const round = await oneRound(options, join(dir, `parked-${number}`))
      rounds.push(round)
      say(`  round ${number} of ${options.rounds}: ${shown(round)}`)
    } catch (error) {
      rounds.push(null)
      failure ??= error instanceof Error ? error.message : String(error)
      say(`  round ${number} of ${options.rounds} failed: ${failure}`)
    }
  }
  return failure === undefined ? { rounds } : { rounds, error: failure.replaceAll(dir, '.') }
}
