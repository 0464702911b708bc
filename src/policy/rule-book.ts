// From drafts to tables: every list entry, feed line and rule pattern goes to where evaluate looks it up.
// Plain names of lists go into name tables, whatever their number; the rest into the index.
import { checkBroad } from './broad.ts'
import { overlap } from './clashes.ts'
import type { Verdict } from './decision.ts'
import type { DraftEffects } from './effects-schema.ts'
import { parseFeed } from './feed.ts'
import { feedKey } from './feed-paths.ts'
import { LongList } from './long-lists.ts'
import { ruleAt } from './hits.ts'
import { coversBelow, coversName, entriesAround, entryAt, NameTableBuilder } from './name-table.ts'
import { parseHostPattern } from './pattern.ts'
import type { HostPattern } from './pattern.ts'
import { PatternIndexBuilder } from './pattern-index.ts'
import type { Path } from './positions.ts'
import type { Feed, NameList, PatternIndex, PolicyCase, Ports, Rule, RuleEffects } from './policy.ts'
import { isRequestLevel } from './rule-checks.ts'
import type { DraftRule } from './rule-schema.ts'
import type { Draft, DraftFeed, DraftList } from './schema.ts'
import { parseEndpoint } from './telemetry.ts'

export interface RuleBook {
  readonly rules: readonly Rule[]
  readonly index: PatternIndex
  readonly lists: { readonly deny: NameList; readonly ask: NameList; readonly allow: NameList }
  readonly feeds: readonly Feed[]
  readonly neverIntercept: PatternIndex
  readonly cases: readonly PolicyCase[]
  readonly ruleCount: number
  readonly feedNames: number
}

/** What became of a rule's pattern; for the checks that come after. */
export interface PlacedPattern extends HostPattern {
  readonly rule: number
  readonly draft: Draft
  readonly at: Path
  readonly effectivePorts: Ports
}

/** Repeated entries that are told of, per list. */
const maxRepeated = 20

const blankRule = {
  reason: undefined, requestLevel: false, otherwise: 'deny', methods: undefined, paths: undefined, upgrades: undefined,
  raw: undefined, local: [], cache: false, sharedCache: false, agents: undefined, teams: undefined, tightenOnly: false, terms: undefined, effects: undefined,
} as const

interface ListBuilder {
  readonly names: NameTableBuilder
  readonly segments: { start: number; rule: number }[]
}

/** An entry that says what another one says. */
interface Repeat {
  readonly draft: Draft
  readonly at: Path
  readonly entry: string
  readonly verdict: Verdict
  readonly name: string
  readonly flags: number
}

/** A pattern of a list that is no plain name. */
interface Listed {
  readonly pattern: HostPattern
  readonly verdict: Verdict
  readonly rule: number
  readonly at: Path
  readonly line: number
  readonly belowManaged: boolean
}

export class RuleBookBuilder {
  readonly placed: PlacedPattern[] = []
  readonly #rules: Rule[] = []
  readonly #index = new PatternIndexBuilder()
  readonly #never = new PatternIndexBuilder()
  readonly #feeds: Feed[] = []
  readonly #cases: PolicyCase[] = []
  readonly #lists: Record<Verdict, ListBuilder>
  readonly #repeats: Repeat[] = []
  #count = 0
  #feedNames = 0

  /** `drafts` are looked at for their sizes alone. */
  constructor(drafts: readonly Draft[]) {
    const sizes = { allow: { names: 0, bytes: 0 }, deny: { names: 0, bytes: 0 }, ask: { names: 0, bytes: 0 } }
    for (const { verdict, entries } of drafts.flatMap(({ lists }) => lists)) {
      const size = sizes[verdict]
      size.names += entries.length
      size.bytes += textLength(entries)
    }
    const list = (verdict: Verdict): ListBuilder => {
      const { names, bytes } = sizes[verdict]
      return { names: new NameTableBuilder(names, bytes), segments: [] }
    }
    this.#lists = { allow: list('allow'), deny: list('deny'), ask: list('ask') }
  }

