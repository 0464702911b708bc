// `sallyport audit show ID`: what one id stands for, told in order. It reads the journal itself, with or without a proxy.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { findRecords, journalRecords } from '../audit/journal-query.ts'
import type { JournalRecord } from '../audit/record.ts'
import { base32 } from '../audit/record.ts'
import type { RecordQuestion } from '../audit/record-filter.ts'
import { readIndex, type RecordIndex } from '../audit/record-index.ts'
import { searchJournal } from '../audit/record-search.ts'
import { asciiJson } from './ascii-json.ts'
import { findJournal, journalOptions, journalOptionsHelp, missingJournal } from './journal-place.ts'
import { approvalStory, countSession, exchangeStory, recordText, sessionStory } from './record-story.ts'
import { type CommandIo, UsageError } from './run.ts'

export const showUsage = `usage: sallyport audit show ID [OPTIONS]

Tells what an id stands for:

  a number, or the uid of a record     that record with all that it holds
  a request id, as clients are told    the exchange: what was decided by which rule, who was asked and
                                       answered, what was dialled, how it ended
  an approval id                       the question and what came of it
  a session id                         what the session did, counted

${journalOptionsHelp}  --json          one JSON object with \`kind\` and \`records\`

examples:
  sallyport audit show 01JD0000000000000000000000
  sallyport audit show 4711 --json

exit codes: 0 ok, 1 there is no journal or nothing of that name in it, 2 wrong command line
`

type Kind = 'record' | 'exchange' | 'approval' | 'session'

interface Shown {
  readonly kind: Kind
  /** oldest first */
  readonly records: readonly JournalRecord[]
  /** there are older ones */
  readonly isCut: boolean
}

/** As many records of one session are counted, and none has more of one exchange. */
const maxRecords = 20_000
const uidPattern = /^[0-9A-HJKMNP-TV-Z]{26}$/
const base32Digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

export async function show(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: journalOptions, allowPositionals: true })
  const [id, ...extra] = positionals
  if (id === undefined || extra.length > 0) throw new UsageError('name one id: the number of a record, or the id of a request, an approval or a session')
  if (id === '' || id.length > 256) throw new UsageError('an id is 1 to 256 characters long')
  const dir = findJournal(values, io)
  if (dir === undefined) return 1
  const { newest } = await findRecords(dir, 0, () => false)
  if (newest === undefined) {
    io.err(missingJournal(dir))
    return 1
  }
  const index = readIndex(dir)
  try {
    const shown = await find(dir, id, index)
    if (shown === undefined) {
      io.err(`no record, request, approval or session is called \`${escapeText(id)}\`: records up to ${newest.seq} were searched; an exchange that retention removed is with the collector alone\n`)
      return 1
    }
    io.out(values.json ? `${asciiJson({ kind: shown.kind, id, ...(shown.isCut ? { cut: true } : {}), records: shown.records })}\n` : textOf(id, shown, io.isTty))
  } finally {
    index?.close()
  }
  return 0
}

function textOf(id: string, { kind, records, isCut }: Shown, isTty: boolean): string {
  if (kind === 'exchange') return exchangeStory(id, records, isTty)
  if (kind === 'approval') return approvalStory(id, records, isTty)
  if (kind === 'session') return sessionStory(id, countSession(records, isCut), records, isTty)
  return records.map((record) => recordText(record, isTty)).join('\n')
}

async function find(dir: string, id: string, index: RecordIndex | undefined): Promise<Shown | undefined> {
  const ask = async (question: RecordQuestion) => searchJournal(dir, { question, from: 'newest', limit: maxRecords }, index)
  const record = await numbered(dir, id)
  if (record !== undefined) return { kind: 'record', records: [record], isCut: false }
  const { records: exchange } = await ask({ request: id })
  if (exchange.length > 0) return { kind: 'exchange', records: await withQuestions(exchange, ask), isCut: false }
  const { records: approval } = await ask({ approval: id })
  // calls of the control API name whatever they were about
  if (approval.some(({ name }) => name !== 'sallyport.control.called')) return { kind: 'approval', records: approval, isCut: false }
  // a session's id stands for itself, whatever signs it has
  if (!/^[\w.:@ -]+$/.test(id)) return undefined
  const { records: session, lookedTo } = await ask({ session: id })
  return session.length === 0 ? undefined : { kind: 'session', records: session, isCut: lookedTo !== undefined }
}

/** The record of that number or uid; a uid ends in its number. */
async function numbered(dir: string, id: string): Promise<JournalRecord | undefined> {
  const isUid = uidPattern.test(id)
  if (!isUid && !/^[1-9]\d{0,15}$/.test(id)) return undefined
  const seq = isUid ? numberOf(id.slice(-8)) : Number(id)
  for await (const record of journalRecords(dir, { fromSeq: seq })) {
    return record.seq === seq && (!isUid || record.uid === id) ? record : undefined
  }
  return undefined
}

function numberOf(text: string): number {
  const number = Array.from(text).reduce((sum, digit) => sum * 32 + base32Digits.indexOf(digit), 0)
  return base32(number, text.length) === text ? number : 0
}

/** With the questions that the exchange waited for, in the order in which all of it happened. */
async function withQuestions(exchange: readonly JournalRecord[], ask: (question: RecordQuestion) => Promise<{ readonly records: readonly JournalRecord[] }>): Promise<readonly JournalRecord[]> {
  const bySeq = new Map(exchange.map((record) => [record.seq, record]))
  const [first, last] = [exchange[0]?.seq ?? 0, exchange.at(-1)?.seq ?? 0]
  const approvals = new Set(exchange.flatMap(({ attributes: { 'sallyport.approval.id': approval } }) => (typeof approval === 'string' ? [approval] : [])))
  for (const approval of approvals) {
    const { records } = await ask({ approval })
    for (const record of records) {
      // what other exchanges got of the same answer is their story; what was said of the question is this one's
      const isOwn = record.attributes['sallyport.request.id'] === undefined || record.name === 'sallyport.control.called'
      const isLater = record.seq > last && record.name.startsWith('sallyport.grant.')
      if (isOwn && !isLater && (record.seq >= first || record.name.startsWith('sallyport.approval.'))) bySeq.set(record.seq, record)
    }
  }
  return [...bySeq.values()].toSorted((a, b) => a.seq - b.seq)
}
