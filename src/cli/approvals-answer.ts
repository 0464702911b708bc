// `sallyport approvals allow` and `deny`: one answer to one question, about the version that was read just
// before or that the person names. What reaches wider than what was asked is asked for twice.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { type AnswerDraft, answerBody, answerText, decisionText, isDoubtful, isWide, outcomeText, type Term, type Verdict, type Who } from './answer.ts'
import { asciiJson } from './ascii-json.ts'
import type { ControlClient } from './control-client.ts'
import { type ControlContext, onePositional } from './control-command.ts'
import { ControlFault } from './control-fault.ts'
import { controlOptions } from './control-options.ts'
import { type Question, type QuestionCard, readQuestion } from './control-wire.ts'
import { findQuestion, loadCard } from './question-finder.ts'
import { UsageError } from './run.ts'
import { readDuration, readPoint } from './time-words.ts'

const answerOptions = {
  ...controlOptions,
  once: { type: 'boolean', default: false },
  session: { type: 'boolean', default: false },
  for: { type: 'string' },
  until: { type: 'string' },
  always: { type: 'boolean', default: false },
  fetch: { type: 'boolean', default: false },
  confirmed: { type: 'boolean', default: false },
  subdomains: { type: 'boolean', default: false },
  'all-ports': { type: 'boolean', default: false },
  agent: { type: 'boolean', default: false },
  team: { type: 'boolean', default: false },
  comment: { type: 'string' },
  seen: { type: 'string' },
  yes: { type: 'boolean', default: false },
} as const

export async function allow(argv: readonly string[], context: ControlContext): Promise<number> {
  return answer('allow', argv, context)
}

export async function deny(argv: readonly string[], context: ControlContext): Promise<number> {
  return answer('deny', argv, context)
}

async function answer(verdict: Verdict, argv: readonly string[], context: ControlContext): Promise<number> {
  const { io, clock, terminal, withClient } = context
  const { values, positionals } = parseArgs({ args: [...argv], options: answerOptions, allowPositionals: true })
  const asked = onePositional(positionals, 'an id or a host')
  const seen = readVersion(values.seen)
  const draft: AnswerDraft = {
    verdict,
    term: readTerm(values, clock.now()),
    subdomains: values.subdomains,
    allPorts: values['all-ports'],
    who: readWho(values),
    comment: values.comment,
  }
  checkFetch(draft, values.confirmed)
  const needsYes = isWide(draft) && !values.yes
  if (needsYes && !terminal.isInteractive) throw new UsageError('--always and whatever is wider than what was asked needs --yes where nobody can be asked')
  return withClient(values, async (client) => {
    const card = await loadCard(client, await findQuestion(client, asked, ['pending']))
    const wrong = misfit(draft, card)
    if (wrong !== undefined) throw new UsageError(wrong)
    const doubtful = isDoubtful(draft, card)
    if (doubtful && !terminal.isInteractive) throw new UsageError(doubtText(card))
    if ((needsYes || doubtful) && !(await isTyped(draft, card, context))) {
      io.err('nothing was decided\n')
      return 1
    }
    const decided = await decide(client, doubtful ? { ...draft, term: { kind: 'fetch', isConfirmed: true } } : draft, card.question, seen)
    io.out(`${values.json ? asciiJson(decided.json) : escapeText(outcomeText(decided, verdict))}\n`)
    return 0
  })
}

/** What a fetch cannot be told together with. */
function checkFetch({ verdict, term, subdomains, allPorts, who }: AnswerDraft, isConfirmed: boolean): void {
  if (term.kind !== 'fetch') {
    if (isConfirmed) throw new UsageError('--confirmed goes with --fetch')
    return
  }
  if (verdict === 'deny') throw new UsageError('--fetch is a yes to one page: it goes with allow')
  if (subdomains || allPorts || who !== 'session') throw new UsageError('--fetch is about one page, and opens nothing: it takes no --subdomains, --all-ports, --agent or --team')
}

/** What whoever cannot be asked has to look at. */
function doubtText({ question, doubts }: QuestionCard): string {
  return escapeText(`look at the whole URL, and add --confirmed if it may be sent: ${question.url ?? ''} (${doubts.join('; ')})`, 16_384)
}