  /** Adds one file. `mayAllow`: false drops its allows and lets its asks only hold back. */
  add(draft: Draft, mayAllow: boolean, feeds: ReadonlyMap<string, Uint8Array>, belowManaged: boolean): void {
    if (!mayAllow) warnOfDropped(draft)
    for (const list of draft.lists) {
      if (mayAllow || list.verdict !== 'allow') this.#addList(draft, list, !mayAllow, belowManaged)
    }
    this.#addDomains(draft, mayAllow, belowManaged)
    for (const feed of draft.feeds) this.#addFeed(draft, feed, feeds)
    for (const rule of draft.rules) {
      if (mayAllow || rule.verdict !== 'allow') this.#addRule(draft, rule, !mayAllow)
    }
    if (mayAllow) for (const endpoint of draft.telemetry) this.#addEndpoint(draft, endpoint)
    for (const { scope, text, line } of draft.neverIntercept) {
      this.#never.add(scope, { rule: 0, text, line, ports: 'every' })
    }
  }

  finish(): RuleBook {
    const list = (verdict: Verdict): NameList => {
      const { names, segments } = this.#lists[verdict]
      return { table: names.finish(), segments }
    }
    const lists = { deny: list('deny'), ask: list('ask'), allow: list('allow') }
    for (const repeat of this.#repeats) this.#warnOfRepeat(repeat, lists[repeat.verdict])
    return {
      rules: this.#rules,
      index: this.#index.finish(),
      lists,
      feeds: this.#feeds,
      neverIntercept: this.#never.finish(),
      cases: this.#cases,
      ruleCount: this.#count,
      feedNames: this.#feedNames,
    }
  }

  /** Where the other entry stands is known once the table is whole. */
  #warnOfRepeat({ draft, at, entry, name, flags }: Repeat, list: NameList): void {
    const first = entriesAround(list.table, name).find((offset) => {
      const other = entryAt(list.table, offset)
      return other.name === name && other.flags === flags
    })
    const rule = first === undefined ? undefined : this.#rules[ruleAt(list, first)]
    if (first === undefined || rule === undefined) return
    draft.file.warning(at, `\`${entry}\` is on \`${rule.id}\` at ${rule.file}:${entryAt(list.table, first).line} already`)
  }

