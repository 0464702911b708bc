// Every process setting, as data: its key in sallyport.toml, its flag, its variable, what it takes,
// its default and its one line of documentation. Parsing, `--help`, docs/configuration.md and the
// test that holds the page to it all come from this table.
import {
  bool,
  bytes,
  choice,
  cidrs,
  count,
  duration,
  durationOr,
  fields,
  hosts,
  type Kind,
  listener,
  listenerOrOff,
  nameServers,
  path,
  paths,
  secretUrl,
  text,
  url,
} from './schema-kinds.ts'
import { logLevels } from './settings.ts'

export interface Setting<T> {
  /** dotted path in sallyport.toml */
  readonly key: string
  /** without the dashes; absent: no flag */
  readonly flag?: string
  readonly kind: Kind<T>
  /** as it would be written; undefined: not set */
  readonly default: string | undefined
  /** one sentence without a final stop */
  readonly doc: string
  /** another spelling of the key that is accepted */
  readonly alias?: string
  /** only in the environment or a file, never shown */
  readonly isSecret?: true
}

/** A setting with a default: its value is never undefined. */
function setting<T>(
  key: string,
  kind: Kind<T>,
  fallback: string,
  doc: string,
  more: { flag?: string; alias?: string } = {},
): Setting<T> & { readonly default: string } {
  return { key, kind, default: fallback, doc, ...more }
}

/** A setting that may be absent. */
function optional<T>(
  key: string,
  kind: Kind<T>,
  doc: string,
  more: { flag?: string; isSecret?: true } = {},
): Setting<T> & { readonly default: undefined } {
  return { key, kind, default: undefined, doc, ...more }
}

const timeout = duration({ min: '1 ms', max: '24 d' })
const share = { min: 1, max: 1_000_000 }

