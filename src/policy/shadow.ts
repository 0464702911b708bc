// Rules and list entries that can never change a verdict, told when the policy loads: what looks as if it
// opened a host and does not is a trap for whoever reads the file next.
import type { Hit } from './hits.ts'
import { hitsFor, refOf, ruleAt, writtenEntry } from './hits.ts'
import { coversBelow, coversName, entryAt, entryOffsets } from './name-table.ts'
import type { Scope } from './pattern.ts'
import type { NameList, Policy, Ports, Rule } from './policy.ts'
import type { SourceReader } from './problem.ts'
import { readingMethods } from './read-only.ts'
import type { PlacedPattern } from './rule-book.ts'

/** Entries of lists that are looked at; a longer list is not hand-written. */
const maxEntries = 20_000
// no host has such a label, so only what covers everything below a name covers it
const probe = '--any--'

/** Warns of every pattern of an allow or ask that something stricter covers whole. */
export function warnOfShadowed(policy: Policy, placed: readonly PlacedPattern[], files: ReadonlyMap<string, SourceReader>): void {
  const inLists = new Set<string>()
  for (const list of [policy.lists.allow, policy.lists.ask]) warnInList(policy, list, files, inLists)
  for (const { rule: at, scope, text, draft, at: path, effectivePorts } of placed) {
    const rule = policy.rules[at]
    if (rule === undefined || inLists.has(`${at} ${text}`)) continue
    const why = unreachable(policy, rule) ?? shadowOf(policy, rule, scope, effectivePorts)
    if (why !== undefined) draft.file.warning(path, `\`${text}\` ${why}`)
  }
}

function warnInList(policy: Policy, list: NameList, files: ReadonlyMap<string, SourceReader>, seen: Set<string>): void {
  let looked = 0
  for (const offset of entryOffsets(list.table)) {
    if (looked++ === maxEntries) return
    const at = ruleAt(list, offset)
    const rule = policy.rules[at]
    const { name, flags, line } = entryAt(list.table, offset)
    const text = writtenEntry(name, flags)
    seen.add(`${at} ${text}`)
    const scope: Scope = { kind: flags === coversName ? 'exact' : flags === coversBelow ? 'below' : 'apex_and_below', name }
    const why = rule === undefined ? undefined : shadowOf(policy, rule, scope, rule.verdict === 'allow' ? 'default' : 'every')
    const file = rule === undefined ? undefined : files.get(rule.file)
    if (why === undefined || file === undefined) continue
    const column = columnOf(file.positions.lineText(line).toLowerCase(), text)
    file.problems.add({ severity: 'warning', file: file.source.path, line, column, text, message: `\`${text}\` ${why}` })
  }
}

/** Where the entry stands on its line, as near as its text tells. */
function columnOf(line: string, text: string): number {
  const quoted = [`"${text}"`, `'${text}'`].map((each) => line.indexOf(each)).filter((at) => at !== -1)
  return (quoted[0] ?? Math.max(line.indexOf(text), 0)) + 1
}

/** Why no request gets to the rule, whatever its hosts, as the rest of a sentence. */
function unreachable({ readOnly, settings }: Policy, { verdict, raw, methods, upgrades }: Rule): string | undefined {
  if (!readOnly || verdict === 'deny') return undefined
  const reads = methods === undefined ? upgrades === undefined : methods.some((method) => readingMethods.includes(method))
  return reads && raw === undefined ? undefined : `never matches: \`read_only\` (${settings.readOnly.file}:${settings.readOnly.line}) lets nothing pass but reading`
}

/** Why the pattern can never change a verdict, as the rest of a sentence. */
function shadowOf(policy: Policy, rule: Rule, scope: Scope, ports: Ports): string | undefined {
  if (rule.verdict === 'deny') return undefined
  const covering = coveringHits(policy, scope).filter((hit) => hit.rule !== rule && isForAll(hit.rule))
  const denied = covering.find((hit) => hit.rule.verdict === 'deny' && !hit.rule.requestLevel)
  if (denied !== undefined) return `never changes a verdict: ${placeOf(denied)} denies it`
  const refused = covering.find(({ rule: other, ports: wide }) => deniesAll(other, rule) && coversPorts(wide, ports))
  if (refused !== undefined) return `never changes a verdict: ${placeOf(refused)} denies all that it names`
  if (rule.verdict === 'ask' || rule.requestLevel || rule.raw !== undefined || rule.local.length > 0 || rule.effects !== undefined) return undefined
  const asked = covering.find(
    (hit) => hit.rule.verdict === 'ask' && !hit.rule.requestLevel && hit.ports === 'every' && !hit.rule.tightenOnly,
  )
  if (asked !== undefined) return `never changes a verdict: ${placeOf(asked)} asks for an approval`
  const closed = covering.find(
    ({ rule: other, ports: wide }) => other.requestLevel && other.verdict !== 'deny' && other.kind === 'rule' && coversPorts(wide, ports),
  )
  if (closed === undefined) return undefined
  return `never changes a verdict: ${placeOf(closed)} closes the host for everything it does not name`
}

/** A deny of all requests with the methods that the other rule names. */
function deniesAll({ verdict, requestLevel, methods, paths, upgrades, terms }: Rule, other: Rule): boolean {
  if (verdict !== 'deny' || !requestLevel || paths !== undefined || upgrades !== undefined || terms !== undefined) return false
  return other.methods?.every((method) => methods?.includes(method)) === true
}

/** Hits that cover the whole scope, as far as that can be told. */
function coveringHits(policy: Policy, scope: Scope): readonly Hit[] {
  switch (scope.kind) {
    case 'exact':
      return hitsFor(policy, { kind: 'name', text: scope.name }, undefined)
    case 'below':
    case 'apex_and_below': {
      const below = hitsFor(policy, { kind: 'name', text: `${probe}.${scope.name}` }, undefined).filter(isWhole)
      if (scope.kind === 'below') return below
      const apex = hitsFor(policy, { kind: 'name', text: scope.name }, undefined)
      return below.filter((hit) => apex.some((other) => other.rule === hit.rule))
    }
    case 'address': {
      const { family, bits, prefix, text } = scope.cidr
      if (prefix !== (family === 4 ? 32 : 128)) return []
      return hitsFor(policy, { kind: 'ip', text, ip: { family, bits, text } }, undefined)
    }
    default:
      return []
  }
}

/** Its only wildcard is the leading one. */
function isWhole({ pattern }: Hit): boolean {
  return pattern === '*' || !/[*?]/.test(pattern.replace(/^\*\*?\./, ''))
}

function isForAll({ agents, teams }: Rule): boolean {
  return agents === undefined && teams === undefined
}

function coversPorts(wide: Ports, narrow: Ports): boolean {
  if (wide === 'every') return true
  if (wide === 'default' || typeof narrow === 'string') return wide === narrow
  return narrow.every((range) => wide.some((other) => other.first <= range.first && other.last >= range.last))
}

function placeOf(hit: Hit): string {
  const { id, pattern, file, line } = refOf(hit)
  return `\`${pattern}\` of ${id} (${file}:${line})`
}
