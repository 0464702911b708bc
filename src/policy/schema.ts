// One policy file as a draft: every key known and typed, every value in its place, nothing merged yet.
// All that is wrong with the file is told at once; a draft with errors is never compiled.
import { readApprovals } from './approval-rules.ts'
import type { DraftApprovals } from './approval-rules.ts'
import { codexKeys } from './codex-keys.ts'
import type { CodexKey } from './codex-keys.ts'
import { verdicts, type Verdict } from './decision.ts'
import { readLimits } from './limit-rules.ts'
import type { DraftLimit } from './limit-rules.ts'
import { parseHostPattern } from './pattern.ts'
import type { LongList } from './long-lists.ts'
import { readPins } from './pins-schema.ts'
import type { DraftPins } from './pins-schema.ts'
import type { Path } from './positions.ts'
import type { WebSearchMode } from './policy.ts'
import type { SourceReader } from './problem.ts'
import { readHosts, readRule } from './rule-schema.ts'
import type { DraftPattern, DraftRule } from './rule-schema.ts'
import { nearestWord, suggestion } from './suggestion.ts'
import { TableReader } from './table-reader.ts'
import { isTable } from './toml.ts'
import type { TomlTable } from './toml.ts'
import { readWebFetch, webSearchModes } from './web-fetch.ts'
import type { DraftWebFetch } from './web-fetch.ts'

export interface DraftList {
  readonly key: string
  readonly verdict: Verdict
  readonly at: Path
  readonly entries: readonly string[] | LongList
}

export interface DraftFeed {
  readonly at: Path
  readonly line: number
  readonly path: string
  readonly except: readonly DraftPattern[]
}

export interface DraftEndpoint {
  readonly at: Path
  readonly line: number
  readonly text: string
}

export interface Draft {
  readonly file: SourceReader
  /** the table is Codex's: a port in a list means all ports, and what is broad is only warned about */
  readonly codex: boolean
  readonly tablePath: Path
  readonly enabled: boolean | undefined
  readonly mode: 'enforce' | 'monitor' | 'full' | 'limited' | undefined
  readonly unknown: Verdict | undefined
  readonly ipLiterals: 'deny' | 'ask' | undefined
  readonly managedOnly: boolean | undefined
  readonly allowLocalBinding: boolean | undefined
  readonly allowUpstreamProxy: boolean | undefined
  readonly lists: readonly DraftList[]
  /** `domains`: each key its own place */
  readonly domains: readonly (DraftPattern & { readonly verdict: 'allow' | 'deny' })[]
  readonly feeds: readonly DraftFeed[]
  readonly telemetry: readonly DraftEndpoint[]
  readonly neverIntercept: readonly DraftPattern[]
  readonly rules: readonly DraftRule[]
  readonly approvals: DraftApprovals | undefined
  readonly limits: readonly DraftLimit[]
  readonly readOnly: boolean | undefined
  readonly pins: DraftPins
  readonly webSearchModes: readonly WebSearchMode[] | undefined
  readonly webFetch: DraftWebFetch | undefined
}

const listKeys = [
  ['allowed_domains', 'allow'],
  ['denied_domains', 'deny'],
  ['review_domains', 'ask'],
] as const
const ownKeys: readonly string[] = ['unknown', 'ip_literals', 'denied_domains_files', 'agent_telemetry', 'never_intercept', 'rules', 'approvals', 'limits', 'read_only', 'pins']
/** Every key of `[network]` and `[experimental_network]`. */
export const networkKeys: readonly string[] = [...ownKeys, ...codexKeys.map(({ key }) => key)]
/** Every top-level key that is read here. */
export const topLevelKeys: readonly string[] = ['network', 'experimental_network', 'allowed_web_search_modes', 'web_fetch']

/** Reads a file's table; what is wrong with it goes to the file's problems. */
export function readDraft(file: SourceReader, root: TomlTable): Draft {
  const top = new TableReader(file, [], root)
  checkTopLevel(top)
  const codex = !top.has('network') && top.has('experimental_network')
  if (top.has('network') && top.has('experimental_network')) {
    file.error(['experimental_network'], '`[experimental_network]` and `[network]` in one file: both are the same table, write one of them', 'key')
  }
  const network = top.table(codex ? 'experimental_network' : 'network') ?? new TableReader(file, ['network'], {})
  network.rejectUnknown(networkKeys, `[${String(network.path[0])}]`)
  checkCodexKeys(network)
  checkListKinds(network)
  return {
    file,
    codex,
    tablePath: network.path,
    enabled: network.boolean('enabled'),
    mode: network.word('mode', ['enforce', 'monitor', 'full', 'limited']),
    unknown: network.word('unknown', verdicts),
    ipLiterals: network.word('ip_literals', ['deny', 'ask']),
    managedOnly: network.boolean('managed_allowed_domains_only'),
    allowLocalBinding: network.boolean('allow_local_binding'),
    allowUpstreamProxy: network.boolean('allow_upstream_proxy'),
    lists: listKeys.flatMap(([key, verdict]) => {
      const entries = network.longStrings(key)
      return entries === undefined ? [] : [{ key, verdict, at: network.at(key), entries }]
    }),
    domains: readDomains(network),
    feeds: readFeeds(network),
    telemetry: (network.strings('agent_telemetry') ?? []).map((text, i) => {
      const at = network.at('agent_telemetry', i)
      return { at, line: file.line(at), text }
    }),
    neverIntercept: readHosts(network, 'never_intercept') ?? [],
    rules: (network.tables('rules') ?? []).flatMap((table) => readRule(table) ?? []),
    approvals: readApprovals(network),
    limits: readLimits(network),
    readOnly: network.boolean('read_only'),
    pins: readPins(network),
    webSearchModes: top.words('allowed_web_search_modes', webSearchModes),
    webFetch: readWebFetch(top),
  }
}

