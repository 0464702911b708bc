// `sallyport cache`: what agents read where the live web is closed to them, and filling it.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { type ControlContext, type ControlSeams, controlCommand } from './control-command.ts'
import { controlOptions, controlOptionsHelp } from './control-options.ts'
import { Members } from './members.ts'
import { type Command, type RunDeps, UsageError } from './run.ts'

const usage = `usage: sallyport cache add URL... [OPTIONS]

Where web reading is limited to the cache, agents read these pages and no others. add fetches pages and
what their redirects lead to: through the proxy's own policy, without credentials, and on record.

  --team NAME        only this team reads them (default: everybody)
  --pin              never evicted
${controlOptionsHelp}
examples:
  sallyport cache add https://docs.example.com/guide

exit codes: 0 ok, 1 error, 2 wrong command line
`

export function cacheCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  return controlCommand({ name: 'cache', summary: 'see and fill the web cache that agents read from', usage, actions: { add } }, deps, seams)
}

async function add(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: { ...controlOptions, team: { type: 'string' }, pin: { type: 'boolean', default: false } }, allowPositionals: true })
  if (positionals.length === 0) throw new UsageError('say which URL to fetch')
  return withClient(values, async (client) => {
    let failed = 0
    const results: unknown[] = []
    for (const url of positionals) {
      const { body } = await client.call('POST', '/v1/cache/fetch', { body: { url, team: values.team, pinned: values.pin }, waitSeconds: 120 })
      results.push(body)
      const answer = new Members(body, 'answer')
      for (const entry of answer.objects('kept')) {
        if (!values.json) io.out(escapeText(`kept ${entry.text('url')}: ${entry.number('status')}, ${entry.number('bytes')} bytes`) + '\n')
      }
      const fault = answer.optionalObject('fault')
      if (fault === undefined) continue
      failed += 1
      if (!values.json) io.err(`${escapeText(`not kept: ${fault.text('url')}: ${fault.text('reason')} (${fault.text('code')})`)}\n`)
    }
    if (values.json) io.out(`${asciiJson({ items: results })}\n`)
    return failed === 0 ? 0 : 1
  })
}
