// `sallyport doctor`: is the set-up sound, does the proxy answer, and does anything get past it from
// where this is run? It changes nothing and sends nothing but connection attempts and DNS questions.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Clock, systemClock } from '../clock.ts'
import { proxyVariables } from '../config/environment.ts'
import { loadSettings } from '../config/load.ts'
import { formatHostPort, isLoopback } from '../config/load-rules.ts'
import type { HostPort, Settings } from '../config/settings.ts'
import { createResolver } from '../egress/resolver.ts'
import { parseResolvConf } from '../egress/resolv-conf.ts'
import { parseNameServer } from '../egress/name-server.ts'
import { ProxyError } from '../errors.ts'
import { parseAuthority } from '../target/authority.ts'
import { formatHost } from '../target/host.ts'
import { escapeFindings, type EscapeTargets, type ProxyAddress, proxyFindings, variableFindings } from './doctor-escape.ts'
import { type Diagnosis, diagnosisJson, diagnosisTable, type Finding } from './doctor-finding.ts'
import { createProbes, type Probes } from './doctor-probes.ts'
import { insideSocket } from './run-isolation.ts'
import { runtimeFindings, setupFindings } from './doctor-setup.ts'
import { type Command, type CommandIo, type RunDeps, UsageError } from './run.ts'

const usage = `usage: sallyport doctor [OPTIONS]

Checks the set-up on this machine and, from where it is run, that nothing gets out past the proxy:
no direct connection, no DNS, no IPv6. Where the proxy runs on another machine or in another
container, only what matters to an agent is checked, and any way out is a failure.

It contacts: the proxy and ops listeners (one GET each); example.com:443 through the proxy (CONNECT);
then, to see whether they can be reached without it, example.com:443, 1.1.1.1:443 and
[2606:4700:4700::1111]:443 (a TCP connection each, nothing sent on it), 169.254.169.254:80 (the same),
and 1.1.1.1, 8.8.8.8 and this system's name servers (one DNS question for example.com, UDP and TCP).
It opens, and sends nothing to, the proxy's control socket and those of Docker, containerd and Podman.
The options below replace each of them; \`--only setup\` contacts the listeners and
the name servers of the settings alone.

  --proxy URL             the proxy to ask; default HTTPS_PROXY, HTTP_PROXY, else the settings
  --data DIR              the data folder; default as for \`start\`
  --config FILE           sallyport.toml; default as for \`start\`
  --only setup|escape     one half of the checks; with \`escape\` any way out is a failure
  --probe-host HOST:PORT  asked for through the proxy, directly and in DNS; default example.com:443
  --probe-address LIST    addresses to connect to; default 1.1.1.1:443,[2606:4700:4700::1111]:443 and
                          the cloud metadata service
  --probe-dns LIST        name servers to ask; default 1.1.1.1,8.8.8.8
  --json                  one JSON object

exit codes: 0 no check failed, 1 one did, 2 wrong command line
`

const options = {
  proxy: { type: 'string' },
  data: { type: 'string' },
  config: { type: 'string' },
  only: { type: 'string' },
  'probe-host': { type: 'string', default: 'example.com:443' },
  'probe-address': { type: 'string' },
  'probe-dns': { type: 'string', default: '1.1.1.1,8.8.8.8' },
  json: { type: 'boolean', default: false },
} as const

const publicAddresses = '1.1.1.1:443,[2606:4700:4700::1111]:443'
const engineSockets = ['/var/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock']
const metadataService: HostPort = { host: '169.254.169.254', port: 80 }

/** A test's seams; the real ones otherwise. */
export interface DoctorSeams {
  readonly probes?: Probes
  readonly clock?: Clock
  /** run inside `sallyport run --isolate` */
  readonly isIsolated?: boolean
  readonly engineSockets?: readonly string[]
}

export function doctorCommand(deps: Pick<RunDeps, 'env' | 'execArgv'>, seams: DoctorSeams = {}): Command {
  return {
    name: 'doctor',
    summary: 'check the set-up, and whether anything gets past the proxy from here',
    usage,
    run: async (argv, io) => {
      const { values } = parseArgs({ args: [...argv], options })
      const diagnosis = await diagnose(values, io, deps, seams)
      io.out(values.json ? diagnosisJson(diagnosis) : diagnosisTable(diagnosis, io.isTty))
      return diagnosis.findings.some(({ status }) => status === 'fail') ? 1 : 0
    },
  }
}

interface Asked {
  readonly proxy?: string
  readonly data?: string
  readonly config?: string
  readonly only?: string
  readonly 'probe-host': string
  readonly 'probe-address'?: string
  readonly 'probe-dns': string
}

