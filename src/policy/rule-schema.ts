// One `[[network.rules]]` table: its keys and their types.
import { classifyAddress, parseCidr } from '../target/address.ts'
import type { Cidr } from '../target/address.ts'
import { verdicts, type Verdict } from './decision.ts'
import { effectKeys, readEffects } from './effects-schema.ts'
import type { DraftEffects } from './effects-schema.ts'
import { parseHostPattern } from './pattern.ts'
import type { HostPattern } from './pattern.ts'
import { parsePathPattern } from './path-pattern.ts'
import type { PathPattern } from './path-pattern.ts'
import type { RequestTerms } from './policy.ts'
import type { Path } from './positions.ts'
import { checkTogether } from './rule-checks.ts'
import type { TableReader } from './table-reader.ts'
import { readOnlyMethods, readTerms, termKeys } from './terms-schema.ts'
import { cacheMethods } from './web-reading.ts'

export interface DraftPattern extends HostPattern {
  readonly at: Path
  readonly line: number
}

export interface DraftCase {
  readonly expect: 'match' | 'not_match'
  readonly text: string
  readonly at: Path
}

/** A rule as written, its values checked one by one. */
export interface DraftRule {
  readonly at: Path
  readonly line: number
  readonly id: string
  readonly hosts: readonly DraftPattern[]
  readonly verdict: Verdict
  readonly otherwise: Verdict | undefined
  readonly reason: string | undefined
  readonly methods: readonly string[] | undefined
  readonly paths: readonly PathPattern[] | undefined
  readonly upgrades: readonly 'websocket'[] | undefined
  readonly raw: 'ssh' | 'any' | undefined
  readonly local: readonly Cidr[]
  readonly cache: boolean
  readonly sharedCache: boolean
  readonly broad: boolean
  readonly terms: RequestTerms | undefined
  readonly effects: DraftEffects | undefined
  readonly agents: readonly string[] | undefined
  readonly teams: readonly string[] | undefined
  readonly cases: readonly DraftCase[]
}

export const ruleKeys: readonly string[] = [
  'id', 'hosts', 'verdict', 'methods', 'paths', 'upgrades', 'otherwise', 'reason', 'match', 'not_match', 'raw', 'local',
  'via', 'shared_cache', 'broad', 'agents', 'teams', ...termKeys, ...effectKeys,
]
/** What a decision's rule may be called that is no rule. */
const reservedIds: readonly string[] = [
  'allowed_domains', 'denied_domains', 'review_domains', 'domains', 'denied_domains_files', 'agent_telemetry', 'unknown', 'ports',
  'ip_literals', 'enabled', 'managed_allowed_domains_only', 'read_only', 'pins', 'header_injections', 'web_fetch', 'allowed_web_search_modes',
]

/** Reads a rule; undefined when something that every rule needs is missing or wrong. */
export function readRule(table: TableReader): DraftRule | undefined {
  const { file } = table
  table.rejectUnknown(ruleKeys, 'a rule')
  const id = readId(table)
  const verdict = table.word('verdict', verdicts)
  if (!table.has('verdict')) file.error(table.path, 'a rule without `verdict`: `allow`, `deny` or `ask`', 'key')
  const hosts = readHosts(table, 'hosts')
  if (hosts === undefined && !table.has('hosts')) file.error(table.path, 'a rule without `hosts`', 'key')
  if (table.isEmptyArray('hosts')) file.error(table.at('hosts'), '`hosts` is empty, so the rule matches nothing')
  const cache = table.word('via', ['cache']) !== undefined
  const effects = readEffects(table)
  const draft = {
    at: table.path,
    line: file.line(table.path),
    otherwise: table.word('otherwise', verdicts),
    reason: readReason(table),
    methods: readOnlyMethods(table, readMethods(table) ?? (cache ? cacheMethods : undefined)),
    paths: readPaths(table),
    upgrades: notEmpty(table, 'upgrades', table.words<'websocket'>('upgrades', ['websocket'])),
    raw: table.word('raw', ['ssh', 'any']),
    local: readLocal(table),
    cache,
    sharedCache: table.boolean('shared_cache') ?? false,
    broad: table.boolean('broad') ?? false,
    terms: readTerms(table, effects?.credential !== undefined),
    effects,
    agents: notEmpty(table, 'agents', table.strings('agents')),
    teams: notEmpty(table, 'teams', table.strings('teams')),
    cases: [...readCases(table, 'match'), ...readCases(table, 'not_match')],
  }
  if (id === undefined || verdict === undefined || hosts === undefined) return undefined
  const rule: DraftRule = { ...draft, id, verdict, hosts }
  checkTogether(table, rule)
  return rule
}

