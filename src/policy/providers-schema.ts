// `providers` and `inspect_providers` of `[web_fetch]`: read, merged, and held against what is never intercepted.
import { parseHostPattern } from './pattern.ts'
import type { WebSearchMode } from './policy.ts'
import { providerApis } from './provider-search.ts'
import { builtInProviders, ceilingMode } from './providers.ts'
import type { ProviderHost, SearchMode } from './providers.ts'
import type { TableReader } from './table-reader.ts'

/** What of `[web_fetch]` is about providers; absent: nothing. */
export interface ProviderSettings {
  /** hosts that speak a provider's API, beside those that are known */
  readonly providers?: readonly ProviderHost[]
  /** TLS to providers is ended here, so that what they are asked can be read */
  readonly inspectProviders?: true
  /** what providers may read of the web, where that is not the mode of web reading */
  readonly searchMode?: SearchMode
}

export const providerSettingKeys: readonly string[] = ['providers', 'inspect_providers']
export const providerKeys: readonly string[] = ['host', 'api']

/** Reads the keys of one file. */
export function readProviders(table: TableReader): ProviderSettings {
  const providers = (table.tables('providers') ?? []).flatMap((entry) => readProvider(entry) ?? [])
  const inspects = table.boolean('inspect_providers') === true
  return { ...(providers.length === 0 ? {} : { providers }), ...(inspects ? { inspectProviders: true } : {}) }
}

function readProvider(table: TableReader): ProviderHost | undefined {
  table.rejectUnknown(providerKeys, 'a provider')
  for (const key of providerKeys) {
    if (!table.has(key)) table.file.error(table.path, `a provider without \`${key}\``, 'key')
  }
  const host = table.string('host')
  const api = table.word('api', providerApis)
  if (host === undefined || api === undefined) return undefined
  const pattern = parseHostPattern(host)
  if ('wrong' in pattern) {
    table.file.error(table.at('host'), `not a host pattern: ${pattern.wrong}`)
    return undefined
  }
  return { scope: pattern.scope, ports: pattern.ports, text: pattern.text, api }
}

interface Stated extends ProviderSettings {
  readonly mode: SearchMode | undefined
}

/** Of all files: lists are unions, and one that obliges is enough. `mode`: of web reading, all files together. */
export function mergeProviders(stated: readonly Stated[], ceiling: readonly WebSearchMode[] | undefined, mode: SearchMode): ProviderSettings {
  const said = modes.find((each) => stated.some((one) => one.mode === each))
  const searchMode = ceiling === undefined ? mode : stricter(said ?? 'live', ceilingMode(ceiling))
  return { ...united(stated), ...(searchMode === mode ? {} : { searchMode }) }
}

const modes = ['disabled', 'cached', 'live'] as const

function stricter(a: SearchMode, b: SearchMode): SearchMode {
  return modes.indexOf(a) < modes.indexOf(b) ? a : b
}

function united(stated: readonly ProviderSettings[]): ProviderSettings {
  const providers = stated.flatMap((each) => each.providers ?? [])
  const inspects = stated.some(({ inspectProviders }) => inspectProviders === true)
  return { ...(providers.length === 0 ? {} : { providers }), ...(inspects ? { inspectProviders: true } : {}) }
}

interface DraftFile {
  readonly webFetch: ProviderSettings | undefined
}

/** Hosts whose TLS has to be ended here, for what may not be said of them beside it. */
export function inspectedProviders(drafts: readonly DraftFile[]): readonly ProviderHost[] {
  const merged = united(drafts.flatMap(({ webFetch }) => webFetch ?? []))
  return merged.inspectProviders === true ? [...(merged.providers ?? []), ...builtInProviders] : []
}
