// What happened, told in order: the records of one exchange, of one question or of one session as text for a terminal.
// Pure; everything foreign is escaped here.
import { styleText } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import type { JournalRecord } from '../audit/record.ts'
import { uriHost } from '../target/host.ts'
import { pad } from './cells.ts'
import { attributeText, pageText } from './record-line.ts'
import { nextOf, ruleOf, whyText } from './refused-record.ts'
import { span } from './time-words.ts'

const labels: Readonly<Record<string, string>> = {
  'sallyport.approval.requested': 'question',
  'sallyport.approval.expired': 'nobody answered',
  'sallyport.approval.withdrawn': 'withdrawn',
  'sallyport.grant.created': 'grant',
  'sallyport.grant.used': 'grant used',
  'sallyport.grant.revoked': 'grant revoked',
  'sallyport.grant.expired': 'grant over',
  'sallyport.cache.hit': 'from the cache',
  'sallyport.cache.missed': 'not cached',
  'sallyport.cache.filled': 'cached',
  'sallyport.session.started': 'session begins',
  'sallyport.session.shared': 'session shared',
  'sallyport.session.ended': 'session ends',
  'sallyport.control.called': 'control API',
}

const verdictLabels: Readonly<Record<string, string>> = { allow: 'allowed', deny: 'denied', ask: 'must be asked' }
const stageWords: Readonly<Record<string, string>> = { approval: 'after the answer', address: 'for what the name resolves to', tls: 'for what the tunnel began with' }

/** The records of one exchange with what came of its question, oldest first. */
export function exchangeStory(id: string, records: readonly JournalRecord[], isTty: boolean): string {
  const about = records.find(({ name }) => name === 'sallyport.decision') ?? records.find(({ attributes }) => attributes['server.address'] !== undefined) ?? records[0]
  if (about === undefined) return ''
  const final = records.findLast(({ name }) => name === 'sallyport.decision')
  const isRefused = final !== undefined && final.attributes['network.policy.decision'] !== 'allow'
  const failed = records.findLast(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.outcome'] === 'failed')
  const next = isRefused ? final : failed
  return [
    title(`exchange ${escapeText(id)}: ${placeText(about)}`, isTty),
    `  ${whoText(about)}\n\n`,
    steps(records),
    next === undefined ? '' : `\n  next: ${nextOf(next)}\n`,
  ].join('')
}

/** A question from its beginning to what came of it. */
export function approvalStory(id: string, records: readonly JournalRecord[], isTty: boolean): string {
  const about = records.find(({ name }) => name.startsWith('sallyport.approval.')) ?? records[0]
  return about === undefined ? '' : `${title(`approval ${escapeText(id)}: ${placeText(about)}`, isTty)}  ${whoText(about)}\n\n${steps(records)}`
}

/** One record with all that it holds. */
export function recordText(record: JournalRecord, isTty: boolean): string {
  const rows = Object.entries(record.attributes).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)])
  const frame = [['time', record.time], ['uid', record.uid], ['severity', record.severity], ['instance', record.instance], ['hash', record.hash], ['previous hash', record.prev]]
  return `${title(`record ${record.seq}: ${escapeText(record.name)}`, isTty)}  ${escapeText(record.body)}\n\n${[...frame, ...rows].map(([name = '', value = '']) => `  ${pad(escapeText(name), 32)}  ${escapeText(value)}\n`).join('')}`
}

export interface SessionCounts {
  readonly first: JournalRecord | undefined
  readonly last: JournalRecord | undefined
  readonly records: number
  /** older ones were left out */
  readonly isCut: boolean
  readonly exchanges: number
  readonly verdicts: Readonly<Record<string, number>>
  readonly hosts: ReadonlyMap<string, number>
  readonly refused: ReadonlyMap<string, number>
  readonly approvals: readonly string[]
  readonly bytesFromClient: number
  readonly bytesFromOrigin: number
}

/** What a session did, counted. */
export function countSession(records: readonly JournalRecord[], isCut: boolean): SessionCounts {
  const exchanges = new Set<string>()
  const verdicts: Record<string, number> = {}
  const hosts = new Map<string, number>()
  const refused = new Map<string, number>()
  const approvals = new Set<string>()
  let bytesFromClient = 0
  let bytesFromOrigin = 0
  for (const { name, attributes } of records) {
    const { 'sallyport.request.id': request, 'network.policy.decision': verdict, 'sallyport.approval.id': approval, 'sallyport.code': code } = attributes
    if (typeof approval === 'string') approvals.add(approval)
    if (name === 'sallyport.decision' && typeof request === 'string' && typeof verdict === 'string') {
      exchanges.add(request)
      verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
      add(hosts, `${String(attributes['server.address'])}:${String(attributes['server.port'])}`)
      if (verdict === 'deny') add(refused, String(code))
    }
    if (name === 'sallyport.exchange.ended') {
      bytesFromClient += Number(attributes['sallyport.bytes_from_client'] ?? 0)
      bytesFromOrigin += Number(attributes['sallyport.bytes_from_origin'] ?? 0)
    }
  }
  return { first: records[0], last: records.at(-1), records: records.length, isCut, exchanges: exchanges.size, verdicts, hosts, refused, approvals: [...approvals], bytesFromClient, bytesFromOrigin }
}

const shownHosts = 10

