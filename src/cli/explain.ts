// `sallyport explain`: what the policy answers to a URL, which line says so, and what nearly did. It asks
// the same function as the proxy does, resolves no name and opens no connection.
import { parseArgs } from 'node:util'
import { ProxyError } from '../errors.ts'
import type { RuleRef } from '../policy/decision.ts'
import { declaredContent, readField } from '../policy/asked-fields.ts'
import type { Facts, Principal } from '../policy/facts.ts'
import { loadablePolicy, printable, shownPath } from './policy-problems.ts'
import { findPolicy, policyOptions, policyOptionsHelp } from './policy-settings.ts'
import { readTarget } from '../policy/explain-target.ts'
import type { ExplainTarget } from '../policy/explain-target.ts'
import { verdictOf } from '../policy/verdict-of.ts'
import type { Part, TrustingAnswer, VerdictOf } from '../policy/verdict-of.ts'
import { UsageError } from './run.ts'
import type { Command, CommandIo } from './run.ts'

const usage = `usage: sallyport explain URL [OPTIONS]

Says what the policy answers to URL: the decision, the rule and the line it stands on, what else matched
and what nearly did. URL is https://host[:port]/path, http://host[:port]/path or host[:port].
For https a proxy is asked to CONNECT host:port. Where rules look inside, TLS ends at the proxy and the
request within decides; elsewhere the tunnel is opaque. Names are not resolved, no credential is read.

  --method METHOD      of the request (default: GET)
  --upgrade websocket  the request asks for a WebSocket
  --header 'NAME: VALUE'  a field of the request; may be given again
  --content-type TYPE  its content is of this type
  --content-length N   and so many bytes long (default: unknown, with a type; else none)
  --agent NAME         the agent that asks (default: anonymous)
  --team NAME          its team
  --trusts-ca          its session trusts the CA, as those of \`sallyport run\` do: what policy asks about an
                       https host is then asked inside TLS, request by request, and not at the CONNECT
  --web-fetch          its session reads the web and does nothing else (\`sessions create --web-fetch\`)
${policyOptionsHelp}  --json               one JSON object
  -h, --help

examples:
  sallyport explain https://api.github.com/repos/o/r --method POST
  sallyport explain http://example.com/ --agent codex
  sallyport explain https://api.example/v1 --method PUT --content-type text/csv --content-length 2048
  sallyport explain https://new.example/ --trusts-ca
  sallyport explain https://docs.example/guide --web-fetch
  sallyport explain github.com:22
  sallyport explain https://example.com/ --json | jq .verdict

exit codes: 0 allow, 3 deny or ask, 1 the policy has errors, 2 wrong command line
`

const options = {
  ...policyOptions,
  method: { type: 'string' },
  upgrade: { type: 'string' },
  header: { type: 'string', multiple: true },
  'content-type': { type: 'string' },
  'content-length': { type: 'string' },
  agent: { type: 'string' },
  team: { type: 'string' },
  'trusts-ca': { type: 'boolean' },
  'web-fetch': { type: 'boolean' },
} as const

export const explainCommand: Command = {
  name: 'explain',
  summary: 'say what the policy answers to a URL, and which line says so',
  usage,
  async run(argv, io) {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
    if (values.help === true) {
      io.out(usage)
      return 0
    }
    const target = targetOf(positionals, values)
    const place = findPolicy(values, io)
    if (place === undefined) return 1
    const policy = await loadablePolicy({ files: [], ...place, cwd: io.cwd }, io)
    if (policy === undefined) return 1
    const answer = verdictOf(policy, target, place.onlyLoopback)
    if (values.json === true) io.out(`${JSON.stringify(asJson(target, answer, io.cwd), undefined, 2)}\n`)
    else printPeople(target, answer, io)
    return answer.verdict === 'allow' ? 0 : 3
  },
}

interface Values {
  readonly method?: string
  readonly upgrade?: string
  readonly header?: readonly string[]
  readonly 'content-type'?: string
  readonly 'content-length'?: string
  readonly agent?: string
  readonly team?: string
  readonly 'trusts-ca'?: boolean
  readonly 'web-fetch'?: boolean
}

function targetOf(positionals: readonly string[], values: Values): ExplainTarget {
  const [text] = positionals
  if (text === undefined || positionals.length > 1) throw new UsageError('one URL is needed')
  const { method = 'GET', upgrade, agent = 'anonymous', team, 'web-fetch': webFetch = false, 'trusts-ca': trustsCa = webFetch } = values
  if (!/^[A-Za-z][A-Za-z\d_-]*$/.test(method)) throw new UsageError(`\`${method}\` is no method`)
  if (upgrade !== undefined && upgrade !== 'websocket') throw new UsageError('`--upgrade` takes `websocket`')
  const principal: Principal = { session: 'anonymous', agent, team, owner: undefined, trustsCa, ...(webFetch ? { webFetch } : {}) }
  try {
    return readTarget(text, { method: method.toUpperCase(), upgrade, principal, ...fieldsOf(values) })
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new UsageError(`${error.message} (the proxy answers ${error.code})`)
  }
}

