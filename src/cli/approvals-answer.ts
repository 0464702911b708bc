// `sallyport approvals allow` and `deny`: one answer to one question, about the version that was read just
// before or that the person names. What reaches wider than what was asked is asked for twice.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { type AnswerDraft, answerBody, answerText, decisionText, isWide, outcomeText, type Term, type Verdict, type Who } from './answer.ts'
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
  const needsYes = isWide(draft) && !values.yes
  if (needsYes && !terminal.isInteractive) throw new UsageError('--always and whatever is wider than what was asked needs --yes where nobody can be asked')
  return withClient(values, async (client) => {
    const card = await loadCard(client, await findQuestion(client, asked, ['pending']))
    const wrong = misfit(draft, card)
    if (wrong !== undefined) throw new UsageError(wrong)
    if (needsYes && !(await isConfirmed(draft, card.question, context))) {
      io.err('nothing was decided\n')
      return 1
    }
    const decided = await decide(client, draft, card.question, seen)
    io.out(`${values.json ? asciiJson(decided.json) : escapeText(outcomeText(decided, verdict))}\n`)
    return 0
  })
}

function readVersion(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`\`--seen ${text}\` is not a version, such as 3`)
  return Number(text)
}

function readTerm(values: { readonly once: boolean; readonly session: boolean; readonly for?: string; readonly until?: string; readonly always: boolean }, nowMs: number): Term {
  const given: Term[] = []
  if (values.once) given.push({ kind: 'once' })
  if (values.session) given.push({ kind: 'session' })
  if (values.for !== undefined) given.push({ kind: 'for', duration: readDuration('--for', values.for) })
  if (values.until !== undefined) given.push({ kind: 'until', at: readPoint('--until', values.until, nowMs) })
  if (values.always) given.push({ kind: 'always' })
  if (given.length > 1) throw new UsageError('give one of --once, --session, --for, --until and --always')
  return given[0] ?? { kind: 'once' }
}

function readWho({ agent, team }: { readonly agent: boolean; readonly team: boolean }): Who {
  if (agent && team) throw new UsageError('give --agent or --team, not both')
  return agent ? 'agent' : team ? 'team' : 'session'
}

/** Why the answer does not fit the question; undefined when it does, as far as can be told here. */
export function misfit({ verdict, term, who, comment, subdomains, allPorts }: AnswerDraft, { question, commentFor }: QuestionCard): string | undefined {
  if (who === 'team' && question.team === undefined) return 'the session that asks has no team'
  if (question.kind === 'request' && (subdomains || allPorts)) return 'this question is about one request: it has no names below it and no other ports'
  if ((comment ?? '').trim() !== '') return undefined
  const isWider = subdomains || allPorts || who !== 'session'
  const kinds = [verdict, term.kind === 'for' ? 'until' : term.kind, ...(isWider ? ['wide'] : [])]
  const asking = kinds.find((kind) => commentFor.includes(kind))
  return asking === undefined ? undefined : `the policy wants a comment for this (${escapeText(asking)}): say why with --comment TEXT`
}

async function isConfirmed(draft: AnswerDraft, question: Question, { io, terminal }: ControlContext): Promise<boolean> {
  const typed = await terminal.ask(`${escapeText(answerText(draft, question))}\ntype yes to do this: `, io.signal)
  return typed.trim() === 'yes'
}

/** Throws ControlFault; one that says what became of the question where somebody else was faster. */
export async function decide(client: ControlClient, draft: AnswerDraft, question: Question, seen: number | undefined, signal?: AbortSignal): Promise<Question> {
  try {
    const { body } = await client.call('POST', `/v1/approvals/${encodeURIComponent(question.id)}/decision`, {
      body: answerBody(draft),
      version: seen ?? question.version,
      ...(signal === undefined ? {} : { signal }),
    })
    return readQuestion(body)
  } catch (error) {
    if (error instanceof ControlFault && error.code === 'already_decided' && error.problem?.['approval'] !== undefined) {
      const now = readQuestion(error.problem['approval'])
      throw new ControlFault(error.code, escapeText(`nothing was changed: ${decisionText(now)}`), error.status, error.problem)
    }
    throw error
  }
}
