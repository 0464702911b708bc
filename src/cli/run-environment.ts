// What a command that `run` starts finds in its environment: the variables by which programs find a proxy and trust
// its certificate authority, and none that would lead past it or give the control plane away. Pure; it opens nothing.
import { type Environment, tokenVariable } from '../config/environment.ts'
import { uriHost } from '../target/host.ts'

/** Files with certificates in PEM, by the paths that the command sees. */
export interface CaFiles {
  /** the system's roots and ours: for variables whose file replaces what a program trusts by itself */
  readonly bundle: string
  /** ours alone: for variables whose file is added to it */
  readonly root: string
  /** for a file that the environment names already: what is in it and our root, by that file's path */
  readonly merged: ReadonlyMap<string, string>
}

export interface Surroundings {
  /** with credentials, where the proxy wants some: `http://SESSION:TOKEN@127.0.0.1:3128` */
  readonly proxyUrl: string
  /** hosts that are spoken to directly, comma between them; may be empty */
  readonly noProxy: string
  readonly ca: CaFiles | undefined
  /** of the proxy, which isolation hides: for `doctor`, which looks whether it does */
  readonly dataDir?: string | undefined
  /** nothing outside of the command is there: no sockets, no other folders for temporary files */
  readonly isIsolated: boolean
  /** undefined: everything; else a short list of harmless variables and these */
  readonly only: readonly string[] | undefined
}

/** Without isolation: this machine, past the proxy. */
export const loopbackNames = 'localhost,127.0.0.1,::1'

/** Their file replaces what the program trusts by itself. */
const replacing = [
  'SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'REQUESTS_CA_BUNDLE', 'GIT_SSL_CAINFO', 'PIP_CERT', 'npm_config_cafile', 'CARGO_HTTP_CAINFO', 'BUNDLE_SSL_CA_CERT', 'AWS_CA_BUNDLE',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH', 'CODEX_CA_CERTIFICATE', 'NIX_SSL_CERT_FILE', 'HEX_CACERTS_PATH',
] as const
/** Their file is added to it. */
const adding = ['NODE_EXTRA_CA_CERTS', 'DENO_CERT'] as const

/** Variables that name a file with certificates. */
export const caVariables: readonly string[] = [...replacing, ...adding]

const proxyNames = [
  'HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'WS_PROXY', 'WSS_PROXY', 'ws_proxy', 'wss_proxy', 'npm_config_proxy', 'npm_config_https_proxy', 'YARN_HTTP_PROXY', 'YARN_HTTPS_PROXY',
  'PIP_PROXY', 'BUNDLE_HTTP_PROXY', 'BUNDLE_HTTPS_PROXY', 'CARGO_HTTP_PROXY', 'DOCKER_HTTP_PROXY', 'DOCKER_HTTPS_PROXY',
] as const
const switches = { NODE_USE_ENV_PROXY: '1', ELECTRON_GET_USE_PROXY: '1', GIT_HTTP_PROXY_AUTHMETHOD: 'basic', CLOUDSDK_PROXY_TYPE: 'http' } as const

/** Name another proxy, for schemes that ours does not speak; in either case of letters. */
const misleading: ReadonlySet<string> = new Set(['all_proxy', 'ftp_proxy', 'socks_proxy', 'grpc_proxy', 'no_grpc_proxy', 'rsync_proxy'])

/** Lead to sockets, screens and files that are not there in isolation. */
const outside: ReadonlySet<string> = new Set([
  'SSH_AUTH_SOCK', 'SSH_AGENT_PID', 'GPG_AGENT_INFO', 'DBUS_SESSION_BUS_ADDRESS', 'DBUS_SYSTEM_BUS_ADDRESS', 'DOCKER_HOST', 'CONTAINER_HOST', 'XDG_RUNTIME_DIR', 'DISPLAY', 'WAYLAND_DISPLAY', 'XAUTHORITY',
  'SESSION_MANAGER', 'PULSE_SERVER', 'TMUX', 'TMUX_PANE', 'STY', 'NOTIFY_SOCKET', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'CREDENTIALS_DIRECTORY', 'WSL_INTEROP', 'TMPDIR', 'TMP', 'TEMP',
])

