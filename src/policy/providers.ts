// Which hosts are model providers, and what policy leaves their models of the web. Pure; asked for every request, so a
// policy that restricts nothing costs one look.
import { cidrContains } from '../target/address.ts'
import type { Host } from '../target/host.ts'
import { scopeCovers } from './pattern.ts'
import type { Scope } from './pattern.ts'
import type { Policy, WebSearchMode } from './policy.ts'
import type { PortRange } from './ports.ts'
import type { ProviderApi, SearchLimit } from './provider-search.ts'

/** Of web reading, as files and the ceiling say it. */
export type SearchMode = 'disabled' | 'cached' | 'live'

/** A host whose requests are looked at. */
export interface ProviderHost {
  readonly scope: Scope
  /** undefined: every port */
  readonly ports: PortRange | undefined
  /** as written */
  readonly text: string
  readonly api: ProviderApi
}

/** What is done to a request to a provider: its content is read before it is forwarded. */
export interface ProviderSearch extends SearchLimit {
  readonly api: ProviderApi
}

const exact: readonly (readonly [string, ProviderApi])[] = [
  ['chatgpt.com', 'openai'],
  ['api.chatgpt.com', 'openai'],
  ['api.anthropic.com', 'anthropic'],
  ['generativelanguage.googleapis.com', 'gemini'],
  ['generativelanguage.mtls.googleapis.com', 'gemini'],
  ['cloudcode-pa.googleapis.com', 'gemini'],
  ['aiplatform.googleapis.com', 'gemini'],
  ['aiplatform.mtls.googleapis.com', 'gemini'],
]

/** Providers that need not be named: a table of exact names, and patterns of regions and tenants. */
export const builtInProviders: readonly ProviderHost[] = [
  ...exact.map(([name, api]): ProviderHost => ({ scope: { kind: 'exact', name }, ports: undefined, text: name, api })),
  { scope: { kind: 'apex_and_below', name: 'api.openai.com' }, ports: undefined, text: '**.api.openai.com', api: 'openai' },
  { scope: { kind: 'below', name: 'openai.azure.com' }, ports: undefined, text: '*.openai.azure.com', api: 'openai' },
  { scope: { kind: 'glob', globs: ['*-aiplatform.googleapis.com'] }, ports: undefined, text: '*-aiplatform.googleapis.com', api: 'gemini' },
  { scope: { kind: 'glob', globs: ['*-aiplatform.mtls.googleapis.com'] }, ports: undefined, text: '*-aiplatform.mtls.googleapis.com', api: 'gemini' },
  { scope: { kind: 'glob', globs: ['aiplatform.*.rep.googleapis.com'] }, ports: undefined, text: 'aiplatform.*.rep.googleapis.com', api: 'gemini' },
]

/** The provider that a host is; what is known of one no file says otherwise. */
export function providerOf(policy: Policy, host: Host, port: number): ProviderHost | undefined {
  const covers = ({ scope, ports }: ProviderHost): boolean =>
    (ports === undefined || (ports.first <= port && port <= ports.last)) &&
    (host.kind === 'name' ? scopeCovers(scope, host.text) : scope.kind === 'address' && cidrContains(scope.cidr, host.ip))
  return builtInProviders.find(covers) ?? policy.webFetch?.providers?.find(covers)
}

/** What the policy leaves of the web to models; undefined: all of it. `mode` is the web reading mode in force. */
export function searchLimit(policy: Policy, mode = modeOf(policy)): SearchLimit | undefined {
  if (mode === undefined || mode === 'live') return undefined
  return { mode, indexed: policy.webSearchModes?.includes('indexed') === true }
}

/** The most that a ceiling leaves to providers: an index is something that they have. */
export function ceilingMode(ceiling: readonly WebSearchMode[]): SearchMode {
  if (ceiling.includes('live')) return 'live'
  return ceiling.includes('cached') || ceiling.includes('indexed') ? 'cached' : 'disabled'
}

/** Without a mode of its own web reading has the one that the ceiling leaves. */
function modeOf({ webFetch, webSearchModes }: Policy): SearchMode | undefined {
  if (webFetch !== undefined) return webFetch.searchMode ?? webFetch.mode
  return webSearchModes === undefined ? undefined : ceilingMode(webSearchModes)
}