export const schema = {
  listen: setting('listen', listener, '127.0.0.1:3128', 'where the proxy listens; port 0 picks a free one, and off loopback `clients` or `require_session` must be set', { flag: 'listen' }),
  control: setting('control', listenerOrOff, '127.0.0.1:3129', 'where the API and the pages of the control plane are served; off loopback `control_tls` must be set', { flag: 'control' }),
  ops: setting('ops', listenerOrOff, '127.0.0.1:3130', 'where `/livez`, `/readyz` and `/metrics` are served', { flag: 'ops' }),
  policies: setting('policies', path, 'policies', 'folder of the policy files', { flag: 'policies' }),
  requirements: optional('requirements', path, 'the managed policy layer; without it `/etc/sallyport/requirements.toml` if that exists', { flag: 'requirements' }),
  data: setting('data', path, 'var', 'folder of the journal and of everything else that must survive a restart', { flag: 'data' }),
  certs: setting('certs', path, 'certs', 'folder of the CA', { flag: 'certs' }),
  json: setting('json', bool, 'false', 'print one JSON object on stdout when the listeners are open, instead of the banner', { flag: 'json' }),
  clients: setting('clients', cidrs, '', 'addresses that may connect; empty: loopback only', { flag: 'clients' }),
  requireSession: setting('require_session', bool, 'false', 'refuse requests without the credentials of a session, also before there is one; then every address may connect unless `clients` says which'),

  controlCertFile: optional('control_tls.cert_file', path, 'PEM file of the certificate of the control listener, with its chain; with it the listener speaks https'),
  controlKeyFile: optional('control_tls.key_file', path, 'PEM file of its private key'),
  controlHosts: setting('control_hosts', hosts, '', 'names that the control listener answers to, beside its own address and, on loopback, `localhost`'),

  approvalsPerSession: setting('approvals.per_session', count({ min: 1, max: 100_000 }), '20', 'questions of one session that may be open at once'),
  approvalsPerMinute: setting('approvals.per_session_per_minute', count({ min: 1, max: 100_000 }), '30', 'new questions that one session may ask in a minute'),
  approvalsTotal: setting('approvals.total', count({ min: 1, max: 1_000_000 }), '1000', 'questions that may be open at once, of all sessions'),
  approvalsWaitingTtl: setting('approvals.waiting_ttl', duration({ min: '1 s', max: '24 h' }), '10 min', 'a question expires when it was not answered for so long while its client waited'),
  approvalsIdleTtl: setting('approvals.idle_ttl', duration({ min: '1 s', max: '30 d' }), '24 h', 'a question that no client waits for expires after this'),
  sessionsHold: setting('sessions.hold', durationOr('auto', { min: '0 s', max: '10 min' }), 'auto', 'how long a request waits for an answer before its client is told to come back; `auto`: as long as the client program is known to wait'),
  sessionsTtl: setting('sessions.ttl', duration({ min: '1 s', max: '3650 d' }), '24 h', 'how long the credentials of a session are good, unless it is made with another time'),
  grantsMaxTtl: setting('grants.max_ttl', duration({ min: '1 s', max: '3650 d' }), '30 d', 'the longest that an answer of a reviewer holds without an admin'),

  pageUrl: optional('notifications.page_url', url, 'base of the links in notifications: where reviewers reach the control listener'),
  webhookUrl: optional('notifications.webhook.url', secretUrl, 'URL that a signed notification of each question and answer is posted to', { isSecret: true }),
  webhookSecret: optional('notifications.webhook.secret', text, 'key of the signature, 16 characters or more; better in a file or a variable', { isSecret: true }),
  webhookSecretFile: optional('notifications.webhook.secret_file', path, 'file that holds the key, alone on its first line'),
  webhookSecretEnv: optional('notifications.webhook.secret_env', text, 'name of the variable that holds the key'),
  slackUrl: optional('notifications.slack.url', secretUrl, 'URL of a Slack-compatible incoming webhook; whoever has it can post', { isSecret: true }),

  headerBytes: setting('limits.header_bytes', bytes({ min: '1 KiB', max: '1 MiB' }), '16 KiB', 'all fields of a request together; more is 431'),
  headerCount: setting('limits.header_count', count({ min: 10, max: 2000 }), '200', 'fields of a request; more is 431'),
  headersTimeout: setting('limits.headers_timeout', timeout, '10 s', 'time for the fields of a request to arrive; later is 408'),
  requestTimeout: setting('limits.request_timeout', timeout, '60 s', 'silence of a client within the body of a request; tunnels are not counted'),
  keepAliveTimeout: setting('limits.keep_alive_timeout', timeout, '60 s', 'an idle client connection is closed after this'),
  urlBytes: setting('limits.url_bytes', bytes({ min: '256 B', max: '1 MiB' }), '8 KiB', 'length of a request-target; more is 414'),
  tunnelIdle: setting('limits.tunnel_idle', timeout, '5 min', 'a tunnel in which neither side sends for so long is closed'),
  originTimeout: setting('limits.origin_timeout', timeout, '60 s', 'silence of an origin before or within its answer; then 504'),
  helloTimeout: setting('limits.hello_timeout', timeout, '5 s', 'time for the TLS hello in a tunnel to arrive'),
  helloBytes: setting('limits.hello_bytes', bytes({ min: '1 KiB', max: '64 KiB' }), '16 KiB', 'size of the TLS hello in a tunnel'),
  connectTimeout: setting('limits.connect_timeout', timeout, '10 s', 'time for a destination to accept the connection; then 504'),
  connections: setting('limits.connections', count(share), '50000', 'client connections open at once'),
  connectionsPerClient: setting('limits.connections_per_client', count(share), '20000', 'of these, from one client address'),
  drain: setting('limits.drain', duration({ min: '0 s', max: '1 h' }), '30 s', 'what is in flight may take this long to finish when the process is told to stop'),
  newNamesPerMinute: setting('limits.new_names_per_minute', count({ min: 1, max: 100_000 }), '30', 'new names that a session may reach below one wildcard-allowed domain in a minute'),

  cacheEnabled: setting('cache.enabled', bool, 'true', 'keep a web cache in the data folder; without it what may only be read from the cache is refused'),
  cacheMaxBytes: setting('cache.max_bytes', bytes({ min: '1 MiB', max: '100 TiB' }), '2 GiB', 'how large the bodies of the cache may be together; what was read longest ago goes first, pinned entries never'),
  cacheMaxBody: setting('cache.max_body', bytes({ min: '1 KiB', max: '4 GiB' }), '50 MiB', 'the largest body that is kept'),
  cacheFetchTimeout: setting('cache.fetch_timeout', timeout, '60 s', 'time for a page to be fetched into the cache, its redirects included'),
  cacheParentUrl: optional('cache.parent.url', url, 'a parent HTTP cache that is asked, with `only-if-cached`, for what the own one does not hold'),
  cacheParentTimeout: setting('cache.parent.timeout', duration({ min: '10 ms', max: '60 s' }), '2 s', 'time for it to begin an answer, and its longest silence within one; later is a miss'),
  cacheParentUsername: optional('cache.parent.username', text, 'user name for it'),
  cacheParentPassword: optional('cache.parent.password', text, 'its password; better in a file or a variable', { isSecret: true }),
  cacheParentPasswordFile: optional('cache.parent.password_file', path, 'file that holds the password, alone on its first line'),
  cacheParentPasswordEnv: optional('cache.parent.password_env', text, 'name of the variable that holds the password'),
  cacheParentCaFile: optional('cache.parent.ca_file', path, 'PEM file of the CA that signed the certificate of an https parent cache'),

  dnsServers: setting('dns.servers', nameServers, '', 'name servers to ask; empty: those of `dns.resolv_conf`', { alias: 'dns_servers' }),
  dnsTimeout: setting('dns.timeout', duration({ min: '100 ms', max: '60 s' }), '5 s', 'time for a name to be resolved, all servers together'),
  resolvConf: setting('dns.resolv_conf', path, '/etc/resolv.conf', 'where the name servers stand; read again when it changes'),
  hosts: setting('dns.hosts', path, '/etc/hosts', 'names that are answered from a file; read again when it changes'),

  auditUrl: setting('audit.url', choice(['host', 'path', 'full']), 'path', 'how much of a URL events carry; `path` leaves out query values and covers what looks secret'),
  auditMaxAge: setting('audit.max_age', duration({ min: '1 h', max: '3650 d' }), '30 d', 'how long the journal is kept'),
  auditMaxBytes: setting('audit.max_bytes', bytes({ min: '1 MiB', max: '100 TiB' }), '10 GiB', 'how large the journal may be; readiness warns at 80 %'),
  auditSegmentBytes: setting('audit.segment_bytes', bytes({ min: '64 KiB', max: '4 GiB' }), '64 MiB', 'size at which a new segment file is begun'),
  auditDurability: setting('audit.durability', choice(['process', 'power']), 'process', 'what a decision is safe from before its client hears it: the end of the process (`kill -9`), or also of the machine\'s power, which costs each request the time of a disk sync'),
  auditCheckpointInterval: setting('audit.checkpoint_interval', duration({ min: '1 s', max: '1 d' }), '1 min', 'within this time what was written is covered by a signed checkpoint; one more is made at each start and stop and with each segment'),
  auditRecords: setting('audit.records_per_session_per_minute', count({ min: 60, max: 100_000_000 }), '600000', 'records one session may cause in a minute'),
  auditSeal: setting('audit.seal_personal', bool, 'true', 'names, client addresses, paths and comments stand in the journal encrypted under a key of each person, so that `sallyport audit erase` can erase them'),
  auditHeartbeat: setting('audit.heartbeat', durationOr('off', { min: '1 s', max: '24 h' }), '60 s', 'how often the journal says that the proxy is alive, so that silence at a destination means something; `off`: never'),

  otelEnvironment: setting('otel.environment', text, 'dev', 'value of `deployment.environment.name` on exported records'),
  otelExporter: optional('otel.exporter', choice(['none', 'otlp-http']), '`none`, or the table `[otel.exporter.otlp-http]`; `none` wins over an endpoint from elsewhere'),
  otelEndpoint: optional('otel.exporter.otlp-http.endpoint', url, 'URL that log records are posted to, the path included: `https://collector.example:4318/v1/logs`'),
  otelProtocol: setting('otel.exporter.otlp-http.protocol', choice(['binary', 'json']), 'binary', 'protobuf or JSON'),
  otelHeaders: optional('otel.exporter.otlp-http.headers', fields, 'fields sent with every post; `${NAME}` in a value is taken from the environment', { isSecret: true }),
  otelCompression: setting('otel.exporter.otlp-http.compression', choice(['gzip', 'none']), 'gzip', 'how posts are compressed'),
  otelCa: optional('otel.exporter.otlp-http.tls.ca-certificate', path, 'PEM file of the CA that signed the collector\'s certificate; without it the usual roots count'),
  otelCert: optional('otel.exporter.otlp-http.tls.client-certificate', path, 'PEM file of the certificate that the proxy shows, with its chain'),
  otelKey: optional('otel.exporter.otlp-http.tls.client-private-key', path, 'PEM file of its private key'),

  originCrlFiles: setting('origin_tls.crl_files', paths, '', 'revocation lists of the authorities of origins, PEM or DER'),
  originCrlDir: optional('origin_tls.crl_dir', path, 'folder of more of them: every `*.crl`, `*.pem` and `*.der` in it'),

  upstreamUrl: optional('upstream_proxy.url', url, 'a parent proxy that everything goes through'),
  upstreamUsername: optional('upstream_proxy.username', text, 'user name for the parent proxy'),
  upstreamPassword: optional('upstream_proxy.password', text, 'its password; better in a file or a variable', { isSecret: true }),
  upstreamPasswordFile: optional('upstream_proxy.password_file', path, 'file that holds the password, alone on its first line'),
  upstreamPasswordEnv: optional('upstream_proxy.password_env', text, 'name of the variable that holds the password'),
  upstreamCaFile: optional('upstream_proxy.ca_file', path, 'PEM file of the CA that signed the certificate of an https parent proxy'),
  upstreamResolve: setting('upstream_proxy.resolve', choice(['here', 'parent']), 'here', '`here`: names are resolved and vetted here, and the parent gets addresses; `parent`: it gets names, and what they resolve to is not vetted'),

  logLevel: setting('log.level', choice(logLevels), 'info', 'least severity of the operator log on stderr', { flag: 'log-level' }),
} as const

export type SettingName = keyof typeof schema

/** The value a setting has once everything is read. */
export type SettingValue<Name extends SettingName> = (typeof schema)[Name] extends {
  readonly kind: Kind<infer T>
  readonly default: infer D
}
  ? D extends string
    ? T
    : T | undefined
  : never

/** Every setting with its name in the code, in the order of the documentation. */
export const settingList: readonly (Setting<unknown> & { readonly name: SettingName })[] =
  Object.keys(schema)
    .filter((name) => isSettingName(name))
    .map((name): Setting<unknown> & { readonly name: SettingName } => ({ name, ...schema[name] }))

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(schema, name)
}

/** The variable of a setting: `limits.header_bytes` is `SALLYPORT_LIMITS_HEADER_BYTES`. */
export function variableOf(key: string): string {
  return `SALLYPORT_${key.toUpperCase().replaceAll(/[.-]/g, '_')}`
}