/** Tables of other programs are none of our business; a slip in the name of ours is. */
function checkTopLevel(top: TableReader): void {
  for (const key of top.keys()) {
    if (topLevelKeys.includes(key)) continue
    const near = nearestWord(key, topLevelKeys)
    // Codex has a table `[rules]` of its own; an array of tables is somebody's `[[network.rules]]`
    const isCodexRules = key === 'rules' && isTable(top.value(key))
    if (key === 'credentials') {
      top.file.error([key], '`credentials` stand in `sallyport.toml`: a policy names them, and holds none', 'key')
    } else if (key === 'network_proxy' || (key === 'rules' && !isCodexRules)) {
      top.file.error([key], `\`${key}\` is not read here: write \`[network]\` or \`[[network.rules]]\``, 'key')
    } else if (!isCodexRules && (near !== undefined || networkKeys.includes(key))) {
      const meant = near === undefined ? `; it belongs into \`[network]\`` : suggestion(key, [near])
      top.file.error([key], `unknown key \`${key}\`${meant}`, 'key')
    } else if (key === 'permissions' && hasNetwork(top)) {
      top.file.error([key, 'network'], '`[permissions.network]` is not read here: write `[network]`', 'key')
    } else top.file.notice([key], `\`${key}\` is another program's and ignored here`, 'key')
  }
}

function hasNetwork(top: TableReader): boolean {
  const value = top.value('permissions')
  return isTable(value) && 'network' in value
}

function checkCodexKeys(network: TableReader): void {
  for (const entry of codexKeys) {
    if (entry.handling === 'enforced' || !network.has(entry.key) || !hasItsType(network, entry)) continue
    const value = network.value(entry.key)
    if (entry.harmless === 'empty' ? isEmpty(value) : value === entry.harmless) continue
    if (entry.handling === 'refused') network.file.error(network.at(entry.key), `\`${entry.key}\` cannot be honoured: ${entry.here}`, 'key')
    else network.file.notice(network.at(entry.key), `\`${entry.key}\` is ignored: ${entry.here}`, 'key')
  }
}

function hasItsType(network: TableReader, { key, type }: CodexKey): boolean {
  switch (type) {
    case 'boolean':
      return network.boolean(key) !== undefined
    case 'string':
      return network.string(key) !== undefined
    case 'port':
      return network.port(key) !== undefined
    case 'strings':
      return network.strings(key) !== undefined
    case 'tables':
      return network.tables(key) !== undefined
    default:
      return network.table(key) !== undefined
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function checkListKinds(network: TableReader): void {
  if (!network.has('domains')) return
  for (const key of ['allowed_domains', 'denied_domains']) {
    if (network.has(key)) {
      network.file.error(network.at(key), `\`${key}\` beside \`domains\`: one file writes its hosts in one of the two ways`, 'key')
    }
  }
}

function readDomains(network: TableReader): Draft['domains'] {
  const table = network.table('domains')
  if (table === undefined) return []
  return table.keys().flatMap((text) => {
    const verdict = table.word(text, ['allow', 'deny'])
    const at = table.at(text)
    const pattern = parseHostPattern(text)
    if (!('wrong' in pattern)) {
      return verdict === undefined ? [] : [{ ...pattern, verdict, at, line: network.file.line(at) }]
    }
    network.file.error(at, `not a host pattern: ${pattern.wrong}`, 'key')
    return []
  })
}

function readFeeds(network: TableReader): readonly DraftFeed[] {
  return (network.tables('denied_domains_files') ?? []).flatMap((table) => {
    table.rejectUnknown(['path', 'except'], 'a feed')
    const path = table.string('path')
    const except = readHosts(table, 'except') ?? []
    if (path === undefined || path === '') {
      if (path === '' || !table.has('path')) network.file.error(table.path, 'a feed without `path`', 'key')
      return []
    }
    return [{ at: table.path, line: network.file.line(table.path), path, except }]
  })
}
