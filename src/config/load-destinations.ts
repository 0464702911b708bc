// `[[audit.destinations]]` of sallyport.toml: where else records go. They stand in process settings and nowhere else:
// whoever could set them could have every event sent to a place of their own. No message repeats a field's value.
import { resolve } from 'node:path'
import micromatch from 'micromatch'
import { otelName, type Destination, type DestinationFilter, type DestinationTls } from '../audit/destination.ts'
import { formatNames, type FormatName } from '../audit/formats/formatter.ts'
import { facilities } from '../audit/syslog-frame.ts'
import { ProxyError } from '../errors.ts'
import { verdicts } from '../policy/decision.ts'
import type { Path } from '../policy/positions.ts'
import { suggestion } from '../policy/suggestion.ts'
import { isTable, typeName, type TomlTable, type TomlValue } from '../policy/toml.ts'
import { parseAuthority } from '../target/authority.ts'
import type { Environment } from './environment.ts'
import type { Report } from './load-credentials.ts'
import type { Values } from './load.ts'
import { isLoopback } from './load-rules.ts'
import { bool, fields, type Kind, SettingError, url } from './schema-kinds.ts'
import { filledText } from './table-text.ts'

/** Keys of a destination, for which types each is, what it takes, and what it does; docs/configuration.md is held to it. */
export const destinationKeys: readonly { readonly key: string; readonly types: string; readonly takes: string; readonly doc: string }[] = [
  { key: 'name', types: 'all', takes: 'string', doc: 'what events, metrics and the log call it; its cursor is kept by this name' },
  { key: 'type', types: 'all', takes: '`otlp-http`, `file`, `syslog`', doc: 'how records get there' },
  { key: 'verdicts', types: 'all', takes: 'list of `allow`, `deny`, `ask`', doc: 'decisions with these verdicts are sent; with this or `events`, nothing else is but what the journal says of itself' },
  { key: 'events', types: 'all', takes: 'list of patterns', doc: 'events whose names match one of these are sent, as in `sallyport.approval.*`' },
  { key: 'endpoint', types: '`otlp-http`', takes: 'URL', doc: 'as `otel.exporter.otlp-http.endpoint`' },
  { key: 'protocol', types: '`otlp-http`', takes: '`binary`, `json`', doc: 'protobuf, which is the default, or JSON' },
  { key: 'headers', types: '`otlp-http`', takes: 'table of strings', doc: 'fields sent with every post; `${NAME}` in a value is taken from the environment' },
  { key: 'compression', types: '`otlp-http`', takes: '`gzip`, `none`', doc: 'how posts are compressed; `gzip` is the default' },
  { key: 'path', types: '`file`', takes: 'path', doc: 'the file that lines are appended to; it is made with mode 0600 where there is none' },
  { key: 'address', types: '`syslog`', takes: 'HOST or HOST:PORT', doc: 'the receiver; port 6514 for TLS and 514 for plain TCP where none is written' },
  { key: 'transport', types: '`syslog`', takes: '`tls`, `tcp`', doc: '`tls` is the default; `tcp` is plain text, for this machine or with `insecure`' },
  { key: 'insecure', types: '`syslog`', takes: 'true or false', doc: 'plain text may leave this machine' },
  { key: 'facility', types: '`syslog`', takes: 'word', doc: 'facility of the messages; `local0` is the default' },
  { key: 'app_name', types: '`syslog`', takes: 'string', doc: 'APP-NAME of the messages; `sallyport` is the default' },
  { key: 'format', types: '`file`, `syslog`', takes: '`jsonl`, `ocsf`, `ecs`, `cef`', doc: 'form of the lines; `jsonl`, the record as it stands in the journal, is the default' },
  { key: 'tls', types: '`otlp-http`, `syslog`', takes: 'table', doc: '`ca-certificate`, `client-certificate` and `client-private-key`: PEM files, as in `[otel.exporter.otlp-http.tls]`' },
]
const keysOf = (type: string): readonly string[] => destinationKeys.filter(({ types }) => types === 'all' || types.includes(`\`${type}\``)).map(({ key }) => key)
const types = ['otlp-http', 'file', 'syslog'] as const
const tlsKeys = [['ca-certificate', 'caFile'], ['client-certificate', 'certFile'], ['client-private-key', 'keyFile']] as const

/** As it stands in the file: fields are not expanded yet. */
export interface WrittenDestination {
  readonly destination: Destination
  /** `FILE:LINE:COLUMN` */
  readonly where: string
}

