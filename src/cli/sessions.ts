// `sallyport sessions`: gives an agent its proxy URL, lists the runs of agents, ends one. The URL holds the
// session's token and is printed this once.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { table } from './cells.ts'
import { type ControlContext, type ControlSeams, controlCommand, onePositional } from './control-command.ts'
import { controlOptions, controlOptionsHelp } from './control-options.ts'
import { readPage, readSession, type ShownSession } from './control-wire.ts'
import { Members } from './members.ts'
import { type Command, type RunDeps, UsageError } from './run.ts'
import { isDuration, point, readDuration, span } from './time-words.ts'

const usage = `usage: sallyport sessions create --agent NAME [OPTIONS]
       sallyport sessions list [OPTIONS]
       sallyport sessions end ID [OPTIONS]

A session is one run of an agent. create prints the proxy URL that holds its credentials, once: whoever
has the URL is that agent. list shows those that are live and those that ended today. end refuses its
credentials from now on, closes what it has open and withdraws its questions.

  --agent NAME       the agent, as rules name it
  --owner NAME       the person it works for (default: nobody; a launcher's own)
  --team NAME        a label that rules and reviewers can go by
  --hold auto|TIME   how long a request waits for an answer; auto (the default) is as long as the client
                     program is known to wait, TIME is such as 4s
  --unattended       nobody is there to answer: what would be asked is refused at once
  --trusts-ca        its clients trust the proxy's certificate authority, so that rules may look inside https
  --web-fetch        it reads the web and does nothing else: GET and HEAD, from the web cache unless policy
                     has the web read live; its clients trust the certificate authority
  --record           admins only, with --ttl of at most 24h: what it reads live is kept in the web cache, where all
                     agents of its team read it, without --team all agents; its clients trust the
                     certificate authority
  --ttl TIME         ends by itself after this, such as 8h
  --export           print shell lines and nothing else, for eval
${controlOptionsHelp}
examples:
  sallyport sessions create --agent codex --owner ana --ttl 8h
  eval "$(sallyport sessions create --agent codex --export)" && codex
  sallyport sessions create --agent ci --unattended --json | jq -r .proxy_url
  sallyport sessions create --agent fetcher --web-fetch --ttl 1h
  sallyport sessions create --agent recorder --team web --record --ttl 1h
  sallyport sessions end s1a2b3c4d5e6f

exit codes: 0 ok, 1 error, 2 wrong command line
`

const createOptions = {
  ...controlOptions,
  agent: { type: 'string' },
  owner: { type: 'string' },
  team: { type: 'string' },
  hold: { type: 'string' },
  unattended: { type: 'boolean' },
  'trusts-ca': { type: 'boolean' },
  'web-fetch': { type: 'boolean' },
  record: { type: 'boolean' },
  ttl: { type: 'string' },
  export: { type: 'boolean', default: false },
} as const

export function sessionsCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  return controlCommand({ name: 'sessions', summary: 'give agents their proxy URL, list and end their runs', usage, actions: { create, list, end } }, deps, seams)
}

async function create(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: createOptions })
  const { agent, owner, team, hold, unattended, ttl, record } = values
  if (agent === undefined || agent === '') throw new UsageError('--agent NAME is needed')
  if (hold !== undefined && hold !== 'auto' && !isDuration(hold)) throw new UsageError(`\`--hold ${hold}\` is neither auto nor a time such as 4s`)
  if (ttl !== undefined) readDuration('--ttl', ttl)
  if (record === true && ttl === undefined) throw new UsageError('--record needs --ttl TIME, at most 24h')
  if (record === true && values['web-fetch'] === true) throw new UsageError('give --record or --web-fetch, not both: what is kept is what is read live')
  if (values.export && values.json) throw new UsageError('give --export or --json, not both')
  return withClient(values, async (client) => {
    const { body } = await client.call('POST', '/v1/sessions', { body: { agent, owner, team, hold, unattended, ttl, trusts_ca: values['trusts-ca'], web_fetch: values['web-fetch'], record } })
    const made = new Members(body, 'answer')
    const session = readSession(made.object('session').json)
    const lines = exportLines(made.text('proxy_url'))
    if (session.record && (values.json || values.export)) io.err(recordText(session))
    if (values.json) io.out(`${asciiJson(body)}\n`)
    else if (values.export) io.out(lines)
    else io.out(`${madeText(session)}\n${session.record ? recordText(session) : ''}${made.text('proxy_url').replace(/[^\x21-\x7e]/g, '')}\n\npaste this where the agent is started; it is not shown again:\n\n${lines}`)
    return 0
  })
}