/** What `--env-only` keeps by itself. */
const harmless: ReadonlySet<string> = new Set([
  'PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TERM', 'COLORTERM', 'TZ', 'TMPDIR', 'PWD', 'NO_COLOR', 'FORCE_COLOR', 'CI',
])

/** The whole environment of the command. `base`: that of whoever starts it. */
export function childEnvironment(base: Environment, surroundings: Surroundings): Record<string, string> {
  const ours = setVariables(base, surroundings)
  const names = new Set(Object.keys(ours).map((name) => name.toLowerCase()))
  const kept = Object.entries(base).filter(([name, value]) => value !== undefined && !names.has(name.toLowerCase()) && isKept(name, surroundings))
  return Object.fromEntries([...kept, ...Object.entries(ours)].map(([name, value]) => [name, value ?? '']))
}

function isKept(name: string, { isIsolated, only }: Surroundings): boolean {
  if (name === tokenVariable || misleading.has(name.toLowerCase())) return false
  if (isIsolated && (outside.has(name) || name.startsWith('SALLYPORT_') || name.startsWith('VSCODE_'))) return false
  return only === undefined || only.includes(name) || harmless.has(name) || name.startsWith('LC_')
}

/** Only what is set, in the order in which it is shown. */
export function setVariables(base: Environment, surroundings: Surroundings): Record<string, string> {
  const { proxyUrl, noProxy, ca, isIsolated, dataDir } = surroundings
  const { hostname, port, username, password } = new URL(proxyUrl)
  const host = hostname.replace(/^\[|\]$/g, '')
  return {
    ...Object.fromEntries(proxyNames.map((name) => [name, proxyUrl])),
    NO_PROXY: noProxy,
    no_proxy: noProxy,
    ...switches,
    CLOUDSDK_PROXY_ADDRESS: host,
    CLOUDSDK_PROXY_PORT: port === '' ? '80' : port,
    ...(username === '' ? {} : { CLOUDSDK_PROXY_USERNAME: username, CLOUDSDK_PROXY_PASSWORD: password }),
    JAVA_TOOL_OPTIONS: javaOptions(base['JAVA_TOOL_OPTIONS'], { host, port: port === '' ? '80' : port, noProxy }),
    ...(ca === undefined ? {} : caSettings(base, ca)),
    ...(isIsolated && dataDir !== undefined ? { SALLYPORT_DATA: dataDir } : {}),
  }
}

/** The JVM reads no proxy variable. Its options know no credentials, and it uses Basic for tunnels only when told to. */
function javaOptions(before: string | undefined, { host, port, noProxy }: { readonly host: string; readonly port: string; readonly noProxy: string }): string {
  const direct = noProxy.split(',').filter((name) => name !== '').map(uriHost)
  const options = [
    ...['http', 'https'].flatMap((scheme) => [`-D${scheme}.proxyHost=${host}`, `-D${scheme}.proxyPort=${port}`]),
    `-Dhttp.nonProxyHosts=${direct.join('|')}`,
    '-Djdk.http.auth.tunneling.disabledSchemes=',
  ]
  return [...(before === undefined || before === '' ? [] : [before]), ...options].join(' ')
}

function caSettings(base: Environment, { bundle, root, merged }: CaFiles): Record<string, string> {
  const fileFor = (name: string, otherwise: string): [string, string] => [name, merged.get(base[name] ?? '') ?? otherwise]
  return Object.fromEntries([...replacing.map((name) => fileFor(name, bundle)), ...adding.map((name) => fileFor(name, root))])
}

/** Hosts of the collectors that the environment names for OpenTelemetry, other than this machine's. */
export function telemetryHosts(base: Environment): readonly string[] {
  const hosts = Object.entries(base).flatMap(([name, value]) => {
    if (!/^OTEL_EXPORTER_OTLP_(?:(?:LOGS|METRICS|TRACES)_)?ENDPOINT$/.test(name) || value === undefined) return []
    const host = URL.parse(value)?.hostname.replace(/^\[|\]$/g, '') ?? ''
    return /^[a-z0-9.:-]+$/i.test(host) && !/^(?:localhost|127\..*|::1)$/.test(host) ? [host] : []
  })
  return [...new Set(hosts)]
}

/** Lines for a shell's `eval`. */
export function exportLines(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables).map(([name, value]) => `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`).join('')
}
