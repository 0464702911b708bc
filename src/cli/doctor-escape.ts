// The half of `doctor` that asks what a program started from here can reach: through the proxy, and
// past it. An outcome other than "reached" is not proof of a firewall, only that this way was closed.
import { type Environment, proxyVariables } from '../config/environment.ts'
import { formatHostPort, isLoopback } from '../config/load-rules.ts'
import type { HostPort } from '../config/settings.ts'
import type { Finding } from './doctor-finding.ts'
import type { ProbeOutcome, Probes } from './doctor-probes.ts'

export interface ProxyAddress extends HostPort {
  /** without credentials */
  readonly url: string
  readonly credentials: string | undefined
  /** `--proxy`, a variable, or `settings` */
  readonly from: string
}

export interface EscapeTargets {
  /** asked for through the proxy, directly, and as the name in DNS questions */
  readonly host: HostPort
  readonly addresses: readonly HostPort[]
  /** where a cloud machine finds its own credentials */
  readonly metadata: readonly HostPort[]
  readonly nameServers: readonly string[]
  /** those that programs here ask */
  readonly systemNameServers: readonly string[]
  /** unix sockets by which the proxy is told what to do, and by which other machines and containers are */
  readonly controlSockets: readonly string[]
  readonly engineSockets: readonly string[]
}

/** `leak`: how bad a way out is; a warning where the proxy itself must get out. */
export interface EscapeOptions {
  readonly probes: Probes
  readonly targets: EscapeTargets
  readonly leak: 'warn' | 'fail'
}

/** What a name is found at here, or undefined; an escape by name needs DNS too. */
export type FindAddress = (name: string) => Promise<string | undefined>

export async function escapeFindings(options: EscapeOptions, find: FindAddress): Promise<Finding[]> {
  const { probes, targets } = options
  const { host, addresses, nameServers, systemNameServers } = targets
  const v4 = addresses.filter((target) => !target.host.includes(':'))
  const v6 = addresses.filter((target) => target.host.includes(':'))
  const found = await find(host.host)
  const named = found === undefined ? [] : [{ host: found, port: host.port }]
  return Promise.all([
    anyOut('direct_tcp', 'a direct TCP connection', v4, (target) => probes.tcp(target), options),
    anyOut('direct_name', `a direct TCP connection to ${host.host}`, named, (target) => probes.tcp(target), options),
    anyOut('direct_ipv6', 'a direct TCP connection over IPv6', v6, (target) => probes.tcp(target), options),
    anyOut('dns_udp', 'a DNS question over UDP', nameServers, (server) => probes.dnsUdp(server, host.host), options),
    anyOut('dns_tcp', 'a DNS question over TCP', nameServers, (server) => probes.dnsTcp(server, host.host), options),
    anyOut('dns_system', 'a DNS question to the name server of this system', systemNameServers, (server) => probes.dnsUdp(server, host.host), options),
    anyOut('cloud_metadata', 'a connection to the cloud metadata service', targets.metadata, (target) => probes.tcp(target), options),
    anyOut('control_socket', 'the control socket of the proxy', targets.controlSockets, (path) => probes.socket(path), options),
    anyOut('engine_sockets', 'a socket that starts containers', targets.engineSockets, (path) => probes.socket(path), options),
  ])
}

async function anyOut<Target extends string | HostPort>(
  name: string,
  what: string,
  targets: readonly Target[],
  probe: (target: Target) => Promise<ProbeOutcome>,
  options: EscapeOptions,
): Promise<Finding> {
  if (targets.length === 0) {
    return { name, group: 'escape', ...untried[name] ?? { status: 'skip', detail: `${what} was not tried: no such target was named` } }
  }
  const outcomes = await Promise.all(
    targets.map(async (target) => ({
      target: typeof target === 'string' ? target : formatHostPort(target),
      outcome: await probe(target),
    })),
  )
  const out = outcomes.find(({ outcome }) => outcome.kind === 'reached')
  if (out !== undefined) {
    const isSocket = name in socketRemedies
    return {
      name,
      group: 'escape',
      status: options.leak,
      detail: isSocket ? `${what} is reached (${out.target})` : `${what} gets out (${out.target})`,
      remedy: isSocket ? socketRemedies[name] ?? closeIt : options.leak === 'warn' ? 'expected where the proxy runs; run `sallyport doctor --only escape` where the agent runs' : (remedies[name] ?? closeIt),
    }
  }
  const reasons = outcomes.map(({ target, outcome }) =>
    outcome.kind === 'blocked' ? `${target}: ${outcome.reason}` : target,
  )
  return { name, group: 'escape', status: 'ok', detail: `${what} ${name in socketRemedies ? 'is not reached' : 'does not get out'} (${reasons.join(', ')})` }
}

const closeIt = 'leave the proxy as the one way out: a user of its own behind a firewall, or a container on an internal network (docs/deployment.md, "The only way out")'

