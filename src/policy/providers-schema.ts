// `providers` and `inspect_providers` of `[web_fetch]`: read, merged, and held against what is never intercepted.
import { parseHostPattern } from './pattern.ts'
import type { Path } from './positions.ts'
import { providerApis } from './provider-search.ts'
import { builtInProviders } from './providers.ts'
import type { ProviderHost } from './providers.ts'
import type { TableReader } from './table-reader.ts'

/** What of `[web_fetch]` is about providers; absent: nothing. */
export interface ProviderSettings {
  /** hosts that speak a provider's API, beside those that are known */
  readonly providers?: readonly ProviderHost[]
  /** TLS to providers is ended here, so that what they are asked can be read */
  readonly inspectProviders?: true
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

/** Of all files: lists are unions, and one that obliges is enough. */
export function mergeProviders(stated: readonly ProviderSettings[]): ProviderSettings {
  const providers = stated.flatMap((each) => each.providers ?? [])
  const inspects = stated.some(({ inspectProviders }) => inspectProviders === true)
  return { ...(providers.length === 0 ? {} : { providers }), ...(inspects ? { inspectProviders: true } : {}) }
}

interface DraftFile {
  readonly webFetch: ProviderSettings | undefined
  readonly webFetchAt: Path
}

/** Hosts whose TLS has to be ended here, for what may not be said of them beside it. */
export function inspectedProviders(drafts: readonly DraftFile[]): readonly ProviderHost[] {
  const merged = mergeProviders(drafts.flatMap(({ webFetch }) => webFetch ?? []))
  return merged.inspectProviders === true ? [...(merged.providers ?? []), ...builtInProviders] : []
}
