// `[web_fetch]` and its ceiling `allowed_web_search_modes`: how a file writes them, and how all layers become one.
// Whatever says less wins: the mode, the youngest age, and an answer to a miss that asks nobody. Pure.
import { parseAge } from './age.ts'
import { PatternIndexBuilder } from './pattern-index.ts'
import type { Path } from './positions.ts'
import type { SettingRef, WebFetch, WebSearchMode } from './policy.ts'
import { mergeProviders, providerSettingKeys, readProviders } from './providers-schema.ts'
import type { ProviderSettings } from './providers-schema.ts'
import { readHosts } from './rule-schema.ts'
import type { DraftPattern } from './rule-schema.ts'
import type { Draft } from './schema.ts'
import type { TableReader } from './table-reader.ts'

export const webSearchModes = ['disabled', 'cached', 'indexed', 'live'] as const
const webFetchModes = ['disabled', 'cached', 'live'] as const
const keys: readonly string[] = ['mode', 'domains', 'on_miss', 'max_age', 'stale_ok', ...providerSettingKeys]

/** The table of one file; undefined: the file does not say. */
export interface DraftWebFetch extends ProviderSettings {
  readonly at: Path
  readonly line: number
  readonly mode: WebFetch['mode'] | undefined
  readonly domains: readonly DraftPattern[]
  readonly onMiss: 'deny' | 'ask' | undefined
  readonly maxAgeMs: number | undefined
  readonly staleOk: boolean | undefined
}

export function readWebFetch(top: TableReader): DraftWebFetch | undefined {
  const table = top.table('web_fetch')
  if (table === undefined) return undefined
  table.rejectUnknown(keys, '[web_fetch]')
  return {
    at: table.path,
    line: table.file.line(table.path),
    mode: table.word('mode', ['cached', 'live', 'disabled']),
    domains: readHosts(table, 'domains') ?? [],
    onMiss: table.word('on_miss', ['deny', 'ask']),
    maxAgeMs: readMaxAge(table),
    staleOk: table.boolean('stale_ok'),
    ...readProviders(table),
  }
}

function readMaxAge(table: TableReader): number | undefined {
  const text = table.string('max_age')
  const ms = text === undefined ? undefined : parseAge(text)
  if (text !== undefined && ms === undefined) table.file.error(table.at('max_age'), `\`${text}\` is no age: a number and min, h or d, as in \`30 d\``)
  return ms
}

/** What all layers allow of Codex's modes; undefined: no layer sets a ceiling. `disabled` is always among them. */
export function mergeSearchModes(drafts: readonly Draft[]): readonly WebSearchMode[] | undefined {
  const stated = drafts.flatMap((draft) => (draft.webSearchModes === undefined ? [] : [draft.webSearchModes]))
  if (stated.length === 0) return undefined
  const common = (['cached', 'indexed', 'live'] as const).filter((mode) => stated.every((modes) => modes.includes(mode)))
  return ['disabled', ...common]
}

/** All layers together. A ceiling alone is enough: web reading is then what it allows, from the cache first. */
export function mergeWebFetch(drafts: readonly Draft[], mayOpen: (draft: Draft) => boolean): WebFetch | undefined {
  const ceiling = mergeSearchModes(drafts)
  const stated = drafts.flatMap((draft) => (draft.webFetch === undefined ? [] : [{ draft, ...draft.webFetch }]))
  if (stated.length === 0 && ceiling === undefined) return undefined
  const wanted = webFetchModes.find((each) => stated.some(({ mode }) => mode === each))
  const mode = underCeiling(wanted ?? (ceiling?.includes('cached') === false && ceiling.includes('live') ? 'live' : 'cached'), ceiling)
  const ages = stated.flatMap(({ maxAgeMs }) => maxAgeMs ?? [])
  const misses = stated.flatMap(({ onMiss }) => onMiss ?? [])
  const domains = new PatternIndexBuilder()
  const files: string[] = []
  for (const { draft, domains: patterns } of stated) {
    if (!mayOpen(draft)) continue
    const rule = files.push(draft.file.source.path) - 1
    for (const { scope, text, line, ports } of patterns) domains.add(scope, { rule, text, line, ports: ports === undefined ? 'default' : [ports] })
  }
  return {
    mode,
    domains: domains.finish(),
    files,
    onMiss: misses.length > 0 && misses.every((each) => each === 'ask') ? 'ask' : 'deny',
    maxAgeMs: ages.length === 0 ? undefined : Math.min(...ages),
    staleOk: stated.every(({ staleOk }) => staleOk !== false),
    setting: settingOf(drafts, mode),
    ...mergeProviders(stated, ceiling, mode),
  }
}

/** The mode itself, or the next stricter one that the ceiling has. */
function underCeiling(wanted: WebFetch['mode'], ceiling: readonly WebSearchMode[] | undefined): WebFetch['mode'] {
  if (ceiling === undefined || wanted === 'disabled' || ceiling.includes(wanted)) return wanted
  return wanted === 'live' && ceiling.includes('cached') ? 'cached' : 'disabled'
}

/** Where the mode was made: the table that says it, or the ceiling. */
function settingOf(drafts: readonly Draft[], mode: WebFetch['mode']): SettingRef {
  const said = drafts.find(({ webFetch }) => webFetch?.mode === mode)
  if (said?.webFetch !== undefined) return { file: said.file.source.path, line: said.webFetch.line }
  const ceiling = drafts.find(({ webSearchModes: modes }) => modes !== undefined)
  if (ceiling !== undefined) return { file: ceiling.file.source.path, line: ceiling.file.line(['allowed_web_search_modes']) }
  const [first] = drafts.filter(({ webFetch }) => webFetch !== undefined)
  return first?.webFetch === undefined ? { file: 'built-in', line: 0 } : { file: first.file.source.path, line: first.webFetch.line }
}

/** Reports what `[web_fetch]` says in vain. */
export function warnOfIdleReading(drafts: readonly Draft[], merged: WebFetch | undefined): void {
  for (const { file, webFetch, unknown, tablePath } of drafts) {
    if (merged?.mode === 'cached' && unknown === 'allow') {
      file.warning([...tablePath, 'unknown'], 'sessions that do not trust our certificate authority read live what no rule names: only of the others is it answered from the cache')
    }
    if (webFetch === undefined) continue
    if (webFetch.mode !== undefined && merged?.mode !== webFetch.mode) {
      file.warning([...webFetch.at, 'mode'], `\`mode = "${webFetch.mode}"\` has no effect: another file, or the ceiling \`allowed_web_search_modes\`, says ${merged?.mode ?? 'nothing'}`)
    }
    const [first] = webFetch.domains
    if (merged?.mode === 'disabled' && first !== undefined) file.warning(first.at, `reading from \`${first.text}\` is refused: web reading is disabled`)
    if (webFetch.onMiss === 'ask' && merged?.onMiss === 'deny') file.warning([...webFetch.at, 'on_miss'], '`on_miss = "ask"` has no effect: another file says deny')
  }
}
