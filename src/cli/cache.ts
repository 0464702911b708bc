// `sallyport cache`: what agents read where the live web is closed to them, and filling it.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { exportArchive, importArchive } from './cache-archive.ts'
import { ls, rm, show, stats } from './cache-entries.ts'
import { cacheUsage, cacheUsages } from './cache-usage.ts'
import { warm } from './cache-warm.ts'
import { type ControlContext, type ControlSeams, controlCommand } from './control-command.ts'
import { controlOptions } from './control-options.ts'
import { Members } from './members.ts'
import { type Command, type RunDeps, UsageError } from './run.ts'

export function cacheCommand(deps: Pick<RunDeps, 'env'>, seams: ControlSeams = {}): Command {
  const actions = { add, warm, import: importArchive, export: exportArchive, ls, show, rm, stats }
  return controlCommand({ name: 'cache', summary: 'see and fill the web cache that agents read from', usage: cacheUsage, usages: cacheUsages, actions }, deps, seams)
}

async function add(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: { ...controlOptions, team: { type: 'string' }, pin: { type: 'boolean', default: false } }, allowPositionals: true })
  if (positionals.length === 0) throw new UsageError('say which URL to fetch')
  const odd = positionals.find((each) => !/^https?:\/\//i.test(each))
  if (odd !== undefined) throw new UsageError(`\`${odd}\` is not a whole URL: write http:// or https:// before the host`)
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
