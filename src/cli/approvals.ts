// `sallyport approvals`: the questions that agents wait on, read, answered, watched and waited for from a
// terminal. The answers themselves are in approvals-answer.ts, the screen in approvals-watch.ts.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { allow, deny } from './approvals-answer.ts'
import { asciiJson } from './ascii-json.ts'
import { watch } from './approvals-watch.ts'
import { cardLines, stateText } from './card-text.ts'
import { table } from './cells.ts'
import { type ControlContext, type ControlSeams, controlCommand, onePositional } from './control-command.ts'
import { controlOptions, controlOptionsHelp } from './control-options.ts'
import { type Question, readQuestion } from './control-wire.ts'
import { decisionText } from './answer.ts'
import { readCount } from './journal-place.ts'
import { findQuestion, listQuestions, loadCard, placeOf, readHostOption } from './question-finder.ts'
import { type Command, type RunDeps, UsageError } from './run.ts'
import { durationMs, span } from './time-words.ts'

const usage = `usage: sallyport approvals list [--state STATE] [--host HOST] [--session ID] [-n N]
       sallyport approvals show ID|HOST
       sallyport approvals allow ID|HOST [HOW LONG] [HOW WIDE] [OPTIONS]
       sallyport approvals deny ID|HOST [HOW LONG] [HOW WIDE] [OPTIONS]
       sallyport approvals watch [--host HOST] [--session ID]
       sallyport approvals wait ID|HOST [--timeout TIME]

When the policy asks, the agent's request is held and a question waits for a person. ID may be the
beginning of an id (four letters or more), HOST a host, host:port or URL, when only one question is meant.

list shows the questions, oldest first; --state is pending (the default), allowed, denied, expired,
withdrawn or all; -n says how many (default: 100). show tells everything about one. watch is a live
screen to work in; where stdout is no terminal, and with --json, it prints each new question once.
wait ends when the question is answered.

how long:
  --once             what waits now, or the next retry (the default)
  --session          until the session of the agent ends
  --for TIME         such as 15m or 8h
  --until TIME       such as 2027-01-31T18:00Z
  --always           at once up to the longest that settings give, and as a rule for all
                   sessions of the agent: proposed, or written when an admin answers
a page that is not in the web cache:
  --fetch            have the proxy fetch it into the cache, once; nothing is opened. Without it
                     allow lets the agent read the host live, for as long as the options say
  --confirmed        you looked at the whole URL, which is long or looks like data
how wide, beyond the host, port and session that asked:
  --subdomains       every name below the host too
  --all-ports        every port that the policy does not close
  --agent, --team    every session of this agent, or of its team
answering:
  --comment TEXT     why; kept with the answer, and the agent can read it
  --seen VERSION     only if the question is still the version that you looked at, as show prints it
  --yes              do not ask again: --always and whatever is wider than asked needs a second yes
waiting:
  --timeout TIME     give up after this (default: until it is answered or expires)

${controlOptionsHelp}
examples:
  sallyport approvals list
  sallyport approvals show lib.test
  sallyport approvals allow lib.test --session
  sallyport approvals allow 01JABCDEF --for 8h --subdomains --comment 'release day' --yes
  sallyport approvals allow https://docs.example/guide --fetch
  sallyport approvals deny paste.example --always --agent
  sallyport approvals watch --url https://sallyport.example:3129 --token-file ~/.sallyport-token
  sallyport approvals wait 01JABCDEF --timeout 10m && ./deploy

exit codes: 0 ok, and for wait: it was allowed; 1 error, and for wait: it was withdrawn; 2 wrong command line;
3 wait: it was denied; 4 wait: nobody answered in time
`

const listOptions = {
  ...controlOptions,
  state: { type: 'string', default: 'pending' },
  host: { type: 'string' },
  session: { type: 'string' },
  count: { type: 'string', short: 'n', default: '100' },
} as const

const states: readonly string[] = ['pending', 'allowed', 'denied', 'expired', 'withdrawn', 'all']

export function approvalsCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  const actions = { list, show, allow, deny, watch, wait }
  return controlCommand({ name: 'approvals', summary: 'see, answer and watch the questions that agents wait on', usage, actions }, deps, seams)
}