function readVersion(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`\`--seen ${text}\` is not a version, such as 3`)
  return Number(text)
}

function readTerm(values: { readonly once: boolean; readonly session: boolean; readonly for?: string; readonly until?: string; readonly always: boolean; readonly fetch: boolean; readonly confirmed: boolean }, nowMs: number): Term {
  const given: Term[] = []
  if (values.once) given.push({ kind: 'once' })
  if (values.session) given.push({ kind: 'session' })
  if (values.for !== undefined) given.push({ kind: 'for', duration: readDuration('--for', values.for) })
  if (values.until !== undefined) given.push({ kind: 'until', at: readPoint('--until', values.until, nowMs) })
  if (values.always) given.push({ kind: 'always' })
  if (values.fetch) given.push({ kind: 'fetch', isConfirmed: values.confirmed })
  if (given.length > 1) throw new UsageError('give one of --fetch, --once, --session, --for, --until and --always')
  return given[0] ?? { kind: 'once' }
}

function readWho({ agent, team }: { readonly agent: boolean; readonly team: boolean }): Who {
  if (agent && team) throw new UsageError('give --agent or --team, not both')
  return agent ? 'agent' : team ? 'team' : 'session'
}

/** Why the answer does not fit the question; undefined when it does, as far as can be told here. */
export function misfit({ verdict, term, who, comment, subdomains, allPorts }: AnswerDraft, { question, commentFor }: QuestionCard): string | undefined {
  if (who === 'team' && question.team === undefined) return 'the session that asks has no team'
  if (term.kind === 'fetch' && question.kind !== 'fetch') return 'only a page that is not in the web cache can be fetched into it, and this question is about something else'
  if (term.kind !== 'fetch' && verdict === 'allow' && question.firstYes?.isFetch === true) return `${escapeText(question.firstYes.by)} said yes to fetching the page, and you cannot allow more: --fetch`
  if (question.kind === 'fetch' && verdict === 'deny' && (subdomains || allPorts)) return 'a no is to this one page: it has no names below it and no other ports'
  if (question.kind === 'request' && (subdomains || allPorts)) return 'this question is about one request: it has no names below it and no other ports'
  if ((comment ?? '').trim() !== '') return undefined
  const isWider = subdomains || allPorts || who !== 'session'
  const kinds = [verdict, term.kind === 'for' ? 'until' : term.kind, ...(isWider ? ['wide'] : [])]
  const asking = kinds.find((kind) => commentFor.includes(kind))
  return asking === undefined ? undefined : `the policy wants a comment for this (${escapeText(asking)}): say why with --comment TEXT`
}

async function isTyped(draft: AnswerDraft, { question, doubts }: QuestionCard, { io, terminal }: ControlContext): Promise<boolean> {
  const about = draft.term.kind === 'fetch' ? doubts.map((doubt) => `\n  ${escapeText(doubt)}`).join('') : ''
  const typed = await terminal.ask(`${escapeText(answerText(draft, question), 16_384)}${about}\ntype yes to do this: `, io.signal)
  return typed.trim() === 'yes'
}

/** A fetch ends by `cache.fetch_timeout` of the proxy, and its answer says what came of it. */
const fetchPatienceMs = 600_000

/** Throws ControlFault; one that says what became of the question where somebody else was faster. */
export async function decide(client: ControlClient, draft: AnswerDraft, question: Question, seen: number | undefined, signal?: AbortSignal): Promise<Question> {
  try {
    const { body } = await client.call('POST', `/v1/approvals/${encodeURIComponent(question.id)}/decision`, {
      body: answerBody(draft),
      ...(draft.term.kind === 'fetch' ? { patienceMs: fetchPatienceMs } : {}),
      version: seen ?? question.version,
      ...(signal === undefined ? {} : { signal }),
    })
    return readQuestion(body)
  } catch (error) {
    if (error instanceof ControlFault && error.code === 'already_decided' && error.problem?.['approval'] !== undefined) {
      const now = readQuestion(error.problem['approval'])
      // somebody is about to
      if (now.state === 'pending') throw error
      throw new ControlFault(error.code, escapeText(`nothing was changed: ${decisionText(now)}`), error.status, error.problem)
    }
    throw error
  }
}