function madeText({ id, agent, owner, team, expiresMs, unattended, trustsCa, webFetch }: ShownSession): string {
  const labels = [`agent ${agent}`, ...(owner === undefined ? [] : [`owner ${owner}`]), ...(team === undefined ? [] : [`team ${team}`])]
  const until = expiresMs === undefined ? 'until it is ended' : `until ${point(expiresMs)}`
  return escapeText(`session ${id}: ${labels.join(', ')}; ${until}${unattended ? '; unattended' : ''}${trustsCa ? '; trusts the CA' : ''}${webFetch ? '; reads the web, and nothing else' : ''}`)
}

/** Whoever uses it is to know before. */
function recordText({ team }: ShownSession): string {
  return escapeText(`IT RECORDS: pages that it reads live are kept in the web cache, where all agents${team === undefined ? '' : ` of team ${team}`} read them`) + '\n'
}

/** The variables that clients read, in both spellings: curl takes `http_proxy` in small letters only, and Node none
 * of them unless it is told to. */
function exportLines(proxyUrl: string): string {
  const url = `'${proxyUrl.replace(/[^\x21-\x7e]/g, '').replaceAll("'", '%27')}'`
  const here = "'localhost,127.0.0.1,::1'"
  const lines = [...['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'].map((name) => `${name}=${url}`), `NO_PROXY=${here}`, `no_proxy=${here}`, 'NODE_USE_ENV_PROXY=1']
  return lines.map((line) => `export ${line}\n`).join('')
}

async function list(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: controlOptions })
  return withClient(values, async (client) => {
    const { body } = await client.call('GET', '/v1/sessions')
    const { items } = readPage(body, readSession)
    if (values.json) io.out(`${asciiJson(body)}\n`)
    else if (items.length === 0) io.out('there is no session: `sallyport sessions create --agent NAME` makes one\n')
    else io.out(table(['ID', 'AGENT', 'OWNER', 'TEAM', 'HOLD', 'STATE', 'LAST SEEN', 'CREATED BY'], items.map((each) => rowOf(each, clock.now()))))
    return 0
  })
}

function rowOf({ id, agent, owner, team, hold, unattended, record, endedMs, expiresMs, lastSeenMs, createdBy }: ShownSession, nowMs: number): string[] {
  const seen = lastSeenMs === undefined ? 'never' : `${span(nowMs - lastSeenMs)} ago`
  const state = endedMs !== undefined ? `ended ${span(nowMs - endedMs)} ago` : expiresMs === undefined ? 'live' : expiresMs <= nowMs ? 'expired' : `live, ${span(expiresMs - nowMs)} left`
  return [id, agent, owner ?? '-', team ?? '-', unattended ? 'unattended' : hold, record ? `${state}, records` : state, seen, createdBy]
}

async function end(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: controlOptions, allowPositionals: true })
  const id = onePositional(positionals, 'the id of a session')
  return withClient(values, async (client) => {
    const { body } = await client.call('POST', `/v1/sessions/${encodeURIComponent(id)}/end`, { body: {} })
    io.out(values.json ? `${asciiJson(body)}\n` : escapeText(`session ${readSession(body).id} has ended`) + '\n')
    return 0
  })
}
