// One accepted proposal as an entry of `90-approved.toml`: text in, text out. It only ever inserts, so what an
// admin wrote stays as it is, and it yields nothing that does not read back as exactly the old content and the
// entry. No I/O.
import { isDeepStrictEqual } from 'node:util'
import { broadness } from '../policy/broad.ts'
import { parseHostPattern } from '../policy/pattern.ts'
import type { HostPattern } from '../policy/pattern.ts'
import { Positions } from '../policy/positions.ts'
import { isTable, parseToml } from '../policy/toml.ts'
import type { TomlTable, TomlValue } from '../policy/toml.ts'

export interface ApprovedEntry {
  readonly verdict: 'allow' | 'deny'
  /** as policy reads it, a port that is not the usual one included */
  readonly pattern: string
  /** undefined, with no team: for everybody */
  readonly agent: string | undefined
  readonly team: string | undefined
  /** who accepted it */
  readonly by: string
  /** wall clock, `ms` */
  readonly atMs: number
  readonly approvalId: string
}

/** The new text; `present` when the same entry stands there already; or one sentence on why not. */
export type Edit = { readonly text: string } | 'present' | { readonly refused: string }

const opening = [
  '# Written by sallyport when an admin accepts a proposal: an entry each, with who accepted it and when.',
  '# It is read after the other files of this folder. It may be edited; what stands here is never rewritten.',
  '',
  '',
]
const maxWords = 100

/** Adds the entry to the text of the file; undefined: there is no file yet. Never throws for what is in them. */
export function addApproved(text: string | undefined, entry: ApprovedEntry): Edit {
  const pattern = patternOf(entry)
  if ('refused' in pattern) return pattern
  const eol = text?.includes('\r\n') === true ? '\r\n' : '\n'
  const before = text ?? opening.join(eol)
  const parsed = parseToml(before)
  if ('fault' in parsed) return { refused: `line ${parsed.fault.line} of it is ${parsed.fault.message}` }
  const { table } = parsed
  const name = 'network' in table || !('experimental_network' in table) ? 'network' : 'experimental_network'
  const network = table[name] ?? {}
  if (!isTable(network)) return { refused: `\`${name}\` in it is not a table` }
  const file: Target = { text: before, eol, table, name, network }
  return isForRule(file, entry, pattern) ? addRule(file, entry, pattern) : addToList(file, entry, pattern)
}

interface Target {
  readonly text: string
  readonly eol: string
  readonly table: TomlTable
  readonly name: string
  readonly network: TomlTable
}

function patternOf({ verdict, pattern: text, agent, team, approvalId }: ApprovedEntry): HostPattern | { readonly refused: string } {
  const pattern = parseHostPattern(text)
  if ('wrong' in pattern) return { refused: `\`${text.slice(0, maxWords)}\` is not a host pattern: ${pattern.wrong}` }
  const broad = pattern.scope.kind === 'any' ? 'it covers every name' : broadness(pattern.scope)
  if (broad !== undefined) return { refused: `\`${text}\` is too broad for an approval: ${broad}` }
  if (verdict !== 'allow' && verdict !== 'deny') return { refused: 'an entry allows or denies' }
  if (!/^[\w-]{1,64}$/.test(approvalId)) return { refused: 'the approval has no id that could be written' }
  for (const label of [agent, team]) {
    if (label !== undefined && (label === '' || !label.isWellFormed())) return { refused: 'the agent or team has no name that could be written' }
  }
  return pattern
}

/** A rule says for whom; and it says one port, where a list of Codex's would mean all of them. */
function isForRule({ name, network }: Target, { agent, team }: ApprovedEntry, { ports }: HostPattern): boolean {
  return agent !== undefined || team !== undefined || 'domains' in network || (name === 'experimental_network' && ports !== undefined)
}

function addToList(file: Target, entry: ApprovedEntry, pattern: HostPattern): Edit {
  const { network, name, eol, text } = file
  const key = entry.verdict === 'allow' ? 'allowed_domains' : 'denied_domains'
  const list = network[key] ?? []
  if (!Array.isArray(list)) return { refused: `\`${key}\` in it is not an array` }
  if (list.some((each) => isSame(each, pattern))) return 'present'
  const added = `  ${commentOf(entry)}${eol}  ${tomlString(entry.pattern)},`
  const wanted = { ...file.table, [name]: { ...network, [key]: [entry.pattern, ...list] } }
  const whole = `${key} = [${eol}${added}${eol}]${eol}`
  return firstThatReads(wanted, [
    ...(key in network ? [intoArray(file, key, added)] : headersOf(file).map((at) => insert(text, at, whole))),
    `${ended(text, eol)}[${name}]${eol}${whole}`,
    `${name}.${whole}${text}`,
  ])
}

