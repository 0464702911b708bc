// W7 as part of a run: starts a collector beside the load generator's place and, round by round, a fresh process
// in the proxy's place, and collects what each says.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ChildProcess } from 'node:child_process'
import { launch, loadCore, proxyCore, stop } from '../launch.ts'
import type { Options } from '../options.ts'
import { median } from '../statistics.ts'
import type { JournalRound, JournalRuns } from './figures.ts'

/** What one round is told, as JSON. */
export interface JournalJob {
  /** an empty folder of its own */
  readonly dir: string
  /** of each of the fifteen measurements; most are preceded by a third of that */
  readonly seconds: number
  readonly warmupSeconds: number
  /** how many records the exporter has to catch up on */
  readonly exportedRecords: number
  /** URL of the collector */
  readonly endpoint: string
}

async function firstLine(child: ChildProcess): Promise<unknown> {
  if (child.stdout === null) throw new Error('it has no standard output')
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line)
  return undefined
}

const isRound = (value: unknown): value is JournalRound => typeof value === 'object' && value !== null && 'costs' in value && 'catchUp' in value

async function oneRound(options: Options, dir: string, log: string, port: number): Promise<JournalRound> {
  mkdirSync(dir)
  const job: JournalJob = {
    dir,
    seconds: options.seconds / 2,
    warmupSeconds: options.warmupSeconds * 2,
    exportedRecords: options.quick ? 30_000 : 100_000,
    endpoint: `http://127.0.0.1:${port}/v1/logs`,
  }
  const profiled = options.profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileDir}`]
  const child = launch(process.execPath, [...profiled, join(import.meta.dirname, 'program.ts'), JSON.stringify(job)], { core: proxyCore, log, pipeOutput: true })
  try {
    const said = await firstLine(child)
    if (!isRound(said)) throw new Error(`it ended without a result: ${readFileSync(log, 'utf8').match(/^\w*Error: .*$/m)?.[0] ?? 'no error'}`)
    return said
  } finally {
    await stop(child, 10_000)
    if (!options.keep) rmSync(dir, { recursive: true, force: true })
  }
}

function shown({ costs, catchUp }: JournalRound): string {
  const loads = costs.map((cost) => `${cost.load} ${cost.decisionCpu.toFixed(1)} (stall ${cost.stallMs.toFixed(1)} ms)`)
  return `${loads.join(', ')}, exporter ${Math.round(catchUp.rate)}/s`
}

/** All rounds of W7; a round that fails is left out by its error. */
export async function runJournal(options: Options, dir: string, say: (text: string) => void): Promise<JournalRuns> {
  say('W7: the journal and its exporter')
  const log = join(dir, 'journal.log')
  const rounds: (JournalRound | null)[] = []
  let failure: string | undefined
  const receiver = launch(process.execPath, [join(import.meta.dirname, 'receiver.ts')], { core: loadCore, log, pipeOutput: true })
  try {
    const line = await firstLine(receiver)
    const port = typeof line === 'object' && line !== null && 'port' in line ? Number(line.port) : 0
    for (let number = 1; number <= options.rounds; number++) {
      try {
        const round = await oneRound(options, join(dir, `journal-${number}`), log, port)
        rounds.push(round)
        say(`  round ${number} of ${options.rounds} (CPU µs per decision): ${shown(round)}`)
      } catch (error) {
        rounds.push(null)
        failure ??= error instanceof Error ? error.message : String(error)
        say(`  round ${number} of ${options.rounds} failed: ${failure}`)
      }
    }
  } finally {
    await stop(receiver)
  }
  const foreign = median(rounds.flatMap((round) => (round === null ? [] : [round.foreign])))
  if (foreign > 0.1) say(`  other work took ${Math.round(foreign * 100)} % of the core: stalls of this run may be its doing`)
  return failure === undefined ? { rounds } : { rounds, error: failure.replaceAll(dir, '.') }
}
