// `sallyport why [HOST|REQUEST_ID]`: why requests were refused lately, where the rule stands, and what to do next.
// For people whose client shows only a number. It reads the journal and changes nothing.
import { parseArgs, styleText } from 'node:util'
import micromatch from 'micromatch'
import { escapeText } from '../audit/escape.ts'
import { ProxyError } from '../errors.ts'
import { findRecords } from '../audit/journal-query.ts'
import type { JournalRecord } from '../audit/record.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal, readCount } from './journal-place.ts'
import { attributeText } from './record-line.ts'
import { nextOf, reasonOf, ruleOf, whyText } from './refused-record.ts'
import { parseIp } from '../target/address.ts'
import { parseAuthority } from '../target/authority.ts'
import { formatHost, parseHost, uriHost, type Host } from '../target/host.ts'
import { authorityOnly } from '../target/quoted.ts'
import { type Command, type CommandIo, UsageError } from './run.ts'

const usage = `usage: sallyport why [HOST|REQUEST_ID] [OPTIONS]

Says why requests were refused or failed lately, newest first: the reason, the rule and the line it
stands on, the request id that the client was given, and what to do next. HOST is a host name, an
address, a URL, whose host alone counts, or a pattern such as '*.example.com'; without it every host
counts. REQUEST_ID is what a refusal names itself by, such as (req 01JD...).

  -n N            how many (default: 5)
${journalOptionsHelp}  --json          one JSON object with \`refusals\`

examples:
  sallyport why
  sallyport why pastebin.com
  sallyport why 01JD3V5Z0M8Q4W7T2R6XK9YB1C
  sallyport why '*.githubusercontent.com' -n 20 --json

exit codes: 0 ok, 1 there is no journal, 2 wrong command line
`

const options = { ...journalOptions, count: { type: 'string', short: 'n', default: '5' } } as const

// the port of what names none; it is read and not asked about
const anyPort = 443

export const whyCommand: Command = {
  name: 'why',
  summary: 'say why requests were refused lately',
  usage,
  run: async (argv, io) => {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
    const [host, ...extra] = positionals
    if (extra.length > 0) throw new UsageError('name one host or request, or none')
    return why(host, readCount('-n', values.count), values, io)
  },
}

async function why(host: string | undefined, limit: number, values: { readonly json: boolean; readonly data?: string; readonly config?: string }, io: CommandIo): Promise<number> {
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const isAsked = askedFilter(host)
  const { records, segments } = await findRecords(dir, limit, (record) => isRefusal(record) && isAsked(record), mayBeRefusal)
  if (segments === 0) {
    io.err(missingJournal(dir))
    return 1
  }
  const newestFirst = records.toReversed()
  if (values.json) {
    io.out(`${JSON.stringify({ refusals: newestFirst.map(refusalJson) })}\n`)
    return 0
  }
  for (const record of newestFirst) io.out(refusalText(record, io.isTty))
  if (records.length === 0) await sayNothingFound(dir, host, isAsked, io)
  return 0
}

async function sayNothingFound(dir: string, host: string | undefined, isAsked: (record: JournalRecord) => boolean, io: CommandIo): Promise<void> {
  const about = host === undefined ? 'any host' : `\`${escapeText(host)}\``
  io.out(`no refusal of ${about} is in the journal\n`)
  const { records } = await findRecords(dir, 1, isAsked)
  const [last] = records
  if (host !== undefined && last !== undefined) io.out(`the last record about it: ${escapeText(last.time)} ${escapeText(last.body)}\n`)
  else if (host !== undefined) io.out('nor anything else about it: did the client use this proxy? `sallyport doctor` can tell\n')
}

/** Every verdict but an allow, what monitor mode would have refused, and failures that were no verdict. */
function isRefusal({ name, attributes }: JournalRecord): boolean {
  if (name === 'sallyport.decision') return attributes['network.policy.decision'] !== 'allow' || attributes['sallyport.monitored.verdict'] !== undefined
  return name === 'sallyport.exchange.ended' && attributes['sallyport.outcome'] === 'failed'
}

/** Most lines are allows, and are told from the text. */
function mayBeRefusal(line: string): boolean {
  if (line.includes('"name":"sallyport.decision"')) return !line.includes('"network.policy.decision":"allow"') || line.includes('"sallyport.monitored.verdict":')
  return line.includes('"sallyport.outcome":"failed"')
}

