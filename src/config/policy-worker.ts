// The worker in which policies are read and compiled, so that a list of a million names never stalls
// a request. One worker per load: its heap goes when it ends. It posts one message and holds nothing.
import { parentPort, workerData } from 'node:worker_threads'
import { compilePolicy, transferables } from '../policy/compile.ts'
import type { KnownCredential, Policy, Problem } from '../policy/compile.ts'
import { readPolicy } from './policy-read.ts'
import type { PolicyPlaces, Reading } from './policy-read.ts'

export interface ReservedDestination {
  readonly host: string
  /** undefined: every port */
  readonly port?: number | undefined
}

export interface PolicyJob extends PolicyPlaces {
  /** fingerprint of the policy in force: the same content is not compiled again */
  readonly known: string | undefined
  /** destinations of the proxy itself, denied to agents */
  readonly reserved: readonly ReservedDestination[]
  /** what settings say of credentials; undefined: not checked */
  readonly credentials: readonly KnownCredential[] | undefined
}

export interface PolicyYield extends Pick<Reading, 'files' | 'managedFound' | 'stamp' | 'fingerprint'> {
  /** paths of the layers that were read, managed first */
  readonly sourcePaths: readonly string[]
  readonly outcome: 'compiled' | 'unchanged' | 'invalid'
  /** set when `compiled`, but not of a job with `approved`: that one only tries */
  readonly policy: Policy | undefined
  readonly problems: readonly Problem[]
}

const port = parentPort
if (port !== null) {
  const answer = await runPolicyJob(workerData)
  port.postMessage(answer, answer.policy === undefined ? [] : transferables(answer.policy))
}

/** What the worker does with its job; blocks for as long as the policy takes to compile. */
export async function runPolicyJob(job: PolicyJob): Promise<PolicyYield> {
  const { sources, feeds, caFiles, problems, ...reading } = await readPolicy(job)
  const rest = {
    files: reading.files,
    managedFound: reading.managedFound,
    stamp: reading.stamp,
    fingerprint: reading.fingerprint,
    sourcePaths: sources.map((source) => source.path),
  }
  if (reading.fingerprint === job.known) return { ...rest, outcome: 'unchanged', policy: undefined, problems }
  // compiled in spite of what could not be read, so that all problems are told at once
  const compiled = compilePolicy(sources, feeds, { reserved: job.reserved, credentials: job.credentials, caFiles })
  const all = [...problems, ...compiled.problems]
  if (compiled.policy === undefined || all.some((problem) => problem.severity === 'error')) {
    return { ...rest, outcome: 'invalid', policy: undefined, problems: all }
  }
  return { ...rest, outcome: 'compiled', policy: job.approved === undefined ? compiled.policy : undefined, problems: all }
}
