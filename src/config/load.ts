// Process settings from flag, environment, file and default, in that order of strength. Everything
// that is wrong is reported at once, with its place; a setting that is wrong never falls back.
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { nearestWord } from '../policy/suggestion.ts'
import { type Environment, tokenVariable } from './environment.ts'
import type { Destination } from '../audit/destination.ts'
import { readCache } from './load-cache.ts'
import { completed, type WrittenDestination } from './load-destinations.ts'
import { type Given, readSettingsFile, type SettingsProblem } from './load-file.ts'
import { readNotifications } from './load-notifications.ts'
import { judgeSettings, readControlTls, readOtel, readUpstream } from './load-rules.ts'
import { placed, SettingError } from './schema-kinds.ts'
import { schema, settingList, type SettingName, type SettingValue, variableOf } from './schema.ts'
import type { CredentialSettings, Limits, Settings } from './settings.ts'

export type { SettingsProblem } from './load-file.ts'

export interface LoadInput {
  /** by flag name without dashes; `config` names the file */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>
  readonly env: Environment
  readonly cwd: string
  /** `unused`: a secret that cannot be found is a warning, for commands that only read; default `needed` */
  readonly secrets?: 'needed' | 'unused'
}

export interface LoadedSettings {
  /** undefined when there is any problem */
  readonly settings: Settings | undefined
  readonly problems: readonly SettingsProblem[]
  readonly warnings: readonly string[]
}

/** Typed view of what was given, defaults filled in; every problem on the way is collected. */
export class Values {
  readonly problems: SettingsProblem[] = []
  readonly warnings: string[] = []
  readonly env: Environment
  readonly #given: ReadonlyMap<SettingName, Given>
  readonly #needsSecrets: boolean

  constructor(given: ReadonlyMap<SettingName, Given>, env: Environment, needsSecrets: boolean) {
    this.#given = given
    this.env = env
    this.#needsSecrets = needsSecrets
  }

  get<Name extends SettingName>(name: Name): SettingValue<Name> {
    const value = this.#given.get(name)?.value
    if (!isValueOf(name, value)) throw new TypeError(`the setting ${name} has no value`)
    return value
  }

  /** where the value was written, or undefined when it is the default */
  where(name: SettingName): string | undefined {
    return this.#given.get(name)?.where
  }

  problem(name: SettingName, message: string): void {
    this.problems.push(this.#told(name, message))
  }

  /** A secret that only the running proxy has to find. */
  missingSecret(name: SettingName, message: string): void {
    if (this.#needsSecrets) return this.problem(name, message)
    this.#warnOfMissing(this.#told(name, message))
  }

  /** The same for what is no setting by itself. */
  missingSecretAt(problem: SettingsProblem): void {
    if (this.#needsSecrets) this.problems.push(problem)
    else this.#warnOfMissing(problem)
  }

  #warnOfMissing({ where, message }: SettingsProblem): void {
    this.warnings.push(`${where}: ${message}; the proxy does not start without it`)
  }

  #told(name: SettingName, message: string): SettingsProblem {
    const { key } = settingList.find((setting) => setting.name === name) ?? { key: name }
    const colon = message.startsWith('`') ? ':' : ''
    return { where: this.where(name) ?? key, message: `\`${key}\`${colon} ${message}` }
  }
}

/** The map holds what the setting's own kind returned, so only its absence is in doubt. */
function isValueOf<Name extends SettingName>(
  name: Name,
  value: unknown,
): value is SettingValue<Name> {
  return value !== undefined || schema[name].default === undefined
}

export function loadSettings(input: LoadInput): LoadedSettings {
  const problems: SettingsProblem[] = []
  const warnings: string[] = []
  const given = new Map<SettingName, Given>()

  const file = findFile(input, problems)
  let credentials: readonly CredentialSettings[] = []
  let written: readonly WrittenDestination[] = []
  if (file !== undefined) {
    const read = readSettingsFile(file.path, file.shown)
    problems.push(...read.problems)
    warnings.push(...read.notices)
    for (const [name, value] of read.values) given.set(name, value)
    credentials = read.credentials
    written = read.destinations
  }
  readTexts(input, given, problems)
  warnings.push(...strayVariables(input.env), ...unsetVariables(credentials, input))

  for (const setting of settingList) {
    if (given.has(setting.name) || setting.default === undefined) continue
    const value = setting.kind.fromText(setting.default)
    given.set(setting.name, { value: placed(setting.kind, value, input.cwd), where: 'default' })
  }
  const values = new Values(given, input.env, input.secrets !== 'unused')
  const settings = build(values, file?.path, credentials, written.map((destination) => completed(destination, values)))
  judgeSettings(settings, values)
  problems.push(...values.problems)
  warnings.push(...values.warnings)
  return { settings: problems.length === 0 ? settings : undefined, problems, warnings }
}

function findFile(
  input: LoadInput,
  problems: SettingsProblem[],
): { readonly path: string; readonly shown: string } | undefined {
  const flag = input.flags['config']
  const variable = input.env['SALLYPORT_CONFIG']
  const named = typeof flag === 'string' ? flag : variable === '' ? undefined : variable
  const shown = named ?? 'sallyport.toml'
  const path = resolve(input.cwd, shown)
  const found = exists(path)
  if (found) return { path, shown }
  if (named !== undefined) {
    const where = typeof flag === 'string' ? '--config' : 'SALLYPORT_CONFIG'
    problems.push({ where, message: `there is no file \`${named}\`` })
  }
  return undefined
}

/** Only a certain "not there" is false: what cannot be looked at is reported when it is read. */
function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ENOTDIR')
  }
}