const socketRemedies: Readonly<Record<string, string>> = {
  control_socket: 'whoever opens it answers questions and ends sessions: start agents with `sallyport run --isolate`, or as another user than the proxy\'s',
  engine_sockets: 'whoever opens it gets a network of their own, and often the whole machine: start agents with `sallyport run --isolate`, or without it',
}

/** Checks without a target that say more than that. */
const untried: Readonly<Record<string, Pick<Finding, 'status' | 'detail'>>> = {
  direct_name: { status: 'skip', detail: 'a direct TCP connection to the probe host was not tried: its name does not resolve here' },
  dns_system: { status: 'ok', detail: 'this system has no name server to ask' },
}

const remedies: Readonly<Record<string, string>> = {
  direct_ipv6: 'close IPv6 as well: a rule for IPv4 alone does not hold',
  dns_udp: 'close port 53: names can carry data out, and the proxy resolves for its clients',
  dns_tcp: 'close port 53: names can carry data out, and the proxy resolves for its clients',
  dns_system: 'give the agent no working name server: the proxy resolves for its clients',
  cloud_metadata: 'close 169.254.169.254: it hands out the credentials of the machine',
}

/** Does the proxy answer, and get out? A refusal by policy is an answer. */
export async function proxyFindings(
  proxy: ProxyAddress | undefined,
  target: HostPort,
  probes: Probes,
): Promise<Finding[]> {
  const group = 'proxy'
  if (proxy === undefined) {
    return [{ name: 'proxy', group, status: 'fail', detail: 'no proxy is known here', remedy: 'set HTTPS_PROXY, or name it with `--proxy http://HOST:PORT`' }]
  }
  const authority = formatHostPort(target)
  const answer = await probes.connectThrough(proxy, authority, proxy.credentials)
  const shown = `${proxy.url} (${proxy.from})`
  if (answer === undefined) {
    return [{ name: 'proxy', group, status: 'fail', detail: `nobody answers at ${shown}`, remedy: 'start the proxy there, or open the way to it' }]
  }
  const said = `${answer.status} ${answer.reason}`.trim()
  const finding = (status: Finding['status'], detail: string, remedy?: string): Finding[] => [
    { name: 'proxy', group, status, detail, ...(remedy === undefined ? {} : { remedy }) },
  ]
  if (answer.status === 200) return finding('ok', `${shown} gets out to ${authority}`)
  if (answer.status === 403) return finding('ok', `${shown} answers, and its policy refuses ${authority}: ${said}`)
  if (answer.status === 407) return finding('fail', `${shown} does not accept the credentials: ${said}`, 'run it with the variables of a session that is in force: `sallyport sessions create --agent NAME --export` prints them')
  return finding('fail', `${shown} answers and does not get out to ${authority}: ${said}`, 'look at its log, its name servers and its own way out')
}

/** Would clients started from here use the proxy at all, and for what not? */
export function variableFindings(env: Environment): Finding[] {
  const group = 'proxy'
  const { https, http, noProxy, disagreeing } = proxyVariables(env)
  const findings: Finding[] = []
  if (https === undefined || http === undefined) {
    const missing = https === undefined ? (http === undefined ? 'HTTPS_PROXY and HTTP_PROXY' : 'HTTPS_PROXY') : 'HTTP_PROXY'
    findings.push({ name: 'proxy_variables', group, status: 'warn', detail: `${missing} not set: clients started from here do not ask for the proxy`, remedy: 'for a shell of an agent: export HTTPS_PROXY=http://HOST:PORT HTTP_PROXY=http://HOST:PORT, and both in lower case' })
  } else if (disagreeing.length > 0) {
    findings.push({ name: 'proxy_variables', group, status: 'warn', detail: `upper and lower case of ${disagreeing.join(', ')} differ: clients disagree on which they read`, remedy: 'set both to the same value' })
  } else {
    findings.push({ name: 'proxy_variables', group, status: 'ok', detail: `clients started from here are told of the proxy (${https.name}, ${http.name})` })
  }
  findings.push(noProxyFinding(noProxy?.value ?? ''))
  return findings
}

function noProxyFinding(value: string): Finding {
  const entries = value.split(/[\s,]+/).filter((entry) => entry !== '')
  const holes = entries.filter((entry) => !isLocalEntry(entry))
  const name = 'no_proxy'
  const group = 'proxy'
  if (holes.includes('*')) {
    return { name, group, status: 'fail', detail: 'NO_PROXY is `*`: clients use the proxy for nothing', remedy: 'take the `*` out' }
  }
  if (holes.length > 0) {
    return { name, group, status: 'warn', detail: `NO_PROXY makes clients go around the proxy for ${holes.join(', ')}`, remedy: 'keep only localhost, 127.0.0.1 and ::1 in it' }
  }
  return { name, group, status: 'ok', detail: entries.length === 0 ? 'NO_PROXY is not set' : 'NO_PROXY names this machine only' }
}

function isLocalEntry(entry: string): boolean {
  const host = entry.toLowerCase().replace(/^\[|\]$/g, '')
  return host === 'localhost' || isLoopback(host) || host === '127.0.0.0/8'
}
