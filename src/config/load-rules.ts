// What settings must be together: rules over more than one of them, and the tables whose values come
// from elsewhere (a password file, a variable in a header). Fails closed: when in doubt, a problem.
import { classifyAddress, parseIp } from '../target/address.ts'
import { uriHost } from '../target/host.ts'
import { readSecret } from './load-secret.ts'
import { expandFields } from './load-destinations.ts'
import type { Values } from './load.ts'
import type { SettingName } from './schema.ts'
import type { ControlTlsSettings, HostPort, OtelSettings, Settings, UpstreamProxySettings } from './settings.ts'

/** True for 127.0.0.0/8 and ::1; what is not an address is not loopback. */
export function isLoopback(host: string): boolean {
  const ip = parseIp(host)
  return ip !== undefined && classifyAddress(ip) === 'loopback'
}

/** `host:port`, IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return `${uriHost(host)}:${port}`
}

/** Adds every broken rule to `values.problems`, every doubtful one to `values.warnings`. */
export function judgeSettings(settings: Settings, values: Values): void {
  judgeListeners(settings, values)
  const { audit } = settings
  if (audit.segmentBytes > audit.maxBytes / 2) {
    values.problem('auditSegmentBytes', 'is more than half of `audit.max_bytes`, so nothing could be kept')
  }
  const { exporter } = settings.otel
  if (exporter !== undefined && URL.parse(exporter.endpoint)?.pathname === '/') {
    values.warnings.push(
      `otel: the endpoint ${exporter.endpoint} has no path; OTLP receivers take logs at /v1/logs`,
    )
  }
  if (exporter !== undefined && Object.keys(exporter.headers).length > 0 && isClear(exporter.endpoint)) {
    values.warnings.push('otel: fields are sent in clear text to a host that is not this one')
  }
}

/** Whether what is sent there can be read on the way. */
export function isClear(endpoint: string): boolean {
  const parsed = URL.parse(endpoint)
  if (parsed === null || parsed.protocol === 'https:') return false
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  return host !== 'localhost' && !isLoopback(host)
}

function judgeListeners(settings: Settings, values: Values): void {
  const { listen, control, ops, clients } = settings
  if (!isLoopback(listen.host) && clients.length === 0 && !settings.requireSession) {
    values.problem(
      'listen',
      `\`${formatHostPort(listen)}\` is reachable from other machines: say which may connect with ` +
        '`clients`, for example `clients = ["10.0.0.0/8"]`, or ask everybody for credentials with `require_session = true`',
    )
  }
  if (control !== 'off' && !isLoopback(control.host)) {
    judgeOpenControl(control, settings, values)
  }
  if (clients.some((cidr) => cidr.prefix === 0)) {
    values.warnings.push('clients: every address may connect to the proxy')
  }
  const taken = new Map<string, SettingName>()
  for (const [name, address] of [['listen', listen], ['control', control], ['ops', ops]] as const) {
    if (address === 'off' || address.port === 0) continue
    const spelled = formatHostPort(address)
    const other = taken.get(spelled)
    if (other !== undefined) values.problem(name, `and \`${other}\` are both \`${spelled}\``)
    taken.set(spelled, name)
  }
}

function judgeOpenControl(control: HostPort, { controlTls, controlHosts }: Settings, values: Values): void {
  if (controlTls === undefined) {
    values.problem('control', `\`${formatHostPort(control)}\` is off loopback and needs TLS: set \`control_tls.cert_file\` and \`control_tls.key_file\``)
  } else if (controlHosts.length === 0) {
    values.warnings.push(`control: answers to its own address only; list the names that reviewers use in \`control_hosts\``)
  }
}

/** Certificate and key; one without the other is a problem. */
export function readControlTls(values: Values): ControlTlsSettings | undefined {
  const certFile = values.get('controlCertFile')
  const keyFile = values.get('controlKeyFile')
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile }
  if (certFile !== undefined) values.problem('controlCertFile', 'is set without `control_tls.key_file`')
  if (keyFile !== undefined) values.problem('controlKeyFile', 'is set without `control_tls.cert_file`')
  return undefined
}

export function readOtel(values: Values): OtelSettings {
  const environment = values.get('otelEnvironment')
  const choice = values.get('otelExporter')
  const endpoint = values.get('otelEndpoint')
  if (choice === 'none') return { environment, exporter: undefined }
  if (endpoint === undefined) {
    for (const name of ['otelExporter', 'otelHeaders', 'otelCa', 'otelCert', 'otelKey'] as const) {
      if (values.get(name) !== undefined) values.problem(name, 'is set without an endpoint')
    }
    return { environment, exporter: undefined }
  }
  const parsed = URL.parse(endpoint)
  if (parsed !== null && (parsed.username !== '' || parsed.password !== '')) {
    values.problem('otelEndpoint', 'may not hold credentials: use `headers`')
  }
  const headersWritten = values.get('otelHeaders') ?? {}
  const headers = expandFields(headersWritten, values.env, (name) => values.missingSecret('otelHeaders', `names the variable ${name}, which is not set`))
  const [caFile, certFile, keyFile] = [values.get('otelCa'), values.get('otelCert'), values.get('otelKey')]
  if (certFile !== undefined && keyFile === undefined) values.problem('otelCert', 'is set without `client-private-key`')
  if (keyFile !== undefined && certFile === undefined) values.problem('otelKey', 'is set without `client-certificate`')
  const tls = { caFile, certFile, keyFile }
  if (parsed?.protocol === 'http:') for (const name of ['otelCa', 'otelCert', 'otelKey'] as const) if (values.get(name) !== undefined) values.problem(name, 'is for an endpoint of https')
  return { environment, exporter: { endpoint, protocol: values.get('otelProtocol'), headers, headersWritten, compression: values.get('otelCompression'), tls } }
}

export function readUpstream(values: Values): UpstreamProxySettings | undefined {
  const written = values.get('upstreamUrl')
  if (written === undefined) {
    for (const name of upstreamParts) {
      if (values.get(name) !== undefined) values.problem(name, 'is set without `upstream_proxy.url`')
    }
    return undefined
  }
  const url = new URL(written)
  if ((url.pathname !== '/' && url.pathname !== '') || url.search !== '') {
    values.problem('upstreamUrl', 'may hold scheme, host and port only')
  }
  const inUrl = { username: decode(url.username), password: decode(url.password) }
  url.username = ''
  url.password = ''
  const username = values.get('upstreamUsername') ?? (inUrl.username || undefined)
  const password = readSecret(values, upstreamSecret, 'password') ?? (inUrl.password || undefined)
  const caFile = values.get('upstreamCaFile')
  if (username === undefined && password !== undefined) {
    values.problem('upstreamUsername', 'is missing: there is a password')
  }
  if (username?.includes(':')) values.problem('upstreamUsername', 'may not contain a colon')
  if (caFile !== undefined && url.protocol !== 'https:') {
    values.problem('upstreamCaFile', 'is of no use: the parent proxy is not https')
  }
  return {
    url: url.origin,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(caFile === undefined ? {} : { caFile }),
    resolve: values.get('upstreamResolve'),
  }
}

const upstreamParts = [
  'upstreamUsername',
  'upstreamPassword',
  'upstreamPasswordFile',
  'upstreamPasswordEnv',
  'upstreamCaFile',
] as const

const upstreamSecret = { inline: 'upstreamPassword', file: 'upstreamPasswordFile', variable: 'upstreamPasswordEnv' } as const

/** A part of a URL's credentials; what is no percent-encoding stands as it is written. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return text
    throw error
  }
}