/** Variables first, then flags over them. */
function readTexts(
  input: LoadInput,
  given: Map<SettingName, Given>,
  problems: SettingsProblem[],
): void {
  for (const setting of settingList) {
    const variable = variableOf(setting.key)
    const flag = setting.flag === undefined ? undefined : input.flags[setting.flag]
    const sources = [
      // an empty variable is how compose files and shells say "not set"
      { where: variable, text: input.env[variable] === '' ? undefined : input.env[variable] },
      { where: `--${setting.flag}`, text: flag === undefined ? undefined : String(flag) },
    ]
    for (const { where, text } of sources) {
      if (text === undefined) continue
      try {
        const value = setting.kind.fromText(text)
        given.set(setting.name, { value: placed(setting.kind, value, input.cwd), where })
      } catch (error) {
        if (!(error instanceof SettingError)) throw error
        problems.push({ where, message: error.message })
      }
    }
  }
}

/** Misspelt variables; not those that Kubernetes makes for a service called sallyport. */
function strayVariables(env: Environment): string[] {
  const known = new Set(['SALLYPORT_CONFIG', tokenVariable, ...settingList.map((setting) => variableOf(setting.key))])
  const warnings: string[] = []
  for (const name of Object.keys(env)) {
    if (!name.startsWith('SALLYPORT_') || known.has(name)) continue
    if (/^SALLYPORT_(SERVICE_|PORT(_|$))/.test(name)) continue
    const near = nearestWord(name, [...known].map((word) => word.toLowerCase()))
    const hint = near === undefined ? '' : `, did you mean ${near.toUpperCase()}?`
    warnings.push(`there is no setting for the variable ${name}${hint}`)
  }
  return warnings
}

/** A variable of this process is never set later. */
function unsetVariables(credentials: readonly CredentialSettings[], { env, secrets }: LoadInput): string[] {
  if (secrets === 'unused') return []
  return credentials.flatMap(({ name, source }) => {
    const isUnset = source.kind === 'env' && (env[source.variable] ?? '') === ''
    return isUnset ? [`credentials.${name}: the variable ${source.variable} is not set, so requests that need the credential are refused`] : []
  })
}

function build(values: Values, configFile: string | undefined, credentials: readonly CredentialSettings[], destinations: readonly Destination[]): Settings {
  const heartbeat = values.get('auditHeartbeat')
  return {
    configFile,
    listen: values.get('listen'),
    control: values.get('control'),
    ops: values.get('ops'),
    policiesDir: values.get('policies'),
    requirementsFile: values.get('requirements'),
    dataDir: values.get('data'),
    certsDir: values.get('certs'),
    secretFiles: [values.get('webhookSecretFile'), values.get('upstreamPasswordFile'), values.get('cacheParentPasswordFile')].filter((path) => path !== undefined),
    json: values.get('json'),
    clients: values.get('clients'),
    requireSession: values.get('requireSession'),
    controlTls: readControlTls(values),
    controlHosts: values.get('controlHosts'),
    approvals: {
      perSession: values.get('approvalsPerSession'),
      perSessionPerMinute: values.get('approvalsPerMinute'),
      total: values.get('approvalsTotal'),
      waitingTtlMs: values.get('approvalsWaitingTtl'),
      idleTtlMs: values.get('approvalsIdleTtl'),
    },
    sessions: { hold: values.get('sessionsHold'), ttlMs: values.get('sessionsTtl') },
    grants: { maxTtlMs: values.get('grantsMaxTtl') },
    notifications: readNotifications(values),
    credentials,
    limits: readLimits(values),
    dns: {
      servers: values.get('dnsServers'),
      timeoutMs: values.get('dnsTimeout'),
      resolvConf: values.get('resolvConf'),
      hosts: values.get('hosts'),
    },
    cache: readCache(values),
    audit: {
      url: values.get('auditUrl'),
      maxAgeMs: values.get('auditMaxAge'),
      maxBytes: values.get('auditMaxBytes'),
      segmentBytes: values.get('auditSegmentBytes'),
      durability: values.get('auditDurability'),
      checkpointIntervalMs: values.get('auditCheckpointInterval'),
      recordsPerSessionPerMinute: values.get('auditRecords'),
      sealPersonal: values.get('auditSeal'),
      heartbeatMs: heartbeat === 'off' ? 0 : heartbeat,
      destinations,
    },
    otel: readOtel(values),
    originTls: { crlFiles: values.get('originCrlFiles'), crlDir: values.get('originCrlDir') },
    upstreamProxy: readUpstream(values),
    log: { level: values.get('logLevel') },
  }
}

function readLimits(values: Values): Limits {
  return {
    headerBytes: values.get('headerBytes'),
    headerCount: values.get('headerCount'),
    headersTimeoutMs: values.get('headersTimeout'),
    requestTimeoutMs: values.get('requestTimeout'),
    keepAliveTimeoutMs: values.get('keepAliveTimeout'),
    urlBytes: values.get('urlBytes'),
    tunnelIdleMs: values.get('tunnelIdle'),
    originTimeoutMs: values.get('originTimeout'),
    helloTimeoutMs: values.get('helloTimeout'),
    helloBytes: values.get('helloBytes'),
    connectTimeoutMs: values.get('connectTimeout'),
    connections: values.get('connections'),
    connectionsPerClient: values.get('connectionsPerClient'),
    drainMs: values.get('drain'),
    newNamesPerMinute: values.get('newNamesPerMinute'),
  }
}
