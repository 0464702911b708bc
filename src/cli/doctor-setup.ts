// The half of `doctor` that looks at the set-up on this machine: could the proxy start and work here?
// It changes nothing: no file is made, no lock taken, no port bound.
import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseLine, zeroHash } from '../audit/record.ts'
import { journalDir, listSegments, readLines } from '../audit/segments.ts'
import { CertificateAuthority } from '../ca/certificate-authority.ts'
import type { Clock } from '../clock.ts'
import { ownShares, scarcityOf } from '../config/descriptors.ts'
import { type Environment, environmentDangers } from '../config/environment.ts'
import { formatHostPort } from '../config/load-rules.ts'
import { reservedDestinations } from '../config/own-places.ts'
import type { HostPort, Settings } from '../config/settings.ts'
import { createResolver } from '../egress/resolver.ts'
import { ProxyError } from '../errors.ts'
import { plural } from './plural.ts'
import type { Finding } from './doctor-finding.ts'
import { parentCacheFindings } from './doctor-parent-cache.ts'
import type { Probes } from './doctor-probes.ts'
import { revocationFindings } from './doctor-revocation.ts'

export interface SetupOptions {
  readonly settings: Settings
  readonly probes: Probes
  readonly clock: Clock
  readonly cwd: string
  readonly probeName: string
}

type Outcome = Omit<Finding, 'name' | 'group'>

const ok = (detail: string): Outcome => ({ status: 'ok', detail })
const skip = (detail: string): Outcome => ({ status: 'skip', detail })
const warn = (detail: string, remedy: string): Outcome => ({ status: 'warn', detail, remedy })
const fail = (detail: string, remedy: string): Outcome => ({ status: 'fail', detail, remedy })

/** Node and the environment: the two that matter wherever the command is run. */
export function runtimeFindings(nodeVersion: string, env: Environment, execArgv: readonly string[]): Finding[] {
  const major = Number(nodeVersion.replace(/^v/, '').split('.', 1)[0])
  const dangers = environmentDangers(env, execArgv)
  const node = major >= 26 ? ok(nodeVersion) : fail(`${nodeVersion} is too old`, 'run it as `npm start` or `npx sallyport`, which bring Node 26')
  const environment = dangers.length === 0 ? ok('nothing in it weakens TLS') : fail(dangers.join('; '), 'unset them: the proxy refuses to start like this')
  return [named('node', node), named('environment', environment)]
}

function named(name: string, outcome: Outcome): Finding {
  return { name, group: 'setup', ...outcome }
}

export async function setupFindings(options: SetupOptions): Promise<Finding[]> {
  const { settings, probes, clock } = options
  const always = await Promise.all([
    portOutcome(settings.listen, '/', 'sallyport', '--listen', probes).then((found) => named('proxy_port', found)),
    opsOutcome(settings, probes).then((found) => named('ops_port', found)),
    policyOutcome(options).then((found) => named('policy', found)),
    dataOutcome(settings).then((found) => named('data_folder', found)),
    journalOutcome(settings).then((found) => named('journal', found)),
    clockOutcome(settings, clock).then((found) => named('clock', found)),
    resolverOutcome(options).then((found) => named('resolver', found)),
    caOutcome(settings.certsDir, clock).then((found) => named('ca', found)),
  ])
  return [...always, named('open_files', descriptorOutcome(settings)), ...(await parentCacheFindings(settings, clock)), ...(await revocationFindings(settings, clock))]
}

/** Of this process, which has the limit of whatever would be started from here. */
function descriptorOutcome({ limits }: Settings): Outcome {
  const shares = ownShares()
  if (shares === undefined) return skip('this system does not say how many files may be open')
  const scarcity = scarcityOf(shares, limits.connections)
  return scarcity === undefined ? ok(`${shares.limit} may be open, enough for ${shares.clients} client connections`) : warn(scarcity, 'a service has a limit of its own, which its banner tells')
}

async function opsOutcome(settings: Settings, probes: Probes): Promise<Outcome> {
  if (settings.ops === 'off') return skip('off')
  return portOutcome(settings.ops, '/livez', 'ok', '--ops', probes)
}

/** Free, ours, or somebody else's: told apart by what answers there. */
async function portOutcome(at: HostPort, path: string, opening: string, flag: string, probes: Probes): Promise<Outcome> {
  if (at.port === 0) return skip('a free port is picked at the start')
  const host = at.host === '0.0.0.0' ? '127.0.0.1' : at.host === '::' ? '::1' : at.host
  const shown = formatHostPort(at)
  const outcome = await probes.tcp({ host, port: at.port })
  if (outcome.kind === 'blocked') return ok(`${shown} is free`)
  const answer = await probes.get({ host, port: at.port }, path)
  if (answer?.body.startsWith(opening)) return ok(`sallyport is running at ${shown}`)
  return fail(`${shown} is used by another program`, `stop it, or choose another address with \`${flag} HOST:PORT\``)
}

async function policyOutcome({ settings, cwd }: SetupOptions): Promise<Outcome> {
  const { compileFor, countOf } = await import('./policy-problems.ts')
  const { policiesDir, requirementsFile } = settings
  const { policy, problems } = await compileFor({ files: [], policiesDir, requirementsFile, cwd, reserved: reservedDestinations(settings) })
  const [first] = problems.filter(({ severity }) => severity === 'error')
  if (policy === undefined) {
    const where = first === undefined ? '' : `: ${first.file}:${first.line}: ${first.message}`
    return fail(`${plural(countOf(problems, 'error'), 'error')}${where}`, '`sallyport check` shows all of them')
  }
  const detail = `compiles: ${plural(policy.ruleCount, 'rule')}, mode ${policy.mode}, revision ${policy.revision}`
  const warnings = countOf(problems, 'warning')
  return warnings === 0 ? ok(detail) : warn(`${detail}, ${plural(warnings, 'warning')}`, '`sallyport check` shows them')
}

