// What reading mode and provider oblige to: content that is read before it is forwarded, upgrades that are refused, and,
// where the policy says so, tunnels that are looked into. Pure; what it adds only ever holds back.
import { deny, hostText } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Obligations } from './decision.ts'
import type { Facts } from './facts.ts'
import type { Policy } from './policy.ts'
import { providerOf, searchLimit } from './providers.ts'

/** Whether the policy has requests to this host looked into for what they ask of the web. */
export function inspectsProvider(policy: Policy, { scheme, host, port }: Facts): boolean {
  if (policy.webFetch?.inspectProviders !== true || scheme !== 'https' || searchLimit(policy) === undefined) return false
  return providerOf(policy, host, port) !== undefined
}

/** The answer, and what has to be seen of the request before it goes out. */
export function withProviderSearch(policy: Policy, facts: Facts, answer: Answer): Answer {
  if (answer.verdict === 'deny' || facts.stage === 'connect') return answer
  const limit = searchLimit(policy)
  const provider = limit === undefined ? undefined : providerOf(policy, facts.host, facts.port)
  if (limit === undefined || provider === undefined) return answer
  if (facts.upgrade !== undefined) {
    const reason = `web reading is ${limit.mode}, and what a ${facts.upgrade} upgrade asks of ${hostText(facts)} cannot be seen`
    return deny('provider_search_refused', reason, answer.rule)
  }
  if (!carriesContent(facts)) return answer
  return { ...answer, obligations: { ...answer.obligations, providerSearch: { ...limit, api: provider.api } } }
}

/** What has none declares none; where nothing is known of it the method says whether there may be some. */
function carriesContent({ method = '', content }: Facts): boolean {
  return ['POST', 'PUT', 'PATCH'].includes(method) || (content !== undefined && content !== 0)
}

/** For people. */
export function providerSearchLines(policy: Policy, facts: Facts, { inspect, providerSearch }: Obligations): readonly string[] {
  if (providerSearch !== undefined) {
    const { api, mode, indexed } = providerSearch
    const left = mode === 'cached' ? `what the provider has ${indexed ? 'cached or indexed' : 'cached'} may be searched` : 'nothing may be searched'
    return [`the content is read first, as the ${api} API has it: web reading is ${mode}, so ${left}`]
  }
  const limit = facts.stage === 'connect' && facts.scheme === 'https' && inspect === 'none' ? searchLimit(policy) : undefined
  if (limit === undefined || providerOf(policy, facts.host, facts.port) === undefined) return []
  return [`web reading is ${limit.mode}, but what this provider is asked to search is not seen: set \`[web_fetch] inspect_providers = true\``]
}