/** Reads the array `audit.destinations`; what is wrong is reported, and the destination left out. */
export function readDestinations(value: TomlValue, folder: string, whereIs: (path: Path) => string, report: Report): readonly WrittenDestination[] {
  const at = ['audit', 'destinations']
  if (!Array.isArray(value)) {
    report(at, '`audit.destinations` holds a table for each destination: `[[audit.destinations]]`')
    return []
  }
  const names = new Set<string>([otelName])
  return value.flatMap((table: TomlValue, i) => {
    if (!isTable(table)) {
      report([...at, i], `a destination has to be a table, and this is ${typeName(table)}`)
      return []
    }
    const destination = new DestinationReader(table, [...at, i], folder, report).read()
    if (destination === undefined) return []
    if (names.has(destination.name)) report([...at, i, 'name'], destination.name === otelName ? `\`${otelName}\` is the name of the one in \`[otel]\`` : `\`${destination.name}\` is the name of two destinations`)
    names.add(destination.name)
    return [{ destination, where: whereIs([...at, i]) }]
  })
}

/** With what its fields name in the environment. */
export function completed({ destination, where }: WrittenDestination, values: Values): Destination {
  const missing = (name: string): void => values.missingSecretAt({ where, message: `\`headers\` of destination \`${destination.name}\` names the variable ${name}, which is not set` })
  if (destination.type !== 'otlp-http') return destination
  return { ...destination, headers: expandFields(destination.headersWritten, values.env, missing) }
}

/** `${NAME}` from the environment, so that a token need not stand in the file. */
export function expandFields(written: Readonly<Record<string, string>>, env: Environment, missing: (variable: string) => void): Record<string, string> {
  const expanded: Record<string, string> = Object.create(null)
  for (const [field, value] of Object.entries(written)) {
    expanded[field] = value.replaceAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      const found = env[name] ?? ''
      if (found === '') missing(name)
      return found
    })
  }
  return expanded
}

interface Base {
  readonly name: string
  readonly filter: DestinationFilter
}

class DestinationReader {
  readonly #table: TomlTable
  readonly #at: Path
  readonly #folder: string
  readonly #report: Report
  #isWrong = false

  constructor(table: TomlTable, at: Path, folder: string, report: Report) {
    this.#table = table
    this.#at = at
    this.#folder = folder
    this.#report = report
  }

  read(): Destination | undefined {
    const type = this.#word('type', types)
    if (type === undefined) return this.#isWrong ? undefined : this.#wrong('', `a destination without \`type\`: ${types.join(', ')}`)
    const keys = keysOf(type)
    for (const key of Object.keys(this.#table)) {
      if (!keys.includes(key)) this.#wrong(key, `there is no setting \`${key}\` of a destination of type \`${type}\`${suggestion(key, keys)}`)
    }
    const base = { name: this.#name(), filter: this.#filter() }
    const destination = type === 'file' ? this.#file(base) : type === 'syslog' ? this.#syslog(base) : this.#otlp(base)
    return this.#isWrong ? undefined : destination
  }

  #otlp(base: Base): Destination {
    const endpoint = this.#kind('endpoint', url) ?? this.#missing('endpoint')
    const parsed = URL.parse(endpoint)
    if (parsed !== null && (parsed.username !== '' || parsed.password !== '')) this.#wrong('endpoint', '`endpoint` may not hold credentials: use `headers`')
    const tls = this.#tls()
    if (parsed?.protocol === 'http:' && 'tls' in this.#table) this.#wrong('tls', '`tls` is for an endpoint of https')
    const headersWritten = this.#kind('headers', fields) ?? {}
    return {
      ...base, type: 'otlp-http', endpoint, tls, headersWritten, headers: {},
      protocol: this.#word('protocol', ['binary', 'json']) ?? 'binary',
      compression: this.#word('compression', ['gzip', 'none']) ?? 'gzip',
    }
  }

  #file(base: Base): Destination {
    return { ...base, type: 'file', path: resolve(this.#folder, this.#text('path') ?? this.#missing('path')), format: this.#format() }
  }

  #syslog(base: Base): Destination {
    const transport = this.#word('transport', ['tls', 'tcp']) ?? 'tls'
    const address = this.#text('address') ?? this.#missing('address')
    const { host, port } = this.#authority(address, transport === 'tls' ? 6514 : 514)
    const insecure = this.#kind('insecure', bool) ?? false
    if (transport === 'tcp' && !insecure && host !== 'localhost' && !isLoopback(host)) this.#wrong('transport', '`tcp` is plain text, and the receiver is another machine: use `tls`, or say `insecure = true`')
    if (transport === 'tcp' && 'tls' in this.#table) this.#wrong('tls', '`tls` beside `transport = "tcp"`')
    const appName = this.#text('app_name') ?? 'sallyport'
    if (!/^[\x21-\x7e]{1,48}$/.test(appName)) this.#wrong('app_name', '`app_name` has up to 48 characters of visible ASCII without spaces')
    return { ...base, type: 'syslog', host, port, transport, tls: this.#tls(), format: this.#format(), facility: this.#word('facility', facilities) ?? 'local0', appName }
  }

  #format(): FormatName {
    return this.#word('format', formatNames) ?? 'jsonl'
  }

  #authority(text: string, defaultPort: number): { readonly host: string; readonly port: number } {
    if (text === '') return { host: '', port: 0 }
    try {
      const { host, port } = parseAuthority(text, defaultPort)
      return { host: host.text, port }
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      this.#wrong('address', `\`${text}\` is not a host, or host:port: ${error.detail}`)
      return { host: '', port: 0 }
    }
  }

  #name(): string {
    const name = this.#text('name') ?? this.#missing('name')
    if (!/^[a-z\d][a-z\d_-]{0,31}$/.test(name) && name !== '') this.#wrong('name', `\`${name}\` is no name for a destination: up to 32 small letters, digits, \`_\` and \`-\``)
    return name
  }

  #filter(): DestinationFilter {
    const wanted = this.#strings('verdicts')
    for (const word of wanted ?? []) if (!verdicts.some((verdict) => verdict === word)) this.#wrong('verdicts', `\`${word}\` is not one of ${verdicts.join(', ')}`)
    const events = this.#strings('events')
    for (const pattern of events ?? []) {
      if (!canMatch(pattern)) this.#wrong('events', `\`${pattern}\` is not a pattern for the names of events`)
    }
    return { verdicts: wanted === undefined ? undefined : verdicts.filter((verdict) => wanted.includes(verdict)), events }
  }

