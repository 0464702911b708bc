// Where a policy command looks: flag, then SALLYPORT_… variable, then sallyport.toml, then `policies/`,
// the same way `start` finds it, so that check and start never speak of different files.
import { processEnvironment } from '../config/environment.ts'
import { loadSettings } from '../config/load.ts'
import { knownCredentials } from '../config/load-credentials.ts'
import { reservedDestinations } from '../config/own-places.ts'
import type { ReservedDestination } from '../config/policy-worker.ts'
import type { KnownCredential } from '../policy/compile.ts'
import { classifyAddress, parseIp } from '../target/address.ts'
import type { CommandIo } from './run.ts'

/** Options that every policy command takes, for node:util parseArgs. */
export const policyOptions = {
  policies: { type: 'string' },
  requirements: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export const policyOptionsHelp = `  --policies DIR       folder of the policy files (default: policies/)
  --requirements FILE  the managed layer (default: /etc/sallyport/requirements.toml, if it exists)
  --config FILE        settings file that may name both (default: sallyport.toml, if it exists)
`

export interface PolicyPlace {
  readonly policiesDir: string
  readonly requirementsFile: string | undefined
  /** every listener is on loopback, so `allow_local_binding` counts */
  readonly onlyLoopback: boolean
  /** what the proxy itself connects to */
  readonly reserved: readonly ReservedDestination[]
  readonly credentials: readonly KnownCredential[]
}

/** Undefined when the settings are wrong: said on stderr, and the command ends with 1. */
export function findPolicy(
  flags: { readonly policies?: string | undefined; readonly requirements?: string | undefined; readonly config?: string | undefined },
  io: CommandIo,
): PolicyPlace | undefined {
  const { policies, requirements, config } = flags
  const loaded = loadSettings({ flags: { policies, requirements, config }, env: processEnvironment(), cwd: io.cwd, secrets: 'unused' })
  if (loaded.settings === undefined) {
    for (const { where, message } of loaded.problems) io.err(`${where}: error: ${message}\n`)
    return undefined
  }
  const { policiesDir, requirementsFile, listen } = loaded.settings
  const onlyLoopback = listen.host === 'localhost' || parsesAsLoopback(listen.host)
  return { policiesDir, requirementsFile, onlyLoopback, reserved: reservedDestinations(loaded.settings), credentials: knownCredentials(loaded.settings.credentials) }
}

function parsesAsLoopback(host: string): boolean {
  const ip = parseIp(host)
  return ip !== undefined && classifyAddress(ip) === 'loopback'
}
