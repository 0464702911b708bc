// `match` and `not_match`: requests that a rule's author says it is, or is not, about. Checked against the
// rule alone, so that a pack's own cases hold whatever other layers say; the policy's answer is told beside.
import { ProxyError } from '../errors.ts'
import { declaredContent, readField } from './asked-fields.ts'
import { parseAuthority } from '../target/authority.ts'
import { evaluate } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { hitsFor } from './hits.ts'
import { missText } from './miss-words.ts'
import { covers, mismatch } from './fit.ts'
import { readPath } from './path-pattern.ts'
import type { Policy, PolicyCase, Rule } from './policy.ts'
import { Inside } from './terms.ts'

export interface CaseResult {
  readonly case: PolicyCase
  readonly ruleId: string
  readonly passed: boolean
  /** what was got, as a sentence; also for cases that passed */
  readonly got: string
}

/**
 * Reads `METHOD URL`, a URL (GET), `CONNECT host:port` or a bare `host[:port]` (CONNECT, port 443), and behind a URL
 * fields: `POST https://h/p | Content-Type: text/plain | Content-Length: 10`. The principal is one that the rule is
 * for. Schemes http, https, ws and wss.
 */
export function parseCase(text: string, rule?: Pick<Rule, 'agents' | 'teams'>): Facts | { readonly wrong: string } {
  const [line = '', ...fieldLines] = text.split(/ \| ?/)
  const inside = fieldsOf(fieldLines)
  if ('wrong' in inside) return inside
  const words = line.trim().split(/\s+/)
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
      if (fieldLines.length > 0) return { wrong: 'a CONNECT is decided by host and port: no rule sees its fields' }
      const { host, port } = parseAuthority(target, 443)
      const unseen = { method: undefined, path: undefined, query: undefined, upgrade: undefined }
      return { stage: 'connect', scheme: 'https', host, port, ...unseen, principal }
    }
    const [, scheme = '', authority = '', path = '', query] = url
    if (method === 'CONNECT') return { wrong: '`CONNECT` takes host:port, not a URL' }
    const secure = /^(https|wss)$/i.test(scheme)
    const { host, port } = parseAuthority(authority, secure ? 443 : 80)
    const upgrade = /^ws/i.test(scheme) ? ('websocket' as const) : undefined
    const asked = { method: method ?? 'GET', path: path === '' ? '/' : path, query, upgrade, ...inside }
    return { stage: 'request', scheme: secure ? 'https' : 'http', host, port, ...asked, principal }
  } catch (error) {
    if (error instanceof ProxyError) return { wrong: error.detail }
    throw error
  }
}

function fieldsOf(lines: readonly string[]): Pick<Facts, 'fields' | 'content'> | { readonly wrong: string } {
  const fields: string[] = []
  for (const line of lines) {
    const field = readField(line)
    if ('wrong' in field) return field
    fields.push(...field)
  }
  const content = declaredContent(fields)
  if (typeof content === 'object') return content
  return content === undefined ? { fields } : { fields, content }
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
  const inside = new Inside(facts)
  for (const segments of readings) {
    const missed = mismatch(open, facts, segments, inside)
    if (missed !== undefined) return `it ${missText(open.rule, facts, missed)}`
  }
  return undefined
}
