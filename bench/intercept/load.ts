// The load of the interception benchmarks: what the TLS load generator is told, and what it says at the end.
import { createInterface } from 'node:readline'
import { launch, loadCore, stop } from '../launch.ts'

/** GETs on kept-alive connections, over HTTP/2, with a full handshake each, resuming, each to a host never seen */
export type TlsMode = 'keep' | 'h2' | 'full' | 'resumed' | 'fresh'

export interface TlsLoad {
  readonly mode: TlsMode
  readonly port: number
  /** whether the port is a forward proxy */
  readonly forward: boolean
  readonly concurrency: number
  readonly seconds: number
  /** hosts to ask, for `fresh` */
  readonly count: number
  /** with a `%d` for `fresh` */
  readonly host: string
  readonly hostPort: number
  /** number of the first host, for `fresh` */
  readonly first: number
}

export interface TlsLoadResult {
  readonly operations: number
  readonly errors: number
  readonly bytes: number
  readonly connections: number
  readonly seconds: number
  /** handshakes that resumed a session */
  readonly resumed: number
  /** of `fresh`: from connecting to the end of the answer, `ms` */
  readonly p50: number
  readonly p99: number
  /** what the first error was */
  readonly error: string
}

function isResult(value: unknown): value is TlsLoadResult {
  return typeof value === 'object' && value !== null && 'operations' in value && 'p99' in value
}

/** Everything was answered, and in the way that the mode is about; throws otherwise. */
export function checkTls(load: Pick<TlsLoad, 'mode' | 'concurrency'>, result: TlsLoadResult): TlsLoadResult {
  const { operations, errors, connections, resumed, error } = result
  if (operations === 0 || errors > 0) throw new Error(`${errors} of ${connections} connections failed: ${error}`)
  // each client has one connection before it has a session
  if (load.mode === 'resumed' && resumed < (connections - load.concurrency) * 0.9) throw new Error(`it does not resume: ${resumed} of ${connections} handshakes did`)
  if (load.mode === 'full' && resumed > 0) throw new Error(`${resumed} handshakes were not full`)
  return result
}

/** One load from start to end. */
export async function runTlsLoad(client: string, load: TlsLoad, log: string): Promise<TlsLoadResult> {
  const args = [load.mode, load.port, load.forward ? 1 : 0, load.concurrency, load.seconds, load.count, load.host, load.hostPort, load.first].map(String)
  const child = launch(client, args, { core: loadCore, log, pipeOutput: true })
  try {
    if (child.stdout === null) throw new Error('the load generator has no output')
    for await (const line of createInterface({ input: child.stdout })) {
      const said: unknown = JSON.parse(line)
      if (isResult(said)) return checkTls(load, said)
    }
    throw new Error('the load generator ended without a result')
  } finally {
    await stop(child)
  }
}