async function list(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: listOptions })
  const { state, session } = values
  const host = readHostOption(values.host)
  if (!states.includes(state)) throw new UsageError(`\`--state ${state}\` is not one of ${states.join(', ')}`)
  const most = readCount('-n', values.count)
  return withClient(values, async (client) => {
    const { items, next } = await listQuestions(client, { state: state === 'all' ? undefined : state, host, session }, most)
    if (values.json) io.out(`${asciiJson({ items: items.map(({ json }) => json), next_cursor: next ?? null })}\n`)
    else if (items.length === 0) io.out(state === 'pending' ? 'no question is open\n' : 'there is no such question\n')
    else io.out(tableOf(items, clock.now()))
    if (next !== undefined && !values.json) io.err(`there are more: -n ${most * 10} shows them\n`)
    return 0
  })
}

/** With the whole URL of each page below its row. */
function tableOf(items: readonly Question[], nowMs: number): string {
  const [heading, ...rows] = table(['ID', 'HOST', 'AGENT', 'TEAM', 'TRIES', 'HELD', 'AGE', 'STATE'], items.map((each) => rowOf(each, nowMs))).trimEnd().split('\n')
  const pages = items.map(({ kind, method, url }) => (kind === 'fetch' && url !== undefined ? `\n  ${escapeText(`${method ?? 'GET'} ${url}`, 16_384)}` : ''))
  return `${[heading, ...rows.map((row, at) => `${row}${pages[at] ?? ''}`)].join('\n')}\n`
}

function rowOf(question: Question, nowMs: number): string[] {
  const { id, agent, team, attempts, waiting, firstSeenMs, kind, method } = question
  const place = kind === 'fetch' ? `page of ${placeOf(question)}` : kind === 'request' ? `${method ?? ''} ${placeOf(question)}` : placeOf(question)
  return [id, place, agent, team ?? '-', String(attempts), String(waiting), span(nowMs - firstSeenMs), stateText(question, nowMs)]
}

async function show(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: controlOptions, allowPositionals: true })
  const asked = onePositional(positionals, 'an id or a host')
  return withClient(values, async (client) => {
    const id = await findQuestion(client, asked, ['pending', undefined])
    const { body } = await client.call('GET', `/v1/approvals/${id}`)
    if (values.json) {
      io.out(`${asciiJson(body)}\n`)
      return 0
    }
    const card = await loadCard(client, id)
    const lines = cardLines(card, clock.now())
    const width = Math.max(...lines.map(({ label }) => label.length))
    io.out(`${escapeText(`question ${card.question.id}, version ${card.question.version}: ${stateText(card.question, clock.now())}`)}\n`)
    io.out(lines.map(({ label, text }) => `  ${label.padEnd(width)}  ${text}\n`).join(''))
    if (card.question.state === 'pending') io.out(`to answer: sallyport approvals allow|deny ${escapeText(card.question.id)} [${card.question.kind === 'fetch' ? '--fetch | ' : ''}--session | --for TIME | --always]\n`)
    return 0
  })
}

const waitOptions = { ...controlOptions, timeout: { type: 'string' } } as const

/** What the server may keep one call for. */
const longestCallSeconds = 20

async function wait(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: waitOptions, allowPositionals: true })
  const asked = onePositional(positionals, 'an id or a host')
  const end = values.timeout === undefined ? undefined : clock.monotonic() + durationMs('--timeout', values.timeout)
  return withClient(values, async (client) => {
    const id = await findQuestion(client, asked, ['pending', undefined])
    const signal = io.signal === undefined ? {} : { signal: io.signal }
    let last = readQuestion((await client.call('GET', `/v1/approvals/${id}`, signal)).body)
    while (last.state === 'pending') {
      const left = end === undefined ? longestCallSeconds : Math.ceil((end - clock.monotonic()) / 1000)
      if (left <= 0) break
      const { status, body } = await client.call('GET', `/v1/approvals/${id}`, { ...signal, unlessVersion: last.version, waitSeconds: Math.min(left, longestCallSeconds) })
      if (status !== 304) last = readQuestion(body)
    }
    if (values.json) io.out(`${asciiJson(last.json)}\n`)
    else io.out(`${escapeText(last.state === 'pending' ? `${placeOf(last)} is still waiting for an answer` : decisionText(last))}\n`)
    return waitExit(last.state)
  })
}

function waitExit(state: string): number {
  if (state === 'allowed') return 0
  if (state === 'denied') return 3
  return state === 'pending' || state === 'expired' ? 4 : 1
}