  #push(rule: Rule): number {
    return this.#rules.push(rule) - 1
  }

  #addList(draft: Draft, list: DraftList, tightenOnly: boolean, belowManaged: boolean): void {
    const { file } = draft
    const { key, verdict, at, entries } = list
    const { path, layer } = file.source
    const line = file.line(at)
    const rule = this.#push({
      ...blankRule, id: key, kind: 'list', file: path, line, layer, verdict, tightenOnly: tightenOnly && verdict === 'ask',
    })
    const { names, segments } = this.#lists[verdict]
    segments.push({ start: names.offset, rule })
    const lineOf = file.positions.elementLines(at)
    let repeated = 0
    const long = entries instanceof LongList ? entries : undefined
    for (let i = 0; i < entries.length; i++) {
      if (long !== undefined && long.addPlain(names, i, lineOf(i)) === 'added') {
        this.#count++
        continue
      }
      const entry = entries.at(i) ?? ''
      const nameStart = entry.startsWith('*.') ? 2 : entry.startsWith('**.') ? 3 : 0
      // an allow of a wildcard has to be looked at more closely
      if (nameStart === 0 || verdict !== 'allow') {
        const flags = nameStart === 0 ? coversName : nameStart === 2 ? coversBelow : coversName | coversBelow
        const added = names.addPlainText(entry, nameStart, flags, lineOf(i))
        if (added === 'added') this.#count++
        else if (added === 'repeated' && repeated++ < maxRepeated) {
          this.#repeats.push({ draft, at: [...at, i], entry, verdict, name: entry.slice(nameStart).toLowerCase(), flags })
        }
        if (added !== 'odd') continue
      }
      const pattern = parseHostPattern(entry)
      if ('wrong' in pattern) file.error([...at, i], `not a host pattern: ${pattern.wrong}`)
      else this.#addListed(draft, { pattern, verdict, rule, at: [...at, i], line: lineOf(i), belowManaged })
    }
  }

  #addDomains(draft: Draft, mayAllow: boolean, belowManaged: boolean): void {
    const { path, layer } = draft.file.source
    for (const verdict of ['allow', 'deny'] as const) {
      const patterns = draft.domains.filter((each) => each.verdict === verdict)
      if (patterns.length === 0 || (verdict === 'allow' && !mayAllow)) continue
      const line = draft.file.line([...draft.tablePath, 'domains'])
      const rule = this.#push({ ...blankRule, id: 'domains', kind: 'list', file: path, line, layer, verdict })
      const { names, segments } = this.#lists[verdict]
      segments.push({ start: names.offset, rule })
      for (const pattern of patterns) {
        this.#addListed(draft, { pattern, verdict, rule, at: pattern.at, line: pattern.line, belowManaged })
      }
    }
  }

  /** A pattern of a list that is not a plain name, or an allowed wildcard. */
  #addListed(draft: Draft, entry: Listed): void {
    const { pattern, verdict, rule, at, line, belowManaged } = entry
    const { scope, text, ports } = pattern
    const { file, codex } = draft
    this.#count++
    if (verdict === 'allow') checkBroad(file, at, pattern, codex && !belowManaged ? 'warn' : 'refuse')
    if (scope.kind === 'any' && verdict === 'deny') {
      file.error(at, 'this would deny every host: write `enabled = false` if that is meant')
    }
    if (scope.kind === 'any' && verdict === 'allow' && belowManaged) {
      file.error(at, '`*` may not stand below a managed allow list')
    }
    const everyPort = verdict !== 'allow' || (codex && ports !== undefined)
    if (ports !== undefined && everyPort) {
      const codexPorts = 'a port in this table means all ports, as in Codex'
      const everyPortWord = 'denies and reviews cover every port of the host, also those not written'
      file.notice(at, verdict === 'allow' ? codexPorts : everyPortWord)
    }
    const effectivePorts: Ports = everyPort ? 'every' : ports === undefined ? 'default' : [ports]
    const isName = scope.kind === 'exact' || scope.kind === 'below' || scope.kind === 'apex_and_below'
    // the table knows the usual ports of an allow, and every port of the others
    if (isName && (verdict !== 'allow' || effectivePorts === 'default')) {
      const flags = scope.kind === 'exact' ? coversName : scope.kind === 'below' ? coversBelow : coversName | coversBelow
      if (!this.#lists[verdict].names.addName(scope.name, flags, line)) {
        this.#repeats.push({ draft, at, entry: text, verdict, name: scope.name, flags })
      }
    } else this.#index.add(scope, { rule, text, line, ports: effectivePorts })
    // beside all ports, the written one is named, which opens even a port of the never-list
    if (verdict === 'allow' && everyPort && ports !== undefined) {
      this.#index.add(scope, { rule, text, line, ports: [ports] })
    }
    this.placed.push({ ...pattern, rule, draft, at, effectivePorts })
  }

  #addFeed(draft: Draft, feed: DraftFeed, feeds: ReadonlyMap<string, Uint8Array>): void {
    const { file } = draft
    const key = feedKey(file.source.path, feed.path)
    const bytes = feeds.get(key) ?? feeds.get(feed.path)
    if (bytes === undefined) return file.error([...feed.at, 'path'], `the feed \`${feed.path}\` was not read`)
    const { table, addresses, faults, faultCount } = parseFeed(bytes)
    const { layer } = file.source
    const rule = this.#push({
      ...blankRule, id: 'denied_domains_files', kind: 'feed', file: key, line: feed.line, layer, verdict: 'deny',
    })
    for (const { cidr, text, line } of addresses) {
      const scope = { kind: 'address', cidr } as const
      if (!feed.except.some((each) => each.scope.kind === 'address' && overlap(each.scope, scope))) {
        this.#index.add(scope, { rule, text, line, ports: 'every' })
      }
    }
    const except = new PatternIndexBuilder()
    for (const { scope, text, line } of feed.except) except.add(scope, { rule, text, line, ports: 'every' })
    this.#feeds.push({ rule, table, except: except.finish() })
    this.#feedNames += table.count + addresses.length
    const severity = faultCount > table.count + addresses.length ? 'error' : 'warning'
    for (const { line, text, message } of faults) {
      file.problems.add({ severity, file: key, line, column: 1, message: `not a name: ${message}`, text })
    }
    if (faultCount > faults.length) {
      file.problems.add({ severity, file: key, line: 0, column: 0, message: `${faultCount - faults.length} more lines that are no names`, text: '' })
    }
    if (faultCount === 0 && table.count + addresses.length === 0) {
      file.warning([...feed.at, 'path'], `the feed \`${feed.path}\` holds no name`)
    }
  }

  #addRule(draft: Draft, written: DraftRule, tightenOnly: boolean): void {
    const { path, layer } = draft.file.source
    const { id, line, verdict, reason, methods, paths, upgrades, raw, local, cache, sharedCache, agents, teams, terms } = written
    const otherwise = tightenOnly ? 'deny' : (written.otherwise ?? 'deny')
    const requestLevel = isRequestLevel(written)
    const rule = this.#push({
      id, kind: 'rule', file: path, line, layer, verdict, reason, requestLevel, otherwise, methods, paths, upgrades, raw,
      local, cache, sharedCache, agents, teams, tightenOnly, terms, effects: effectsOf(id, path, written.effects),
    })
    this.#count++
    for (const host of written.hosts) {
      const { scope, text, ports } = host
      if (verdict === 'allow') checkBroad(draft.file, host.at, host, written.broad ? 'warn' : 'refuse')
      const unwritten = verdict === 'allow' ? 'default' : 'every'
      const effectivePorts: Ports = verdict === 'deny' || ports === undefined ? unwritten : [ports]
      this.#index.add(scope, { rule, text, line: host.line, ports: effectivePorts })
      this.placed.push({ ...host, rule, draft, effectivePorts })
    }
    for (const { expect, text, at } of written.cases) {
      const place = draft.file.positions.place(at)
      this.#cases.push({ rule, expect, text, file: path, line: place.line, column: place.column })
    }
  }

  #addEndpoint(draft: Draft, endpoint: Draft['telemetry'][number]): void {
    const { file } = draft
    const parsed = parseEndpoint(endpoint.text)
    if ('wrong' in parsed) return file.error(endpoint.at, `not an OTLP endpoint: ${parsed.wrong}`)
    const { path, layer } = file.source
    const { paths } = parsed
    const requestLevel = paths !== undefined
    const methods = requestLevel ? ['POST'] : undefined
    const rule = this.#push({
      ...blankRule, id: 'agent_telemetry', kind: 'telemetry', file: path, line: endpoint.line, layer, verdict: 'allow',
      requestLevel, methods, paths,
    })
    this.#count++
    const { port } = parsed
    this.#index.add(parsed.scope, { rule, text: endpoint.text, line: endpoint.line, ports: [{ first: port, last: port }] })
  }
}

