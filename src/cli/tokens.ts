// `sallyport tokens`: makes, lists and revokes the tokens that people and programs speak to the control
// listener with. A secret is printed once, by `create`. They are never for agents: those have sessions.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { nearestWord } from '../policy/suggestion.ts'
import { asciiJson } from './ascii-json.ts'
import { table } from './cells.ts'
import { type ControlContext, type ControlSeams, controlCommand, onePositional } from './control-command.ts'
import { controlOptions, controlOptionsHelp } from './control-options.ts'
import { readPage, readToken, type ShownToken } from './control-wire.ts'
import { Members } from './members.ts'
import { type Command, type RunDeps, UsageError } from './run.ts'
import { point, readDuration, span } from './time-words.ts'

const usage = `usage: sallyport tokens create --name NAME --kind person|program --role ROLE [OPTIONS]
       sallyport tokens list [OPTIONS]
       sallyport tokens revoke ID [OPTIONS]

A token lets a person or a program speak to the control listener; its name stands on every answer it
gives. The secret is printed once and kept nowhere. Agents get sessions instead, never tokens.

  --name NAME        who it is; unique
  --kind KIND        person, or program: a program that reviews may allow a session at most
  --role ROLE        viewer    sees questions, grants, sessions and the policy
                     auditor   what a viewer sees, and the events
                     launcher  creates, lists and ends its own sessions
                     reviewer  what a viewer sees; answers questions and revokes grants
                     admin     everything
  --team NAME        a reviewer's team; may be repeated; without it every team
  --ttl TIME         how long it is good for, such as 30d
${controlOptionsHelp}
examples:
  sallyport tokens create --name ana --kind person --role reviewer --team web --ttl 30d
  sallyport tokens create --name triage --kind program --role reviewer --json | jq -r .secret
  sallyport tokens revoke 01JABCDEF

exit codes: 0 ok, 1 error, 2 wrong command line
`

const createOptions = {
  ...controlOptions,
  name: { type: 'string' },
  kind: { type: 'string' },
  role: { type: 'string' },
  team: { type: 'string', multiple: true },
  ttl: { type: 'string' },
} as const

const kinds: readonly string[] = ['person', 'program']
const roles: readonly string[] = ['viewer', 'auditor', 'launcher', 'reviewer', 'admin']

export function tokensCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  return controlCommand({ name: 'tokens', summary: 'make and revoke the tokens of reviewers and programs', usage, actions: { create, list, revoke } }, deps, seams)
}

async function create(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: createOptions })
  const { ttl, team: teams } = values
  if (values.name === undefined || values.name === '') throw new UsageError('--name NAME is needed')
  const kind = oneOf('--kind', values.kind, kinds)
  const role = oneOf('--role', values.role, roles)
  if (ttl !== undefined) readDuration('--ttl', ttl)
  return withClient(values, async (client) => {
    const { body } = await client.call('POST', '/v1/tokens', { body: { kind, name: values.name, role, teams, ttl } })
    const made = new Members(body, 'answer')
    const token = readToken(made.object('token').json)
    if (values.json) io.out(`${asciiJson(body)}\n`)
    else io.out(`${escapeText(`token ${token.id}: ${token.kind} ${token.name}, ${token.role}${teamsText(token)}; until ${point(token.expiresMs)}`)}\n${escapeText(made.text('secret'))}\n\nkeep the secret now, it is not shown again; it goes into SALLYPORT_TOKEN or a file for --token-file\n`)
    return 0
  })
}

function oneOf(option: string, word: string | undefined, known: readonly string[]): string {
  if (word === undefined) throw new UsageError(`${option} is needed: ${known.join(', ')}`)
  if (known.includes(word)) return word
  const near = nearestWord(word, known)
  throw new UsageError(`\`${option} ${word}\` is not one of ${known.join(', ')}${near === undefined ? '' : `; did you mean \`${near}\`?`}`)
}

function teamsText({ teams }: ShownToken): string {
  return teams.length === 0 ? '' : ` of ${teams.join(', ')}`
}

async function list(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: controlOptions })
  return withClient(values, async (client) => {
    const { body } = await client.call('GET', '/v1/tokens')
    const { items } = readPage(body, readToken)
    if (values.json) io.out(`${asciiJson(body)}\n`)
    else if (items.length === 0) io.out('there is no token: whoever may open the control socket needs none, and `sallyport tokens create` makes one for others\n')
    else io.out(table(['ID', 'NAME', 'KIND', 'ROLE', 'TEAMS', 'STATE', 'LAST USED', 'CREATED BY'], items.map((each) => rowOf(each, clock.now()))))
    return 0
  })
}

function rowOf({ id, name, kind, role, teams, revokedMs, expiresMs, lastUsedMs, createdBy }: ShownToken, nowMs: number): string[] {
  const state = revokedMs !== undefined ? 'revoked' : expiresMs <= nowMs ? 'expired' : `${span(expiresMs - nowMs)} left`
  return [id, name, kind, role, teams.length === 0 ? 'all' : teams.join(','), state, lastUsedMs === undefined ? 'never' : `${span(nowMs - lastUsedMs)} ago`, createdBy]
}

async function revoke(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: controlOptions, allowPositionals: true })
  const id = onePositional(positionals, 'the id of a token')
  return withClient(values, async (client) => {
    const { body } = await client.call('POST', `/v1/tokens/${encodeURIComponent(id)}/revoke`, { body: {} })
    const token = readToken(body)
    io.out(values.json ? `${asciiJson(body)}\n` : `${escapeText(`token ${token.id} of ${token.name} is revoked`)}\n`)
    return 0
  })
}
