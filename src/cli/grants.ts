// `sallyport grants`: what approvals have opened or closed, and taking one back.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { uriHost } from '../target/host.ts'
import { asciiJson } from './ascii-json.ts'
import { table } from './cells.ts'
import { type ControlContext, type ControlSeams, controlCommand, onePositional } from './control-command.ts'
import { controlOptions, controlOptionsHelp } from './control-options.ts'
import { readGrant, readPage, type ShownGrant } from './control-wire.ts'
import type { Command, RunDeps } from './run.ts'
import { findById } from './question-finder.ts'
import { span } from './time-words.ts'

const usage = `usage: sallyport grants list [OPTIONS]
       sallyport grants revoke ID [OPTIONS]

A grant is what an answered question opened, or keeps closed: for whom, where and until when. revoke
takes it back: what it opened is closed within seconds, and the next request asks again. ID may be the
beginning of an id, when no other grant begins so.

${controlOptionsHelp}
examples:
  sallyport grants list
  sallyport grants revoke 01JABCDEF
  sallyport grants list --json | jq '.items[] | select(.term == "always")'

exit codes: 0 ok, 1 error, 2 wrong command line
`

export function grantsCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  return controlCommand({ name: 'grants', summary: 'list and revoke what approvals opened', usage, actions: { list, revoke } }, deps, seams)
}

async function list(argv: readonly string[], { io, clock, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: controlOptions })
  return withClient(values, async (client) => {
    const { body } = await client.call('GET', '/v1/grants')
    const { items } = readPage(body, readGrant)
    if (values.json) io.out(`${asciiJson(body)}\n`)
    else if (items.length === 0) io.out('there is no grant in force\n')
    else io.out(table(['ID', 'VERDICT', 'WHERE', 'FOR', 'TERM', 'ENDS', 'BY'], items.map((each) => rowOf(each, clock.now()))))
    return 0
  })
}

function rowOf(grant: ShownGrant, nowMs: number): string[] {
  const { id, verdict, who, holder, term, expiresMs, by } = grant
  return [id, verdict, whereOf(grant), `${who} ${holder}`, term, expiresMs === undefined ? 'with the session' : expiresMs <= nowMs ? 'now' : `in ${span(expiresMs - nowMs)}`, by]
}

/** `lib.test:443`, `lib.test and below, all ports`, `one request to lib.test:443` */
function whereOf({ host, port, subdomains, isOneRequest, isLiveReading }: ShownGrant): string {
  const name = uriHost(host)
  const place = subdomains ? `${name} and below${port === undefined ? '' : `, port ${port}`}` : `${name}${port === undefined ? '' : `:${port}`}`
  return `${isOneRequest ? 'one request to ' : isLiveReading ? 'reading live ' : ''}${place}${port === undefined ? ', all ports' : ''}`
}

async function revoke(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: controlOptions, allowPositionals: true })
  const asked = onePositional(positionals, 'the id of a grant')
  return withClient(values, async (client) => {
    const { items } = readPage((await client.call('GET', '/v1/grants')).body, readGrant)
    const { id } = findById(items, asked, 'grant', whereOf)
    const { body } = await client.call('POST', `/v1/grants/${encodeURIComponent(id)}/revoke`, { body: {} })
    const grant = readGrant(body)
    io.out(values.json ? `${asciiJson(body)}\n` : `${escapeText(`grant ${grant.id} is revoked: ${whereOf(grant)} for ${grant.who} ${grant.holder}`)}\n`)
    return 0
  })
}