async function diagnose(asked: Asked, io: CommandIo, deps: Pick<RunDeps, 'env' | 'execArgv'>, seams: DoctorSeams): Promise<Diagnosis> {
  const probes = seams.probes ?? createProbes(2000)
  const clock = seams.clock ?? systemClock
  const { only } = asked
  if (only !== undefined && only !== 'setup' && only !== 'escape') throw new UsageError(`\`--only ${only}\` is neither setup nor escape`)
  const host = readTarget('--probe-host', asked['probe-host'])
  const { settings, problems, warnings } = loadSettings({ flags: { data: asked.data, config: asked.config }, env: deps.env, cwd: io.cwd, secrets: 'unused' })
  const proxy = findProxy(asked.proxy, deps, settings)
  // inside an isolation the proxy's address is this machine's, and the proxy is not
  const isIsolated = seams.isIsolated ?? existsSync(insideSocket)
  const place = !isIsolated && (proxy === undefined || isHere(proxy)) ? 'proxy' : 'agent'

  const findings: Finding[] = runtimeFindings(process.version, deps.env, deps.execArgv)
  if (only !== 'escape' && place === 'proxy') {
    for (const { where, message } of problems) {
      findings.push({ name: 'settings', group: 'setup', status: 'fail', detail: `${where}: ${message}`, remedy: 'docs/configuration.md has every setting' })
    }
    for (const detail of warnings) {
      findings.push({ name: 'settings', group: 'setup', status: 'warn', detail, remedy: 'set it where the proxy is started, or take it out of the settings' })
    }
    if (settings !== undefined) findings.push(...(await setupFindings({ settings, probes, clock, cwd: io.cwd, probeName: host.host })))
  }
  if (only === 'setup') return { place, proxy: proxy?.url, enforced: undefined, findings }

  const dns = settings?.dns ?? { resolvConf: '/etc/resolv.conf', hosts: '/etc/hosts' }
  const targets: EscapeTargets = {
    host,
    addresses: splitList(asked['probe-address'] ?? publicAddresses).map((text) => readTarget('--probe-address', text)),
    metadata: asked['probe-address'] === undefined ? [metadataService] : [],
    nameServers: splitList(asked['probe-dns']).map(readNameServer),
    systemNameServers: await systemNameServers(dns.resolvConf),
    controlSockets: [join(settings?.dataDir ?? resolve(io.cwd, asked.data ?? 'var'), 'control.sock')],
    engineSockets: seams.engineSockets ?? engineSockets,
  }
  // where the proxy runs it must get out itself, so there a way out is expected and only said
  const leak = place === 'agent' || only === 'escape' ? 'fail' : 'warn'
  const [through, past] = await Promise.all([
    proxyFindings(proxy, host, probes),
    escapeFindings({ probes, targets, leak }, (name) => addressOf(name, dns, clock)),
  ])
  findings.push(...variableFindings(deps.env), ...through, ...past)
  return { place, proxy: proxy?.url, enforced: past.every(({ status }) => status === 'ok' || status === 'skip'), findings }
}

function readTarget(flag: string, text: string): HostPort {
  try {
    const { host, port } = parseAuthority(text, 443)
    return { host: host.kind === 'ip' ? host.ip.text : formatHost(host), port }
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new UsageError(`\`${flag} ${text}\`: ${error.message}`)
  }
}

function readNameServer(text: string): string {
  if (parseNameServer(text) === undefined) throw new UsageError(`\`--probe-dns ${text}\` is not IP or IP:PORT`)
  return text
}

function splitList(text: string): string[] {
  return text.split(',').map((part) => part.trim()).filter((part) => part !== '')
}

function findProxy(flag: string | undefined, deps: Pick<RunDeps, 'env'>, settings: Settings | undefined): ProxyAddress | undefined {
  const { https, http } = proxyVariables(deps.env)
  const variable = https ?? http
  if (flag !== undefined) return readProxy(flag, '--proxy')
  if (variable !== undefined) return readProxy(variable.value, variable.name)
  if (settings === undefined || settings.listen.port === 0) return undefined
  const { host, port } = settings.listen
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return { host: here, port, url: `http://${formatHostPort({ host: here, port })}`, credentials: undefined, from: 'settings' }
}

function readProxy(text: string, from: string): ProxyAddress {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (url === null || url.protocol !== 'http:' || url.hostname === '') {
    throw new UsageError(`${from} is not a proxy of the form http://HOST:PORT`)
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 80 : Number(url.port)
  const credentials = url.username === '' ? undefined : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { host, port, credentials, from, url: `http://${formatHostPort({ host, port })}` }
}

/** Is that proxy on this machine? A name other than localhost says no. */
function isHere({ host }: ProxyAddress): boolean {
  if (host === 'localhost' || isLoopback(host)) return true
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === host))
}

async function systemNameServers(resolvConf: string): Promise<string[]> {
  try {
    return parseResolvConf(await readFile(resolvConf, 'utf8')).servers.map(({ text }) => text)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

/** As a program here would find it: hosts file, then the system's name servers. */
async function addressOf(name: string, dns: { readonly resolvConf: string; readonly hosts: string }, clock: Clock): Promise<string | undefined> {
  const resolver = createResolver({ servers: [], resolvConfPath: dns.resolvConf, hostsPath: dns.hosts, timeoutMs: 2000, clock })
  try {
    return (await resolver.resolve(name)).addresses[0]?.text
  } catch (error) {
    if (error instanceof ProxyError) return undefined
    throw error
  } finally {
    resolver.close()
  }
}