function addRule(file: Target, entry: ApprovedEntry, pattern: HostPattern): Edit {
  const { network, name, eol, text } = file
  const rules = network['rules'] ?? []
  if (!Array.isArray(rules)) return { refused: '`rules` in it is not an array' }
  if (rules.some((rule) => isSameRule(rule, entry, pattern))) return 'present'
  const { agent, team, verdict } = entry
  const rule = {
    id: freeId(rules, entry.approvalId),
    hosts: [entry.pattern],
    ...(agent === undefined ? {} : { agents: [agent] }),
    ...(team === undefined ? {} : { teams: [team] }),
    verdict,
  }
  const keys = Object.entries(rule).map(([key, value]) => `${key} = ${typeof value === 'string' ? tomlString(value) : `[${value.map(tomlString).join(', ')}]`}`)
  const block = [commentOf(entry), `[[${name}.rules]]`, ...keys, ''].join(eol)
  const last = { ...file.table, [name]: { ...network, rules: [...rules, rule] } }
  const appended = firstThatReads(last, [`${ended(text, eol)}${block}`])
  if ('text' in appended || !('rules' in network)) return appended
  const first = { ...file.table, [name]: { ...network, rules: [rule, ...rules] } }
  return firstThatReads(first, [intoArray(file, 'rules', `  ${commentOf(entry)}${eol}  { ${keys.join(', ')} },`)])
}

/** The first of the texts that is exactly what was wanted. */
function firstThatReads(wanted: TomlTable, texts: readonly (string | undefined)[]): Exclude<Edit, 'present'> {
  for (const text of texts) {
    const parsed = text === undefined ? undefined : parseToml(text)
    // the parser's tables and ours have different prototypes
    if (text !== undefined && parsed !== undefined && 'table' in parsed && isDeepStrictEqual(structuredClone(parsed.table), structuredClone(wanted))) return { text }
  }
  return { refused: 'it is written in a way that cannot be added to: write the entry by hand' }
}

/** Right after the opening bracket, so that nothing of the array has to be understood. */
function intoArray({ text, eol, name }: Target, key: string, added: string): string | undefined {
  const positions = new Positions(text)
  const { line, column } = positions.place([name, key])
  let start = 0
  for (let i = 1; i < line; i++) start = text.indexOf('\n', start) + 1
  const bracket = start + column - 1
  if (text[bracket] !== '[') return undefined
  const restOfLine = /^[ \t]*\r?\n/.test(text.slice(bracket + 1, text.indexOf('\n', bracket) + 1))
  return insert(text, bracket + 1, `${eol}${added}${restOfLine ? '' : eol}`)
}

/** Where the lines after `[network]` begin; also lookalikes in strings, which do not read back. */
function headersOf({ text, name }: Target): readonly number[] {
  return [...text.matchAll(new RegExp(`^[ \\t]*\\[[ \\t]*"?${name}"?[ \\t]*\\][^\\n]*\\n`, 'gm'))].map(({ index, 0: line }) => index + line.length)
}

function insert(text: string, at: number, added: string): string {
  return text.slice(0, at) + added + text.slice(at)
}

/** With a line end, and an empty line where something stands before. */
function ended(text: string, eol: string): string {
  if (text === '') return text
  const closed = text.endsWith('\n') ? text : `${text}${eol}`
  return closed.endsWith(`${eol}${eol}`) ? closed : `${closed}${eol}`
}

function freeId(rules: readonly TomlValue[], approvalId: string): string {
  const taken = new Set(rules.map((rule) => (isTable(rule) ? rule['id'] : undefined)))
  const id = `approved-${approvalId}`
  for (let i = 2, free = id; ; i++) {
    if (!taken.has(free)) return free
    free = `${id}-${i}`
  }
}

function isSameRule(rule: TomlValue, { verdict, agent, team }: ApprovedEntry, pattern: HostPattern): boolean {
  if (!isTable(rule)) return false
  const { id: _id, reason: _reason, hosts, agents, teams, verdict: theirs, ...rest } = rule
  if (theirs !== verdict || Object.keys(rest).length > 0) return false
  return isOnly(agents, agent) && isOnly(teams, team) && Array.isArray(hosts) && hosts.some((host) => isSame(host, pattern))
}

function isOnly(names: TomlValue | undefined, name: string | undefined): boolean {
  return isDeepStrictEqual(names, name === undefined ? undefined : [name])
}

/** Another spelling of a pattern is the same pattern. */
function isSame(value: TomlValue, { scope, ports }: HostPattern): boolean {
  if (typeof value !== 'string') return false
  const other = parseHostPattern(value)
  return !('wrong' in other) && isDeepStrictEqual([other.scope, other.ports], [scope, ports])
}

/** One line, whatever the name holds: what is neither letter, digit nor sign is a `?`. */
function commentOf({ verdict, by, atMs, approvalId }: ApprovedEntry): string {
  const name = Array.from(by.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?')).slice(0, maxWords).join('')
  return `# ${verdict === 'allow' ? 'allowed' : 'denied'} ${new Date(atMs).toISOString()} by ${name}, approval ${approvalId}`
}

/** A basic string, TOML 1.0: only what has to be is escaped. */
function tomlString(text: string): string {
  return `"${text.replaceAll(/["\\\p{Cc}]/gu, (c) => (c === '"' || c === '\\' ? `\\${c}` : `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`))}"`
}
