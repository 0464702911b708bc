// Runs the policy cases that stand as data in cases/*.toml. A group is a policy and rows about it:
//   `REQUEST => VERDICT [CODE] [RULE]`             a decision (see parseCase for REQUEST)
//   `REQUEST -> ADDRESS, ADDRESS => ok | CODE`     what a name resolved to
// REQUEST may start with `agent=NAME`, `team=NAME`, `trusts-ca` and `reader`.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { judgeAddresses } from '../../src/policy/addresses.ts'
import { parseCase } from '../../src/policy/cases.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { CompileResult, Policy, SourceFile } from '../../src/policy/compile.ts'
import type { Decision } from '../../src/policy/decision.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { parseIp } from '../../src/target/address.ts'

export interface Group {
  readonly name: string
  readonly policy?: string
  readonly managed?: string
  readonly approved?: string
  readonly second?: string
  readonly feeds?: Record<string, string>
  readonly reserved?: readonly string[]
  /** `NAME: HOST, HOST [any layer]`; absent: not checked */
  readonly credentials?: readonly string[]
  /** listeners elsewhere than on loopback */
  readonly exposed?: boolean
  readonly rows?: readonly string[]
  /** `FILE:LINE:COLUMN text` of every error, in order; the text is a part of the message */
  readonly errors?: readonly string[]
  readonly warnings?: readonly string[]
  readonly notices?: readonly string[]
}

export interface Row {
  readonly text: string
  readonly wanted: string
  readonly got: string
}

export function readGroups(): readonly { readonly file: string; readonly groups: readonly Group[] }[] {
  const folder = join(import.meta.dirname, 'cases')
  return readdirSync(folder).filter((name) => name.endsWith('.toml')).toSorted().map((file) => {
    const table: { group: readonly Group[] } = JSON.parse(JSON.stringify(parse(readFileSync(join(folder, file), 'utf8'))))
    return { file, groups: table.group }
  })
}

export function compileGroup(group: Group): CompileResult {
  const sources: SourceFile[] = []
  if (group.managed !== undefined) sources.push({ path: 'requirements.toml', text: group.managed, layer: 'managed' })
  if (group.policy !== undefined) sources.push({ path: 'policy.toml', text: group.policy, layer: 'policy' })
  if (group.second !== undefined) sources.push({ path: 'second.toml', text: group.second, layer: 'policy' })
  if (group.approved !== undefined) sources.push({ path: '90-approved.toml', text: group.approved, layer: 'approved' })
  const feeds = new Map(Object.entries(group.feeds ?? {}).map(([path, text]) => [path, new TextEncoder().encode(text)]))
  const reserved = (group.reserved ?? []).map((text) => {
    const [host = '', port] = text.split(':')
    return { host, port: port === undefined ? undefined : Number(port) }
  })
  const credentials = group.credentials?.map((text) => {
    const [, name = '', hosts = '', anyLayer] = /^(\S+): (.*?)( any layer)?$/.exec(text) ?? []
    return { name, hosts: hosts.split(', '), anyLayer: anyLayer !== undefined }
  })
  return compilePolicy(sources, feeds, { reserved, credentials })
}

export function runRow(policy: Policy, text: string, exposed: boolean): Row {
  const arrow = text.lastIndexOf(' => ')
  const wanted = text.slice(arrow + 4).trim()
  const [request = '', addresses] = text.slice(0, arrow).split(' -> ')
  const facts = factsOf(request)
  const decision = evaluate(policy, facts, 0)
  if (addresses === undefined) {
    const { inspect, raw } = decision.obligations
    const got = [...effectWords(decision), decision.verdict, decision.code, decision.rule?.id ?? '-', inspect, raw ?? '-', decision.monitored?.verdict ?? '-', decision.monitored?.code ?? '-']
    // a row names as many words as it cares for, in any order
    const missing = wanted.split(/\s+/).filter((word) => !got.includes(word))
    return { text, wanted, got: missing.length === 0 ? wanted : got.join(' ') }
  }
  const ips = addresses.split(',').map((each) => {
    const ip = parseIp(each.trim())
    if (ip === undefined) throw new Error(`no address: ${each}`)
    return ip
  })
  if (decision.verdict !== 'allow') return { text, wanted, got: `not allowed: ${decision.code} ${decision.reason}` }
  const own = parseIp('198.51.99.9')
  const surroundings = { ownPorts: [3128, 3129], ownAddresses: own === undefined ? [] : [own], onlyLoopback: !exposed }
  const verdict = judgeAddresses(policy, facts, decision, ips, surroundings)
  return { text, wanted, got: verdict.ok ? 'ok' : verdict.code }
}

/** `set:Name=value`, `strip:name`, `max:BYTES`, `insecure`, `ca:PATH`; `unchanged` where there is none of them. */
function effectWords({ obligations: { fieldChanges = [], originTrust, maxContent, sharedCache } }: Decision): readonly string[] {
  const words = fieldChanges.flatMap(({ strip, set }) => [
    ...strip.map((name) => `strip:${name}`),
    ...set.map(({ name, value }) => `set:${name}=${value.kind === 'text' ? value.text : `${value.prefix.trim()}(${value.credential}${value.placeholder ? '?' : ''})`}`),
  ])
  if (maxContent !== undefined) words.push(`max:${maxContent}`)
  if (originTrust?.insecure === true) words.push('insecure')
  words.push(...(originTrust?.caFiles ?? []).map((file) => `ca:${file}`))
  if (sharedCache === true) words.push('shared')
  return words.length === 0 ? ['unchanged'] : words
}

export function factsOf(request: string): Facts {
  let text = request.trim()
  let principal: Facts['principal'] = { session: 's1', agent: 'coder', team: undefined, owner: undefined }
  for (;;) {
    const found = /^(?:(agent|team)=(\S+)|(trusts-ca|reader|recorder))\s+/.exec(text)
    if (found === null) break
    const [whole, key, value = '', word] = found
    if (word !== undefined) principal = { ...principal, ...(word === 'reader' ? { webFetch: true } : word === 'recorder' ? { trustsCa: true, record: true } : { trustsCa: true }) }
    else principal = key === 'agent' ? { ...principal, agent: value } : { ...principal, team: value }
    text = text.slice(whole.length)
  }
  const facts = parseCase(text)
  if ('wrong' in facts) throw new Error(`${request}: ${facts.wrong}`)
  return { ...facts, principal }
}

/** `FILE:LINE:COLUMN message` for each problem of a severity. */
export function problemLines({ problems }: CompileResult, severity: string): readonly string[] {
  return problems.filter((problem) => problem.severity === severity).map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`)
}

/** Whether every wanted line (`FILE:LINE:COLUMN part of the message`) is the line at its place. */
export function linesAgree(lines: readonly string[], wanted: readonly string[]): boolean {
  return lines.length === wanted.length && lines.every((line, i) => {
    const [place = '', ...words] = (wanted[i] ?? '').split(' ')
    return line.startsWith(`${place} `) && line.includes(words.join(' '))
  })
}