  #tls(): DestinationTls {
    const table = this.#table['tls'] ?? {}
    if (!isTable(table)) return this.#wrong('tls', `\`tls\` has to be a table, and this is ${typeName(table)}`) ?? {}
    const tls: { caFile?: string; certFile?: string; keyFile?: string } = {}
    for (const [key, value] of Object.entries(table)) {
      const [, name] = tlsKeys.find(([known]) => known === key) ?? []
      if (name === undefined) this.#wrong('tls', `there is no setting \`${key}\` of \`tls\`${suggestion(key, tlsKeys.map(([known]) => known))}`)
      else if (typeof value !== 'string' || value === '') this.#wrong('tls', `\`${key}\` takes the path of a PEM file`)
      else tls[name] = resolve(this.#folder, value)
    }
    if (tls.certFile !== undefined && tls.keyFile === undefined) this.#wrong('tls', '`client-certificate` is set without `client-private-key`')
    if (tls.keyFile !== undefined && tls.certFile === undefined) this.#wrong('tls', '`client-private-key` is set without `client-certificate`')
    return tls
  }

  #word<const T extends string>(key: string, words: readonly T[]): T | undefined {
    const text = this.#text(key)
    const found = words.find((word) => word === text)
    if (text === undefined || found !== undefined) return found
    return this.#wrong(key, `\`${key}\`: \`${text}\` is not one of ${words.join(', ')}`)
  }

  #kind<T>(key: string, kind: Kind<T>): T | undefined {
    const value = this.#table[key]
    if (value === undefined) return undefined
    try {
      return kind.fromToml(value)
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      return this.#wrong(key, `\`${key}\`: ${error.message}`)
    }
  }

  #text(key: string): string | undefined {
    return filledText(this.#table, key, (message) => this.#wrong(key, message))
  }

  #strings(key: string): readonly string[] | undefined {
    const value = this.#table[key]
    if (value === undefined) return undefined
    const strings = Array.isArray(value) ? value.filter((each: TomlValue) => typeof each === 'string') : []
    if (Array.isArray(value) && strings.length === value.length && strings.length > 0) return strings
    return this.#wrong(key, `\`${key}\` has to be an array of strings that is not empty`)
  }

  #missing(key: string): string {
    if (!(key in this.#table)) this.#wrong('', `a destination without \`${key}\``)
    return ''
  }

  #wrong(key: string, message: string): undefined {
    this.#isWrong = true
    this.#report(key === '' ? this.#at : [...this.#at, key], message)
    return undefined
  }
}

function canMatch(pattern: string): boolean {
  try {
    return pattern.length <= 256 && micromatch.makeRe(pattern) instanceof RegExp
  } catch {
    return false
  }
}