function fieldsOf({ header = [], 'content-type': type, 'content-length': length }: Values): { readonly fields: readonly string[]; readonly content: Facts['content'] } {
  const lines = [...header, ...(type === undefined ? [] : [`Content-Type: ${type}`]), ...(length === undefined ? [] : [`Content-Length: ${length}`])]
  const fields = lines.flatMap((line) => {
    const field = readField(line)
    if ('wrong' in field) throw new UsageError(field.wrong)
    return field
  })
  const content = declaredContent(fields)
  if (typeof content === 'object') throw new UsageError(content.wrong)
  return { fields, content }
}

function printPeople(target: ExplainTarget, answer: VerdictOf, io: CommandIo): void {
  const { verdict, code, reason, outer, inner, notes } = answer
  const ending = code === 'allowed' ? '' : ` (${code})`
  const lines = [`${verdict}: ${inner === undefined ? target.asked : requestOf(target)}`, `  ${reason}${ending}`]
  if (answer.rule !== undefined) lines.push(`  decided by ${placeOf(answer.rule, io.cwd)}`)
  if (answer.monitored !== undefined) {
    const { verdict: enforced, code: enforcedCode, reason: enforcedReason } = answer.monitored
    lines.push(`  monitor mode: enforced, the answer would be ${enforced}: ${enforcedReason} (${enforcedCode})`)
  }
  for (const note of notes) lines.push(`  ${note}`)
  lines.push(...tableOf(inner ?? outer, io.cwd))
  if (inner !== undefined) {
    const { decision } = outer.explanation
    lines.push('', `the tunnel: ${decision.verdict}: ${target.asked}`, `  ${decision.reason}`, ...tableOf(outer, io.cwd))
  }
  lines.push('', `policy revision ${outer.explanation.decision.revision}`)
  io.out(`${lines.map(printable).join('\n')}\n`)
}

/** The request inside the tunnel, without its query, which may hold secrets. */
function requestOf({ asked, inner }: ExplainTarget): string {
  const host = asked.replace(/^CONNECT /, '').replace(/:443$/, '')
  return `${inner?.method ?? ''} https://${host}${inner?.path ?? ''}`
}

/** What matched and what nearly did, in columns. */
function tableOf({ explanation }: Part, cwd: string): string[] {
  const rows = [
    ...explanation.matched.map((each) => ['matches', each.verdict, placeOf(each.rule, cwd), each.says]),
    ...explanation.near.map((each) => ['nearly', each.verdict, placeOf(each.rule, cwd), each.says]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}

function placeOf({ id, pattern, file, line }: RuleRef, cwd: string): string {
  const place = line === 0 ? file : `${shownPath(file, cwd)}:${line}`
  return pattern === '' ? `${id} (${place})` : `${id} \`${pattern}\` (${place})`
}

function asJson(target: ExplainTarget, answer: VerdictOf, cwd: string): object {
  const { verdict, code, reason, monitored, notes, outer, inner, trusting } = answer
  return {
    asked: target.asked,
    verdict,
    code,
    reason,
    rule: ruleJson(answer.rule, cwd),
    monitored: monitored === undefined ? null : { ...monitored, rule: ruleJson(monitored.rule, cwd) },
    notes,
    revision: outer.explanation.decision.revision,
    ...partJson(outer, cwd),
    inner: inner === undefined ? null : innerJson(inner, cwd),
    trusting: trusting === undefined ? null : trustingJson(trusting, cwd),
  }
}

function trustingJson({ verdict, code, reason, rule, inner }: TrustingAnswer, cwd: string): object {
  return { verdict, code, reason, rule: ruleJson(rule, cwd), inner: inner === undefined ? null : innerJson(inner, cwd) }
}

function innerJson(inner: Part, cwd: string): object {
  const { verdict, code, reason, rule } = inner.explanation.decision
  return { verdict, code, reason, rule: ruleJson(rule, cwd), ...partJson(inner, cwd) }
}

function partJson({ explanation }: Part, cwd: string): object {
  return {
    matched: explanation.matched.map((each) => ({ ...each, rule: ruleJson(each.rule, cwd) })),
    near: explanation.near.map((each) => ({ ...each, rule: ruleJson(each.rule, cwd) })),
  }
}

function ruleJson(rule: RuleRef | undefined, cwd: string): RuleRef | null {
  return rule === undefined ? null : { ...rule, file: rule.line === 0 ? rule.file : shownPath(rule.file, cwd) }
}