/** Events name hosts and paths, so the folder is for the proxy's user alone. */
async function dataOutcome({ dataDir, audit }: Settings): Promise<Outcome> {
  const found = await statOf(dataDir)
  if (found === undefined) {
    const parent = await nearestFolder(dirname(dataDir))
    return (await isWritable(parent))
      ? ok(`${dataDir} is made at the start`)
      : fail(`${dataDir} does not exist and cannot be made`, `give this user write access to ${parent}, or choose another with \`--data DIR\``)
  }
  if (!found.isDirectory()) return fail(`${dataDir} is not a folder`, 'choose another with `--data DIR`')
  if (!(await isWritable(dataDir))) return fail(`${dataDir} cannot be written by this user`, 'run doctor and the proxy as the same user, or mend the permissions')
  if ((found.mode & 0o022) !== 0) return fail(`${dataDir} can be written by other users`, `chmod go-rwx ${dataDir}`)
  if ((found.mode & 0o055) !== 0) return warn(`${dataDir} can be read by other users`, `chmod go-rwx ${dataDir}`)
  const { bavail, bsize } = await statfs(dataDir)
  const freeMiB = Math.floor((bavail * bsize) / 2 ** 20)
  if (freeMiB < 1024 && freeMiB * 2 ** 20 < audit.maxBytes) {
    return warn(`${dataDir} has ${freeMiB} MiB free: when the journal cannot be written, nothing is allowed`, 'make room, or lower `audit.max_bytes`')
  }
  return ok(`${dataDir} is for this user alone`)
}

/** The last segment only: `audit verify` reads all of them. */
async function journalOutcome({ dataDir }: Settings): Promise<Outcome> {
  const dir = journalDir(dataDir)
  if ((await statOf(dir)) === undefined) return skip('there is none yet')
  if (!(await isWritable(dir))) return fail(`${dir} cannot be written by this user`, 'mend the permissions: without a journal nothing is allowed')
  const last = (await listSegments(dir)).at(-1)
  if (last === undefined) return ok('empty')
  let count = 0
  let previous: string | undefined
  for await (const { text, number, complete } of readLines(last.path)) {
    // a running proxy may be in the middle of it, and a torn end is repaired at the start
    if (!complete) break
    const { record, fault } = parseLine(text)
    const expected = previous ?? (last.firstSeq === 1 ? zeroHash : record?.prev)
    if (record === undefined || record.prev !== expected || record.seq !== last.firstSeq + count) {
      return fail(`${last.name} line ${number}: ${fault ?? 'it does not continue the line before'}`, '`sallyport audit verify` says more; keep a copy of the folder')
    }
    previous = record.hash
    count += 1
  }
  return ok(`can be written; the chain of ${last.name} holds (${plural(count, 'record')})`)
}

async function clockOutcome({ dataDir }: Settings, clock: Clock): Promise<Outcome> {
  const now = clock.now()
  const remedy = 'set the clock, and keep it set with NTP'
  if (now < Date.UTC(2026, 0, 1)) return fail(`${new Date(now).toISOString()} is in the past`, remedy)
  const last = await listSegments(journalDir(dataDir)).then((segments) => segments.at(-1), () => undefined)
  const written = last === undefined ? undefined : (await statOf(last.path))?.mtimeMs
  if (written !== undefined && written > now + 300_000) {
    return warn(`the journal was written at ${new Date(written).toISOString()}, which is in the future`, remedy)
  }
  return ok(new Date(now).toISOString())
}

async function resolverOutcome({ settings, clock, probeName }: SetupOptions): Promise<Outcome> {
  const { dns, upstreamProxy } = settings
  if (upstreamProxy?.resolve === 'parent') return skip('the parent proxy resolves')
  const resolver = createResolver({
    servers: dns.servers,
    resolvConfPath: dns.resolvConf,
    hostsPath: dns.hosts,
    timeoutMs: Math.min(dns.timeoutMs, 3000),
    clock,
  })
  try {
    const { addresses } = await resolver.resolve(probeName, { fresh: true })
    return ok(`${probeName} is ${addresses[0]?.text ?? 'known'}`)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    if (error.code === 'dns_not_found' || error.code === 'dns_no_address') return ok(`answers: ${error.message}`)
    return fail(error.message, 'name working servers with `dns_servers` in sallyport.toml')
  } finally {
    resolver.close()
  }
}

async function caOutcome(certsDir: string, clock: Clock): Promise<Outcome> {
  const status = await new CertificateAuthority({ certsDir, clock, constraints: () => undefined }).status()
  if (status.state === 'absent') return skip('there is none yet')
  if (status.state === 'unusable') return fail(status.detail, 'as it says; `sallyport ca show` looks again')
  const leftDays = Math.floor((status.notAfterMs - clock.now()) / 86_400_000)
  const [notice] = status.notices
  return notice === undefined ? ok(`${status.path}, ${plural(leftDays, 'day')} left`) : warn(notice, '`sallyport ca show` says more')
}

async function statOf(path: string): Promise<Awaited<ReturnType<typeof stat>> & { readonly mtimeMs: number; readonly mode: number } | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
    throw error
  }
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK | constants.X_OK).then(() => true, () => false)
}

async function nearestFolder(path: string): Promise<string> {
  let at = path
  while ((await statOf(at)) === undefined && dirname(at) !== at) at = dirname(at)
  return at
}