/** What a client was told of its refusal is a host or the id of its request. */
function askedFilter(asked: string | undefined): (record: JournalRecord) => boolean {
  const isHost = hostFilter(asked)
  return (record) => isHost(record) || record.attributes['sallyport.request.id'] === asked
}

/** A pattern fits an address with or without its port. */
function hostFilter(asked: string | undefined): (record: JournalRecord) => boolean {
  if (asked === undefined) return () => true
  const text = authorityOf(asked)
  if (/[*?]/.test(text)) {
    const matches = micromatch.matcher(text, { nocase: true, dot: true })
    return ({ attributes: { 'server.address': address, 'server.port': port } }) => typeof address === 'string' && (matches(address) || matches(`${address}:${String(port)}`))
  }
  // a target that was no authority either is journaled as what is safe of it
  const name = readHost(text)?.text ?? authorityOnly(asked).toLowerCase()
  return ({ attributes: { 'server.address': address } }) => typeof address === 'string' && address.toLowerCase() === name
}

/** What names the host: `example.com:443` of `https://example.com:443/x`; a `?` is a pattern's where no scheme makes it a query's. */
function authorityOf(asked: string): string {
  const [, scheme, rest = ''] = /^([a-z][a-z\d+.-]*:\/\/)?(.*)$/is.exec(asked) ?? []
  const end = rest.search(scheme === undefined ? /[/#]/ : /[/?#]/)
  return end === -1 ? rest : rest.slice(0, end)
}

/** The host as the proxy reads and journals it; an IPv6 address may lack its brackets. Undefined where the proxy reads none. */
function readHost(text: string): Host | undefined {
  try {
    return parseIp(text) === undefined ? parseAuthority(text, anyPort).host : parseHost(uriHost(text))
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    return undefined
  }
}

/** Host and port as a URL writes them; what could not be read has no port of its own. */
function destinationText(record: JournalRecord): string {
  const address = attributeText(record, 'server.address')
  const port = attributeText(record, 'server.port')
  if (address === undefined || address === '') return '-'
  if (port === undefined || port === '0') return address
  const host = readHost(address)
  return `${host === undefined ? address : formatHost(host)}:${port}`
}

function refusalText(record: JournalRecord, isTty: boolean): string {
  const text = (name: string): string | undefined => attributeText(record, name)
  const bold = (words: string): string => (isTty ? styleText('bold', words, { validateStream: false }) : words)
  const rule = ruleOf(record)
  const method = text('http.request.method')
  const asked = method === undefined || method === 'none' ? '' : `  ${[method, text('url.path')].filter((part) => part !== undefined && part !== '').join(' ')}`
  const lines = [
    bold(destinationText(record)) + asked,
    `  when     ${escapeText(record.time, 32)}`,
    `  why      ${whyText(record)}`,
    rule === undefined ? undefined : `  rule     ${rule.id}${rule.line === '0' ? '' : ` at ${rule.file}:${rule.line}`}${rule.pattern === undefined ? '' : `, pattern ${rule.pattern}`}`,
    `  who      session ${text('session.id') ?? '-'}, agent ${text('gen_ai.agent.name') ?? '-'}, from ${text('client.address') ?? '-'}`,
    `  request  ${text('sallyport.request.id') ?? '-'}`,
    `  next     ${nextOf(record)}`,
  ]
  return `${lines.filter((line) => line !== undefined).join('\n')}\n`
}

function refusalJson(record: JournalRecord): object {
  const { attributes, time, seq } = record
  const value = (name: string) => attributes[name] ?? null
  return {
    time,
    seq,
    host: value('server.address'),
    port: value('server.port'),
    method: value('http.request.method'),
    path: value('url.path'),
    verdict: attributes['network.policy.decision'] ?? 'failed',
    stage: value('sallyport.stage'),
    code: value('sallyport.code'),
    reason: reasonOf(record),
    rule: attributes['security_rule.name'] === undefined ? null : { id: value('security_rule.name'), pattern: value('sallyport.rule.pattern'), file: value('security_rule.ruleset.name'), line: value('sallyport.rule.line') },
    monitored: attributes['sallyport.monitored.verdict'] === undefined ? null : { verdict: value('sallyport.monitored.verdict'), code: value('sallyport.monitored.code'), reason: value('sallyport.monitored.reason') },
    approval_id: value('sallyport.approval.id'),
    session: value('session.id'),
    agent: value('gen_ai.agent.name'),
    client: value('client.address'),
    request_id: value('sallyport.request.id'),
    next: nextOf(record),
  }
}