/** The patterns of an array of strings; those that cannot be read are left out, each with its error. */
export function readHosts(table: TableReader, key: string): readonly DraftPattern[] | undefined {
  return table.strings(key)?.flatMap((text, i) => {
    const at = table.at(key, i)
    const pattern = parseHostPattern(text)
    if ('wrong' in pattern) {
      table.file.error(at, `not a host pattern: ${pattern.wrong}`)
      return []
    }
    return [{ ...pattern, at, line: table.file.line(at) }]
  })
}

function readId(table: TableReader): string | undefined {
  const id = table.string('id')
  if (id === undefined) {
    if (!table.has('id')) table.file.error(table.path, 'a rule without `id`: events and refusals name it', 'key')
    return undefined
  }
  if (reservedIds.includes(id) || id.startsWith('pins.')) table.file.error(table.at('id'), `\`${id}\` is what events call a list or setting: give the rule a name of its own`)
  else if (/^[a-z\d][\w.:/-]{0,99}$/i.test(id)) return id
  else table.file.error(table.at('id'), 'an `id` has 1 to 100 letters, digits or `_.:/-`, and starts with a letter or digit')
  return undefined
}

function readReason(table: TableReader): string | undefined {
  const reason = table.string('reason')
  if (reason === undefined || !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(reason)) return reason
  table.file.error(table.at('reason'), 'a `reason` is one line without control characters: agents are shown it')
  return undefined
}

function readMethods(table: TableReader): readonly string[] | undefined {
  const methods = table.strings('methods')
  methods?.forEach((method, i) => {
    if (method === 'CONNECT') table.file.error(table.at('methods', i), '`CONNECT` is no method of a request: it is decided by host and port')
    else if (!/^[A-Z][A-Z\d_-]{0,63}$/.test(method)) table.file.error(table.at('methods', i), `\`${method}\` is no method: methods are upper case, such as \`GET\``)
  })
  return notEmpty(table, 'methods', methods)
}

function readPaths(table: TableReader): readonly PathPattern[] | undefined {
  const paths = table.strings('paths')?.flatMap((text, i) => {
    const pattern = parsePathPattern(text)
    if (!('wrong' in pattern)) return [pattern]
    table.file.error(table.at('paths', i), `not a path pattern: ${pattern.wrong}`)
    return []
  })
  return notEmpty(table, 'paths', paths)
}

function readLocal(table: TableReader): readonly Cidr[] {
  const texts = table.strings('local') ?? []
  return texts.flatMap((text, i) => {
    const cidr = parseCidr(text)
    const at = table.at('local', i)
    if (cidr === undefined) {
      table.file.error(at, `\`${text}\` is no address or block (\`10.20.0.0/16\`); are host bits set?`)
      return []
    }
    const kind = classifyAddress({ family: cidr.family, bits: cidr.bits, text: cidr.text.split('/', 1)[0] ?? '' })
    if (kind === 'translated' || kind === 'multicast' || kind === 'unspecified') {
      table.file.error(at, `${kind} addresses are never dialled`)
      return []
    }
    return [cidr]
  })
}

function readCases(table: TableReader, key: 'match' | 'not_match'): readonly DraftCase[] {
  return (table.strings(key) ?? []).map((text, i) => ({ expect: key, text, at: table.at(key, i) }))
}

/** An empty list would turn a narrow rule into a wide one. */
function notEmpty<T>(table: TableReader, key: string, list: readonly T[] | undefined): readonly T[] | undefined {
  if (table.isEmptyArray(key)) {
    table.file.error(table.at(key), `\`${key}\` is empty, so the rule matches nothing: leave it out to match all`)
  }
  return list
}
