// What a decision in the journal says of its request, as facts that a policy can be asked about again. Pure. The journal
// holds less than the proxy saw: names of query parameters and no values, no fields, no content, of a path what redaction
// left. What is missing is said, so that nobody takes a guess for an answer.
import { errorTable, type ErrorCode } from '../errors.ts'
import { verdicts, type RuleRef, type Verdict } from '../policy/decision.ts'
import type { Facts, Principal } from '../policy/facts.ts'
import { formatHost, parseHost, type Host } from '../target/host.ts'
import type { JournalRecord } from './record.ts'
import { textAttribute } from './record-attributes.ts'

/** How much of a path the journal holds: `covered`: a part of it is a hash. */
export type KnownPath = 'whole' | 'covered' | 'none'

export interface RecordedDecision {
  readonly seq: number
  readonly time: string
  readonly requestId: string
  readonly facts: Facts
  readonly path: KnownPath
  /** what the policy itself answered: `ask` where a grant did, and in monitor mode what it would have answered */
  readonly verdict: Verdict
  readonly code: ErrorCode | 'allowed'
  readonly rule: RuleRef | undefined
  /** a reviewer's yes opened it */
  readonly wasGranted: boolean
  readonly revision: string
}

/** What policy, and nothing else on the way, answers with at the first stage. */
const policyCodes: ReadonlySet<string> = new Set<ErrorCode | 'allowed'>([
  'allowed', 'approval_required', 'denied_by_rule', 'not_allowed', 'port_denied', 'ip_literal_denied', 'ip_denied', 'reserved_destination', 'network_disabled',
  'path_ambiguous', 'request_not_allowed', 'upgrade_not_allowed', 'content_not_allowed', 'obligation_conflict', 'web_fetch_disabled',
])

/** What sessions were made as, which their decisions do not repeat. */
export class RecordedSessions {
  readonly #flags = new Map<string, Pick<Principal, 'trustsCa' | 'webFetch' | 'record'>>()

  /** Takes a `sallyport.session.started`; anything else is passed over. */
  take({ name, attributes }: JournalRecord): void {
    const id = attributes['session.id']
    if (name !== 'sallyport.session.started' || typeof id !== 'string') return
    this.#flags.set(id, {
      trustsCa: attributes['sallyport.session.trusts_ca'] === true,
      webFetch: attributes['sallyport.session.web_fetch'] === true,
      record: attributes['sallyport.session.record'] === true,
    })
  }

  flagsOf(session: string): Pick<Principal, 'trustsCa' | 'webFetch' | 'record'> {
    return this.#flags.get(session) ?? {}
  }
}

/** The decision of a record; undefined where it is none that a policy gave by itself: another event, a later stage, a
 * request that could not be read, credentials that were wrong. */
export function recordedDecision(record: JournalRecord, sessions: RecordedSessions): RecordedDecision | undefined {
  const { name, seq, time, attributes } = record
  if (name !== 'sallyport.decision' || attributes['sallyport.stage'] !== 'policy') return undefined
  const { verdict, code, rule, wasGranted } = answerOf(record)
  const host = hostOf(textAttribute(record, 'server.address'))
  const port = attributes['server.port']
  if (verdict === undefined || code === undefined || host === undefined || typeof port !== 'number' || port === 0) return undefined
  const path = textAttribute(record, 'url.path')
  return {
    seq, time, verdict, code, rule, wasGranted,
    requestId: textAttribute(record, 'sallyport.request.id') ?? '',
    facts: factsOf(record, host, port, code, sessions),
    path: path === undefined ? 'none' : path.includes('{hmac:') ? 'covered' : 'whole',
    revision: textAttribute(record, 'sallyport.policy.revision') ?? '',
  }
}

function answerOf(record: JournalRecord): { readonly verdict?: Verdict; readonly code?: ErrorCode | 'allowed'; readonly rule?: RuleRef | undefined; readonly wasGranted: boolean } {
  const monitored = verdictText(textAttribute(record, 'sallyport.monitored.verdict'))
  const code = codeText(textAttribute(record, monitored === undefined ? 'sallyport.code' : 'sallyport.monitored.code'))
  const wasGranted = record.attributes['sallyport.grant.id'] !== undefined
  if (code === undefined || !policyCodes.has(code)) return { wasGranted }
  const verdict = monitored ?? verdictText(textAttribute(record, 'network.policy.decision'))
  if (verdict === undefined) return { wasGranted }
  const rule = monitored === undefined
    ? ruleOf(record, 'security_rule.name', 'security_rule.ruleset.name', 'sallyport.rule.line')
    : ruleOf(record, 'sallyport.monitored.rule.name', 'sallyport.monitored.rule.file', 'sallyport.monitored.rule.line')
  return wasGranted ? { verdict: 'ask', code: 'approval_required', rule, wasGranted } : { verdict, code, rule, wasGranted }
}

function factsOf(record: JournalRecord, host: Host, port: number, code: string, sessions: RecordedSessions): Facts {
  const session = textAttribute(record, 'session.id') ?? 'anonymous'
  const principal: Principal = {
    session,
    agent: textAttribute(record, 'gen_ai.agent.name') ?? 'anonymous',
    team: textAttribute(record, 'sallyport.team'),
    owner: textAttribute(record, 'user.name'),
    ...sessions.flagsOf(session),
  }
  const scheme = textAttribute(record, 'url.scheme') === 'http' ? 'http' : 'https'
  if (record.attributes['network.transport.protocol'] === 'https_connect') {
    return { stage: 'connect', scheme, host, port, method: undefined, path: undefined, query: undefined, upgrade: undefined, principal }
  }
  return {
    stage: 'request', scheme, host, port, principal,
    method: textAttribute(record, 'http.request.method') ?? 'GET',
    path: textAttribute(record, 'url.path') ?? '/',
    query: textAttribute(record, 'url.query'),
    upgrade: code === 'upgrade_not_allowed' ? 'websocket' : undefined,
    fields: [],
    content: 0,
  }
}

function ruleOf(record: JournalRecord, name: string, file: string, line: string): RuleRef | undefined {
  const id = textAttribute(record, name)
  const at = record.attributes[line]
  return id === undefined ? undefined : { id, pattern: textAttribute(record, 'sallyport.rule.pattern') ?? '', file: textAttribute(record, file) ?? '', line: typeof at === 'number' ? at : 0 }
}

/** A host that does not read back as itself was cut, or is the raw text of a target that could not be parsed. */
function hostOf(name: string | undefined): Host | undefined {
  if (name === undefined) return undefined
  try {
    const host = parseHost(name.includes(':') && !name.startsWith('[') ? `[${name}]` : name)
    return formatHost(host) === name || host.text === name ? host : undefined
  } catch {
    return undefined
  }
}

function verdictText(value: string | undefined): Verdict | undefined {
  return verdicts.find((verdict) => verdict === value)
}

function codeText(value: string | undefined): ErrorCode | 'allowed' | undefined {
  return value === 'allowed' || isCode(value) ? value : undefined
}

function isCode(value: string | undefined): value is ErrorCode {
  return value !== undefined && Object.hasOwn(errorTable, value)
}
