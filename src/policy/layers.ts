// How the files of all layers become one: lists are unions, what restricts wins, and below a managed allow
// list nothing may be opened wholesale. Order never matters; only the layer does.
import { mergeApprovals } from './approval-rules.ts'
import type { KnownCredential } from './credential-rules.ts'
import type { Verdict } from './decision.ts'
import { mergeLimits } from './limit-rules.ts'
import type { Path } from './positions.ts'
import type { Policy, SettingRef, WebFetch, WebSearchMode } from './policy.ts'
import type { Scope } from './pattern.ts'
import { mergeProviders } from './providers-schema.ts'
import type { DraftRule } from './rule-schema.ts'
import type { Draft } from './schema.ts'

export type Settings = Pick<
  Policy,
  | 'mode' | 'limited' | 'readOnly' | 'enabled' | 'unknown' | 'ipLiterals' | 'managedOnly' | 'allowLocalBinding' | 'allowUpstreamProxy'
  | 'settings' | 'approvals' | 'limits' | 'webSearchModes' | 'webFetch'
>

const builtIn: SettingRef = { file: 'built-in', line: 0 }
const strictness: readonly Verdict[] = ['deny', 'ask', 'allow']
const fetchModes = ['disabled', 'cached', 'live'] as const

/** The settings of all layers together. */
export function mergeSettings(drafts: readonly Draft[]): Settings {
  const managedOnly = drafts.find((draft) => draft.managedOnly === true)
  const off = drafts.find((draft) => draft.enabled === false)
  const unknowns = strictestOf(drafts, (draft) => draft.unknown, strictness)
  const literals = strictestOf(drafts, (draft) => draft.ipLiterals, ['deny', 'ask'] as const)
  const modesOf = mergeSearchModes(drafts)
  const modes = drafts.flatMap((draft) => draft.mode ?? [])
  const binding = drafts.filter((draft) => draft.allowLocalBinding !== undefined)
  const readOnly = drafts.find((draft) => draft.readOnly === true)
  const unbinding = binding.find((draft) => draft.allowLocalBinding === false) ?? binding[0]
  return {
    mode: mergeMode(drafts),
    limited: modes.includes('limited'),
    readOnly: readOnly !== undefined,
    enabled: off === undefined,
    unknown: managedOnly === undefined ? (unknowns?.value ?? 'ask') : 'deny',
    ipLiterals: managedOnly === undefined ? (literals?.value ?? 'deny') : 'deny',
    managedOnly: managedOnly !== undefined,
    allowLocalBinding: binding.length > 0 && binding.every((draft) => draft.allowLocalBinding),
    allowUpstreamProxy: drafts.every((draft) => draft.allowUpstreamProxy !== false),
    settings: {
      enabled: refOf(off, 'enabled'),
      unknown: refOf(unknowns?.draft, 'unknown'),
      ipLiterals: refOf(literals?.draft, 'ip_literals'),
      managedOnly: refOf(managedOnly, 'managed_allowed_domains_only'),
      allowLocalBinding: refOf(unbinding, 'allow_local_binding'),
      readOnly: refOf(readOnly, 'read_only'),
    },
    approvals: mergeApprovals(drafts.flatMap(({ approvals }) => approvals ?? [])),
    limits: mergeLimits(drafts),
    webSearchModes: modesOf,
    webFetch: mergeWebFetch(drafts, modesOf),
  }
}

/** One file that enforces is enough, and a managed file does unless it says monitor itself. */
function mergeMode(drafts: readonly Draft[]): Policy['mode'] {
  return !drafts.some(isEnforcing) && drafts.some(({ mode }) => mode === 'monitor') ? 'monitor' : 'enforce'
}

function isEnforcing({ mode, file }: Draft): boolean {
  return mode === 'enforce' || (file.source.layer === 'managed' && mode !== 'monitor')
}

/** Warns of every `mode` and `unknown` that has no effect because another file is stricter. */
export function warnOfOverruled(drafts: readonly Draft[]): void {
  const enforcing = mergeMode(drafts) === 'enforce' ? drafts.find(isEnforcing) : undefined
  const managedOnly = drafts.find((draft) => draft.managedOnly === true)
  const strictest = strictestOf(drafts, (draft) => draft.unknown, strictness)
  const readOnly = drafts.find((draft) => draft.readOnly === true)
  for (const draft of drafts) {
    if (draft.mode === 'monitor' && enforcing !== undefined) {
      warnOfIdle(draft, 'mode', 'monitor', enforcing.mode === 'enforce' ? `${placeOf(enforcing, 'mode')} says enforce` : `the managed file \`${enforcing.file.source.path}\` does not say monitor`)
    }
    const [endpoint] = draft.telemetry
    if (readOnly !== undefined && endpoint !== undefined) draft.file.warning(endpoint.at, `\`agent_telemetry\` takes nothing: \`read_only\` (${placeOf(readOnly, 'read_only')}) lets nothing pass but reading`)
    const [never] = draft.neverIntercept
    if (readOnly !== undefined && never !== undefined) draft.file.warning(never.at, `https to \`${never.text}\` is refused: \`read_only\` (${placeOf(readOnly, 'read_only')}) has to see what is requested`)
    if (draft.readOnly === false && readOnly !== undefined) warnOfIdle(draft, 'read_only', false, `${placeOf(readOnly, 'read_only')} says true`)
    if (draft.unknown === undefined) continue
    if (managedOnly !== undefined && draft.unknown !== 'deny') {
      warnOfIdle(draft, 'unknown', draft.unknown, `\`managed_allowed_domains_only\` at ${placeOf(managedOnly, 'managed_allowed_domains_only')} denies them`)
    } else if (strictest !== undefined && draft.unknown !== strictest.value) {
      warnOfIdle(draft, 'unknown', draft.unknown, `${placeOf(strictest.draft, 'unknown')} says ${strictest.value}`)
    }
  }
}

