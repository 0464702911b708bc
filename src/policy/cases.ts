// `match` and `not_match`: requests that a rule's author says it is, or is not, about. Checked against the
// rule alone, so that a pack's own cases hold whatever other layers say; the policy's answer is told beside.
import { ProxyError } from '../errors.ts'
import { parseAuthority } from '../target/authority.ts'
import { evaluate } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { hitsFor } from './hits.ts'
import { covers, mismatch } from './judge.ts'
import { readPath } from './path-pattern.ts'
import type { Policy, PolicyCase, Rule } from './policy.ts'

export interface CaseResult {
  readonly case: PolicyCase
  readonly ruleId: string
  readonly passed: boolean
  /** what was got, as a sentence; also for cases that passed */
  readonly got: string
}

/**
 * Reads `METHOD URL`, a URL (GET), `CONNECT host:port` or a bare `host[:port]` (CONNECT, port 443). The
 * principal is one that the rule is for. Schemes http, https, ws and wss.
 */
export function parseCase(text: string, rule?: Pick<Rule, 'agents' | 'teams'>): Facts | { readonly wrong: string } {
  const words = text.trim().split(/\s+/)
  const [first = '', second] = words
  if (words.length > 2 || first === '') return { wrong: 'write `GET https://host/path` or `CONNECT host:port`' }
  const target = second ?? first
  const method = second === undefined ? undefined : first
  const principal = { session: 'case', agent: rule?.agents?.[0] ?? 'case', team: rule?.teams?.[0], owner: undefined }
  const url = /^(https?|wss?):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(target)
  try {
    if (url === null) {
      if (target.includes('://') || target.includes('/')) return { wrong: 'not an http, https, ws or wss URL' }
      if (method !== undefined && method !== 'CONNECT') return { wrong: `\`${method}\` needs a URL` }
      const { host, port } = parseAuthority(target, 443)
      const unseen = { method: undefined, path: undefined, query: undefined, upgrade: undefined }
      return { stage: 'connect', scheme: 'https', host, port, ...unseen, principal }
    }
    const [, scheme = '', authority = '', path = '', query] = url
    if (method === 'CONNECT') return { wrong: '`CONNECT` takes host:port, not a URL' }
    const secure = /^(https|wss)$/i.test(scheme)
    const { host, port } = parseAuthority(authority, secure ? 443 : 80)
    const upgrade = /^ws/i.test(scheme) ? ('websocket' as const) : undefined
    const asked = { method: method ?? 'GET', path: path === '' ? '/' : path, query, upgrade }
    return { stage: 'request', scheme: secure ? 'https' : 'http', host, port, ...asked, principal }
  } catch (error) {
    if (error instanceof ProxyError) return { wrong: error.detail }
    throw error
  }
}

/** Runs every case that the policy's rules bring along. */
export function runCases(policy: Policy): readonly CaseResult[] {
  return policy.cases.map((each) => runCase(policy, each))
}

function runCase(policy: Policy, each: PolicyCase): CaseResult {
  const rule = policy.rules[each.rule]
  const ruleId = rule?.id ?? ''
  const facts = parseCase(each.text, rule)
  if ('wrong' in facts) return { case: each, ruleId, passed: false, got: `it cannot be read: ${facts.wrong}` }
  const why = whyNoMatch(policy, facts, each.rule)
  const answer = evaluate(policy, facts, 0)
  const verdict = answer.monitored?.verdict ?? answer.verdict
  const got = `${why === undefined ? 'the rule matches' : `the rule does not match: ${why}`}; the policy answers ${verdict} (${answer.reason})`
  return { case: each, ruleId, passed: (why === undefined) === (each.expect === 'match'), got }
}

function whyNoMatch(policy: Policy, facts: Facts, ruleAt: number): string | undefined {
  const rule = policy.rules[ruleAt]
  const hits = hitsFor(policy, facts.host, facts.principal).filter((hit) => hit.rule === rule)
  if (hits.length === 0) return `no host pattern covers ${facts.host.text}`
  const open = hits.find((hit) => covers(hit.ports, facts))
  if (open === undefined) return `port ${facts.port} is not among its ports`
  if (facts.stage === 'connect' || !open.rule.requestLevel) return undefined
  const readings = rule?.paths === undefined ? [[]] : readPath(facts.path ?? '')
  if ('wrong' in readings) return `the path is ambiguous: ${readings.wrong}`
  for (const segments of readings) {
    const missed = mismatch(open, facts, segments)
    if (missed === 'method') return `method ${facts.method ?? ''} is not among its methods`
    if (missed === 'path') return `path ${facts.path ?? ''} is not among its paths`
    if (missed === 'upgrade') {
      return facts.upgrade === undefined ? 'it is about upgrades alone' : `it does not name the upgrade ${facts.upgrade}`
    }
  }
  return undefined
}
