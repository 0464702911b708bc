// `sallyport cache import` and `export`: WARC archives into the web cache and out of it. The proxy reads and writes the file,
// by the path that is named here.
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { fitMiddle } from './cells.ts'
import type { ControlClient } from './control-client.ts'
import type { ControlContext } from './control-command.ts'
import { onePositional } from './control-command.ts'
import { ControlFault } from './control-fault.ts'
import { controlOptions } from './control-options.ts'
import type { Members } from './members.ts'
import { type CommandIo, UsageError } from './run.ts'
import { bar, sizeText } from './size-words.ts'
import type { Terminal } from './terminal.ts'

const importOptions = {
  ...controlOptions,
  domains: { type: 'string', multiple: true },
  team: { type: 'string' },
  partition: { type: 'string' },
  pin: { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
} as const

const exportOptions = {
  ...controlOptions,
  team: { type: 'string' },
  partition: { type: 'string' },
  source: { type: 'string' },
  force: { type: 'boolean', default: false },
} as const

export async function importArchive(argv: readonly string[], { io, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: importOptions, allowPositionals: true })
  const path = resolve(io.cwd, onePositional(positionals, 'a file'))
  if (values.team !== undefined && values.partition !== undefined) throw new UsageError('give --team or --partition, not both')
  const domains = values.domains?.flatMap((list) => list.split(/[\s,]+/)).filter((each) => each !== '')
  const { team, partition } = values
  const body = { path, domains, team, partition, pinned: values.pin, dry_run: values['dry-run'] }
  return withClient(values, async (client) => {
    const job = new ArchiveJob(io, terminal, values.json)
    const done = await job.run(client, '/v1/cache/import', body, (data) => `${bar(data.number('bytes'), data.number('total_bytes'), 24)} ${data.number('records')} records, ${data.number('kept')} kept`)
    if (done === undefined) return 1
    const stopped = done.optionalText('stopped')
    if (!values.json) io.out(importedText(done, values['dry-run']))
    if (stopped !== undefined) io.err(`sallyport cache import: ${escapeText(stopped)}; what was kept before stays\n`)
    return stopped === undefined ? 0 : 1
  })
}

function importedText(done: Members, isDryRun: boolean): string {
  const names = { refused: 'not for the cache', broken: 'broken', older: 'older than what is there', revisits: 'without content of their own', other: 'of other types' } as const
  const left = Object.entries(names).filter(([name]) => done.number(name) > 0).map(([name, text]) => `${done.number(name)} ${text}`)
  const kept = done.number('kept')
  const lines = [`${kept} ${kept === 1 ? 'page' : 'pages'} ${isDryRun ? 'would be ' : ''}kept of ${done.number('records')} records${left.length === 0 ? '' : `; left out: ${left.join(', ')}`}`]
  for (const reason of done.objects('reasons')) lines.push(`  ${String(reason.number('count')).padStart(6)}  ${reason.text('reason')}`)
  return lines.map((line) => `${escapeText(line, 400)}\n`).join('')
}

export async function exportArchive(argv: readonly string[], { io, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals: [file, match, ...extra] } = parseArgs({ args: [...argv], options: exportOptions, allowPositionals: true })
  if (file === undefined) throw new UsageError('a file is needed')
  if (extra.length > 0) throw new UsageError('one glob, please; braces name several: {a,b}.example')
  if (!file.endsWith('.warc.gz')) throw new UsageError(`\`${file}\` does not end in .warc.gz`)
  const { team, partition, source, force } = values
  if (team !== undefined && partition !== undefined) throw new UsageError('give --team or --partition, not both')
  return withClient(values, async (client) => {
    const job = new ArchiveJob(io, terminal, values.json)
    const done = await job.run(client, '/v1/cache/export', { path: resolve(io.cwd, file), match, team, partition, source, force }, (data) => `${data.number('records')} pages, ${sizeText(data.number('bytes'))}`)
    if (done === undefined) return 1
    const lost = done.number('lost')
    if (!values.json) io.out(escapeText(`${done.number('records')} pages in ${done.text('path')}, ${sizeText(done.number('bytes'))}`) + '\n')
    if (lost > 0) io.err(`sallyport cache export: the content of ${lost} entries is gone or damaged; they are left out\n`)
    return lost > 0 ? 1 : 0
  })
}

/** One job of the proxy, followed to its end. */
class ArchiveJob {
  readonly #io: CommandIo
  readonly #terminal: Terminal
  readonly #isJson: boolean

  constructor(io: CommandIo, terminal: Terminal, isJson: boolean) {
    this.#io = io
    this.#terminal = terminal
    this.#isJson = isJson
  }

  /** Resolves to what it says at its end; undefined: it was interrupted here, and that is said. */
  async run(client: ControlClient, path: string, body: object, progressText: (data: Members) => string): Promise<Members | undefined> {
    const { signal = new AbortController().signal } = this.#io
    const hasBar = this.#terminal.isInteractive && !this.#isJson
    let done: Members | undefined
    try {
      for await (const { event, data } of client.events(path, body, signal)) {
        if (this.#isJson) this.#io.out(`${asciiJson({ event, ...data.json })}\n`)
        if (event === 'done') done = data
        if (event === 'failed') throw new ControlFault(data.text('code'), escapeText(data.text('reason')))
        if (event === 'progress' && hasBar) this.#io.err(`\r\x1b[K${fitMiddle(progressText(data), (this.#terminal.columns ?? 80) - 1)}`)
      }
    } catch (error) {
      if (!(error instanceof ControlFault) || error.code !== 'aborted') throw error
      this.#io.err('interrupted\n')
      return undefined
    } finally {
      if (hasBar) this.#io.err('\r\x1b[K')
    }
    if (done === undefined) throw new ControlFault('cut', 'the proxy ended the stream before it was done: is it stopping?')
    return done
  }
}
