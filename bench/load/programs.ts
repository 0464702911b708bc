// The origin and the load generator: two small C programs, compiled into the run's own folder, so that
// neither is what a proxy waits for.
import { spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { launch, loadCore, stop } from '../launch.ts'
import type { OriginPorts } from '../peers/peer.ts'

export interface Programs {
  readonly origin: string
  readonly client: string
}

/** Compiles both; says so plainly when there is no C compiler. */
export function compilePrograms(dir: string): Programs {
  const compile = (name: string): string => {
    const binary = join(dir, name)
    const run = spawnSync('cc', ['-O2', '-o', binary, join(import.meta.dirname, `${name}.c`)], { encoding: 'utf8' })
    if (run.error !== undefined) throw new Error('the benchmarks need a C compiler named `cc` (build-essential) for their load generator')
    if (run.status !== 0) throw new Error(`the load generator does not compile: ${run.stderr}`)
    return binary
  }
  return { origin: compile('origin'), client: compile('client') }
}

export interface Origin {
  readonly ports: OriginPorts
  stop(): Promise<void>
}

function arePorts(value: unknown): value is OriginPorts {
  return typeof value === 'object' && value !== null && 'hello' in value && 'http' in value
}

export async function startOrigin(programs: Programs, log: string): Promise<Origin> {
  const child = launch(programs.origin, [], { core: loadCore, log, pipeOutput: true })
  if (child.stdout === null) throw new Error('the origin has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const ports: unknown = JSON.parse(line)
    if (!arePorts(ports)) throw new Error(`the origin said: ${line}`)
    return { ports, stop: () => stop(child) }
  }
  throw new Error('the origin did not start')
}

export type Mode = 'tunnel' | 'download' | 'upload' | 'get' | 'refuse' | 'idle'

export interface Load {
  readonly mode: Mode
  readonly port: number
  /** whether the port is a forward proxy */
  readonly forward: boolean
  readonly helloFile: string
  readonly concurrency: number
  readonly seconds: number
  /** total to move, or idle tunnels to hold */
  readonly bytes: number
  readonly targets: readonly string[]
}

export interface LoadResult {
  readonly operations: number
  readonly errors: number
  readonly bytes: number
  readonly connections: number
  readonly seconds: number
  /** what the first error was */
  readonly error: string
}

export interface RunningLoad {
  readonly result: Promise<LoadResult>
  stop(): Promise<void>
}

function isLoadResult(value: unknown): value is LoadResult {
  return typeof value === 'object' && value !== null && 'operations' in value && 'seconds' in value
}

export function startLoad(programs: Programs, load: Load, log: string): RunningLoad {
  const args = [
    load.mode, load.port, load.forward ? 1 : 0, load.helloFile, load.concurrency, load.seconds, load.bytes, load.targets.join(','),
  ].map(String)
  const child = launch(programs.client, args, { core: loadCore, log, pipeOutput: true })
  const output = child.stdout
  if (output === null) throw new Error('the load generator has no output')
  const result = (async () => {
    for await (const line of createInterface({ input: output })) {
      const said: unknown = JSON.parse(line)
      if (isLoadResult(said)) return said
    }
    throw new Error('the load generator ended without a result')
  })()
  return { result, stop: () => stop(child) }
}

/** One load from start to end. */
export async function runLoad(programs: Programs, load: Load, log: string): Promise<LoadResult> {
  const running = startLoad(programs, load, log)
  try {
    return await running.result
  } finally {
    await running.stop()
  }
}