export function sessionStory(id: string, counts: SessionCounts, records: readonly JournalRecord[], isTty: boolean): string {
  const { first, last, verdicts, hosts, refused, approvals, exchanges, isCut } = counts
  const about = records.findLast(({ name }) => name === 'sallyport.session.started') ?? records.find(({ name }) => name === 'sallyport.decision') ?? first
  if (about === undefined || first === undefined || last === undefined) return ''
  const life = records.filter(({ name }) => name.startsWith('sallyport.session.'))
  const lines = [
    isCut ? `  the newest ${counts.records} records only` : undefined,
    `  from ${escapeText(first.time, 32)} to ${escapeText(last.time, 32)}: ${counts.records} records, ${exchanges} exchanges`,
    `  ${verdicts['allow'] ?? 0} allowed, ${verdicts['deny'] ?? 0} denied, ${verdicts['ask'] ?? 0} asked about; ${counts.bytesFromClient} bytes out, ${counts.bytesFromOrigin} bytes in`,
    refused.size === 0 ? undefined : `  denied with ${mostOf(refused).map(([code, count]) => `${escapeText(code)} (${count})`).join(', ')}`,
    approvals.length === 0 ? undefined : `  questions: ${approvals.slice(0, shownHosts).map((approval) => escapeText(approval)).join(', ')}${approvals.length > shownHosts ? ` and ${approvals.length - shownHosts} more` : ''}`,
  ].filter((line) => line !== undefined)
  const top = mostOf(hosts).map(([host, count]) => `    ${String(count).padStart(6)}  ${escapeText(host)}\n`).join('')
  const more = hosts.size > shownHosts ? `            and ${hosts.size - shownHosts} more\n` : ''
  return `${title(`session ${escapeText(id)}`, isTty)}  ${whoText(about)}\n${lines.join('\n')}\n${top === '' ? '' : `\n  hosts\n${top}${more}`}${life.length === 0 ? '' : `\n${steps(life)}`}`
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function mostOf(counts: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...counts].toSorted(([, a], [, b]) => b - a).slice(0, shownHosts)
}

function title(text: string, isTty: boolean): string {
  return `${isTty ? styleText('bold', text, { validateStream: false }) : text}\n`
}

function placeText(record: JournalRecord): string {
  const host = attributeText(record, 'server.address')
  const port = attributeText(record, 'server.port')
  const place = host === undefined ? record.name : `${uriHost(host)}${port === undefined ? '' : `:${port}`}`
  const page = pageText(record)
  return page === undefined ? place : `${place}  ${page}`
}

function whoText(record: JournalRecord): string {
  const words: readonly (readonly [string, string])[] = [['session ', 'session.id'], ['agent ', 'gen_ai.agent.name'], ['of ', 'user.name'], ['team ', 'sallyport.team'], ['from ', 'client.address'], ['called by ', 'sallyport.actor.name']]
  const known = words.flatMap(([before, name]) => {
    const value = attributeText(record, name)
    return value === undefined ? [] : [before + value]
  })
  return known.length === 0 ? 'nobody is named' : known.join(', ')
}

/** One line for each record: when, what, and how; the first with its date. */
function steps(records: readonly JournalRecord[]): string {
  const startMs = Date.parse(records[0]?.time ?? '')
  return records.map((record, at) => {
    const when = at === 0 ? escapeText(record.time, 32) : `+${agoText(Date.parse(record.time) - startMs)}`
    return `  ${when.padEnd(24)}  ${labelOf(record).padEnd(15)}  ${stepText(record)}\n`
  }).join('')
}

function agoText(ms: number): string {
  return ms < 10_000 ? `${(Math.max(0, ms) / 1000).toFixed(3)} s` : span(ms)
}

function labelOf(record: JournalRecord): string {
  const { name } = record
  if (name === 'sallyport.decision') return verdictLabels[attributeText(record, 'network.policy.decision') ?? ''] ?? 'decided'
  if (name === 'sallyport.exchange.ended') return attributeText(record, 'sallyport.outcome') ?? 'ended'
  if (name === 'sallyport.approval.decided') return attributeText(record, 'sallyport.approval.verdict') === 'allow' ? 'approved' : 'rejected'
  return labels[name] ?? escapeText(name.replace(/^sallyport\./, ''), 40)
}

function stepText(record: JournalRecord): string {
  if (record.name === 'sallyport.decision') return decisionText(record)
  if (record.name === 'sallyport.exchange.ended') return endText(record)
  const waited = attributeText(record, 'sallyport.approval.waited_ms')
  return `${escapeText(record.body)}${waited === undefined ? '' : `, after ${span(Number(waited))}`}`
}

function decisionText(record: JournalRecord): string {
  const rule = ruleOf(record)
  const stage = stageWords[attributeText(record, 'sallyport.stage') ?? '']
  const grant = attributeText(record, 'sallyport.grant.id')
  const approval = attributeText(record, 'sallyport.approval.id')
  return [
    `${stage === undefined ? '' : `${stage}: `}${whyText(record)}`,
    rule === undefined ? undefined : `rule ${rule.id}${rule.line === '0' ? '' : ` at ${rule.file}:${rule.line}`}${rule.pattern === undefined ? '' : `, pattern ${rule.pattern}`}`,
    grant === undefined ? undefined : `grant ${grant}`,
    approval === undefined ? undefined : `approval ${approval}`,
  ].filter((part) => part !== undefined).join('; ')
}

function endText(record: JournalRecord): string {
  const text = (name: string): string | undefined => attributeText(record, name)
  const code = text('sallyport.code')
  const status = text('http.response.status_code')
  const peer = text('network.peer.address')
  return [
    code,
    status === undefined ? undefined : `the client was sent ${status}`,
    peer === undefined ? 'nothing was dialled' : `dialled ${peer}`,
    `${text('sallyport.bytes_from_client') ?? '0'} bytes out, ${text('sallyport.bytes_from_origin') ?? '0'} bytes in`,
    `${text('sallyport.duration_ms') ?? '-'} ms`,
  ].filter((part) => part !== undefined).join(', ')
}
