// Facts in, decision out. Never throws: facts that are out of order are denied. In monitor mode what policy
// refuses is let through and noted; what syntax and addresses refuse is refused there too.
import type { ErrorCode } from '../errors.ts'
import { deny, noObligations } from './answers.ts'
import type { Answer } from './answers.ts'
import type { Decision } from './decision.ts'
import type { Facts } from './facts.ts'
import { judge } from './judge.ts'
import type { Policy } from './policy.ts'

/** Refused in monitor mode too: not a matter of opinion about hosts. */
const enforcedAlways: ReadonlySet<ErrorCode> = new Set([
  'ip_denied', 'self', 'path_ambiguous', 'network_disabled', 'reserved_destination', 'internal_error',
])

/** Decides. `now` is wall clock time in ms; nothing depends on it yet. */
export function evaluate(policy: Policy, facts: Facts, now: number): Decision {
  const answer = judgeSafely(policy, facts, now)
  const { revision } = policy
  if (policy.mode === 'monitor' && answer.verdict === 'allow' && answer.obligations.inspect === 'cache') return readLive(answer, facts, revision)
  if (answer.verdict === 'allow' || answer.code === 'allowed' || policy.mode !== 'monitor' || enforcedAlways.has(answer.code)) {
    const { verdict, code, reason, rule, obligations, wildcard } = answer
    return { verdict, code, reason, rule, obligations, revision, monitored: undefined, wildcard }
  }
  const { verdict, code, reason, rule } = answer
  const obligations = answer.verdict === 'ask' ? answer.obligations : noObligations
  return { verdict: 'allow', code: 'allowed', reason, rule, obligations, revision, monitored: { verdict, code, reason, rule }, wildcard: true }
}

/** Monitor mode changes nothing for anybody: what would be answered from the cache is read live, and noted. */
function readLive({ rule, reason, obligations, wildcard }: Answer, { stage }: Facts, revision: string): Decision {
  const monitored = stage === 'connect' ? undefined : { verdict: 'deny', code: 'cache_miss', reason: `${reason}; it would be refused unless it is in the cache`, rule } as const
  return { verdict: 'allow', code: 'allowed', reason, rule, obligations: { ...obligations, inspect: 'intercept' }, revision, monitored, wildcard }
}

function judgeSafely(policy: Policy, facts: Facts, now: number): Answer {
  try {
    const odd = oddity(facts, now)
    return odd === undefined ? judge(policy, facts) : deny('internal_error', `the request cannot be judged: ${odd}`, undefined)
  } catch (error) {
    return deny('internal_error', `the request cannot be judged: ${error instanceof Error ? error.message : 'unknown fault'}`, undefined)
  }
}

/** What is wrong with facts that no caller of good standing hands in; types are not trusted here. */
function oddity(facts: Facts, now: number): string | undefined {
  const { stage, scheme, host, port, method, path, upgrade, fields, content } = facts
  if (stage !== 'connect' && stage !== 'request') return 'unknown stage'
  if (scheme !== 'http' && scheme !== 'https') return 'unknown scheme'
  if (host.kind !== 'name' && host.kind !== 'ip') return 'unknown kind of host'
  if (typeof host.text !== 'string' || host.text === '' || host.text.length > 253) return 'no host'
  if (!Number.isInteger(port) || port < 1 || port > 65535) return 'no port'
  if (upgrade !== undefined && upgrade !== 'websocket') return 'unknown upgrade'
  if (Number.isNaN(now)) return 'no time'
  if (stage === 'connect') return undefined
  if (fields !== undefined && (!Array.isArray(fields) || fields.length % 2 !== 0)) return 'fields without values'
  if (content !== undefined && content !== 'unknown' && !(Number.isSafeInteger(content) && content >= 0)) return 'unknown length of content'
  if (typeof method !== 'string' || method === '') return 'no method'
  return typeof path === 'string' && path.startsWith('/') ? undefined : 'no path'
}