/** Files of roots lie beside the policy that names them, as feeds do. */
function effectsOf(id: string, file: string, effects: DraftEffects | undefined): RuleEffects | undefined {
  if (effects === undefined) return undefined
  const { strip, set, insecure, originCa } = effects
  const caFiles = originCa.map(({ path }) => feedKey(file, path))
  return {
    change: strip.length + set.length === 0 ? undefined : { rule: id, strip, set },
    trust: insecure || caFiles.length > 0 ? { insecure, caFiles } : undefined,
  }
}

function textLength(entries: DraftList['entries']): number {
  if (entries instanceof LongList) return entries.textLength
  let length = 0
  for (const entry of entries) length += entry.length
  return length
}

function warnOfDropped(draft: Draft): void {
  const { file } = draft
  const why = 'is dropped: `managed_allowed_domains_only` leaves the managed allows alone'
  for (const { verdict, at, key } of draft.lists) if (verdict === 'allow') file.warning(at, `\`${key}\` ${why}`, 'key')
  for (const { verdict, at, text } of draft.domains) {
    if (verdict === 'allow') file.warning(at, `\`${text}\` ${why}`, 'key')
  }
  for (const { verdict, at, id } of draft.rules) {
    if (verdict === 'allow') file.warning(at, `rule \`${id}\` ${why}`, 'key')
  }
  for (const { at } of draft.telemetry) file.warning(at, `this endpoint ${why}`)
}