function warnOfIdle({ file, tablePath }: Draft, key: string, value: string | boolean, why: string): void {
  file.warning([...tablePath, key], `\`${key} = ${JSON.stringify(value)}\` has no effect: ${why}`)
}

function placeOf(draft: Draft, key: string): string {
  const { file, line } = refOf(draft, key)
  return `${file}:${line}`
}

/**
 * Whether the draft's allows count. Under `managed_allowed_domains_only` only those of the managed layer do,
 * and of the file that says so.
 */
export function mayAllow(draft: Draft, drafts: readonly Draft[]): boolean {
  if (!drafts.some((each) => each.managedOnly === true)) return true
  return draft.file.source.layer === 'managed' || (draft.managedOnly === true && !drafts.some(isManagedOnly))
}

/** What may not stand below a managed allow list; each an error where it stands. */
export function checkBelowManaged(drafts: readonly Draft[], credentials: readonly KnownCredential[] = []): boolean {
  const managed = drafts.find((draft) => draft.file.source.layer === 'managed' && hasAllowList(draft))
  if (managed === undefined) return false
  const why = `below the managed allow list of \`${managed.file.source.path}\``
  for (const draft of drafts) {
    if (draft.file.source.layer === 'managed') continue
    const { file } = draft
    if (draft.unknown === 'allow') {
      file.error([...draft.tablePath, 'unknown'], `\`unknown = "allow"\` may not stand ${why}`)
    }
    for (const rule of draft.rules) {
      if (rule.broad) file.error([...rule.at, 'broad'], `\`broad\` may not stand ${why}`)
      checkEffects(draft, rule, credentials, why)
      if (rule.raw !== undefined) file.error([...rule.at, 'raw'], `\`raw\` may not stand ${why}`)
      if (rule.local.length > 0) file.error([...rule.at, 'local'], `\`local\` may not stand ${why}`)
      if (rule.verdict === 'deny') continue
      for (const host of rule.hosts) checkAny(draft, host.at, host.scope, why)
    }
  }
  return true
}

function checkEffects({ file }: Draft, { at, effects }: DraftRule, credentials: readonly KnownCredential[], why: string): void {
  if (effects === undefined) return
  const { insecure, originCa, credential } = effects
  if (insecure) file.error([...at, 'insecure'], `\`insecure\` may not stand ${why}`)
  if (originCa.length > 0) file.error([...at, 'origin_ca'], `\`origin_ca\` may not stand ${why}`)
  if (credential === undefined || credentials.some(({ name, anyLayer }) => name === credential.name && anyLayer)) return
  file.error([...at, 'credential'], `\`credential\` may not stand ${why}, unless the credential itself says \`any_layer = true\` in \`sallyport.toml\``)
}

function checkAny({ file }: Draft, at: Path, scope: Scope, why: string): void {
  if (scope.kind === 'any') file.error(at, `\`*\` may not stand ${why}`)
}

function isManagedOnly(draft: Draft): boolean {
  return draft.file.source.layer === 'managed' && draft.managedOnly === true
}

function hasAllowList(draft: Draft): boolean {
  return (
    draft.lists.some(({ verdict }) => verdict === 'allow') ||
    draft.domains.some(({ verdict }) => verdict === 'allow') ||
    draft.rules.some(({ verdict }) => verdict === 'allow')
  )
}

function strictestOf<V>(drafts: readonly Draft[], value: (draft: Draft) => V | undefined, order: readonly V[]): { value: V; draft: Draft } | undefined {
  let strictest: { value: V; draft: Draft } | undefined
  for (const draft of drafts) {
    const stated = value(draft)
    if (stated === undefined) continue
    if (strictest === undefined || order.indexOf(stated) < order.indexOf(strictest.value)) {
      strictest = { value: stated, draft }
    }
  }
  return strictest
}

function refOf(draft: Draft | undefined, key: string): SettingRef {
  if (draft === undefined) return builtIn
  return { file: draft.file.source.path, line: draft.file.line([...draft.tablePath, key]) }
}

/** The mode itself, or the next stricter one that the ceiling has. */
function underCeiling(wanted: WebFetch['mode'], ceiling: readonly WebSearchMode[] | undefined): WebFetch['mode'] {
  if (ceiling === undefined || wanted === 'disabled' || ceiling.includes(wanted)) return wanted
  return wanted === 'live' && ceiling.includes('cached') ? 'cached' : 'disabled'
}

function mergeSearchModes(drafts: readonly Draft[]): readonly WebSearchMode[] | undefined {
  const stated = drafts.flatMap((draft) => (draft.webSearchModes === undefined ? [] : [draft.webSearchModes]))
  if (stated.length === 0) return undefined
  const common = (['cached', 'indexed', 'live'] as const).filter((mode) => stated.every((modes) => modes.includes(mode)))
  return ['disabled', ...common]
}

function mergeWebFetch(drafts: readonly Draft[], ceiling: readonly WebSearchMode[] | undefined): WebFetch | undefined {
  const stated = drafts.flatMap((draft) => draft.webFetch ?? [])
  if (stated.length === 0) return undefined
  const wanted = fetchModes.find((each) => stated.some((fetch) => fetch.mode === each)) ?? 'disabled'
  const mode = underCeiling(wanted, ceiling)
  return {
    mode,
    domains: [...new Set(stated.flatMap(({ domains }) => domains))],
    onMiss: stated.every(({ onMiss }) => onMiss === 'ask') ? 'ask' : 'deny',
    ...mergeProviders(stated, ceiling, mode),
  }
}
