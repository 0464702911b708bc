// `sallyport cache warm`: many pages into the web cache, with how it goes on stderr and what came of it at the end. The proxy
// does the work; when this ends, that does.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { fitMiddle } from './cells.ts'
import type { ControlContext } from './control-command.ts'
import { onePositional } from './control-command.ts'
import { ControlFault } from './control-fault.ts'
import { controlOptions } from './control-options.ts'
import { readCount } from './journal-place.ts'
import type { Members } from './members.ts'
import { type CommandIo, UsageError } from './run.ts'
import type { ServerEvent } from './server-events.ts'
import { bar, sizeText } from './size-words.ts'
import type { Terminal } from './terminal.ts'

const options = {
  ...controlOptions,
  sitemap: { type: 'boolean', default: false },
  depth: { type: 'string', default: '0' },
  limit: { type: 'string', default: '1000' },
  rate: { type: 'string', default: '2/s' },
  'other-origins': { type: 'boolean', default: false },
  'ignore-robots': { type: 'boolean', default: false },
  team: { type: 'string' },
  pin: { type: 'boolean', default: false },
} as const

const shownFailures = 50

export async function warm(argv: readonly string[], { io, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
  const what = onePositional(positionals, 'a file or a URL')
  const body = {
    ...sourceOf(what, values.sitemap, io),
    team: values.team,
    pinned: values.pin,
    depth: values.depth === '0' ? 0 : readCount('--depth', values.depth),
    limit: readCount('--limit', values.limit),
    per_second: rateOf(values.rate),
    other_origins: values['other-origins'],
    ignore_robots: values['ignore-robots'],
  }
  return withClient(values, async (client) => {
    const progress = new WarmProgress(io, terminal, values.json)
    try {
      for await (const event of client.events('/v1/cache/warm', body, io.signal ?? new AbortController().signal)) progress.take(event)
    } catch (error) {
      if (!(error instanceof ControlFault) || error.code !== 'aborted') throw error
    }
    return progress.end(io.signal?.aborted === true)
  })
}

/** What the person named: pages, or a sitemap. */
function sourceOf(what: string, isSitemap: boolean, io: CommandIo): { readonly urls?: readonly string[]; readonly sitemaps?: readonly string[] } {
  if (/^https?:\/\//i.test(what)) return isSitemap || /\.xml(?:\.gz)?(?:$|[?#])/i.test(what) ? { sitemaps: [what] } : { urls: [what] }
  if (isSitemap) throw new UsageError('--sitemap goes with a URL')
  const text = readText(what, io)
  if (/^\ufeff?\s*</.test(text)) throw new UsageError(`\`${what}\` is no list with one URL a line; a sitemap is named by its URL`)
  const urls = text.split(/\r\n|\n/).map((line) => line.replace(/(?:^|[\t ])#.*$/, '').trim()).filter((line) => line !== '')
  if (urls.length === 0) throw new UsageError(`\`${what}\` names no URL`)
  return { urls: [...new Set(urls)] }
}

function readText(path: string, { cwd }: CommandIo): string {
  try {
    return readFileSync(path === '-' ? 0 : resolve(cwd, path), 'utf8').replace(/^\ufeff/, '')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new UsageError(`\`${path}\` is no URL, and no file that can be read (${code})`)
  }
}

function rateOf(text: string): number {
  const [, number = ''] = /^(\d+(?:\.\d+)?)(?:\/s)?$/.exec(text) ?? []
  const rate = Number(number)
  if (number === '' || rate <= 0 || rate > 100) throw new UsageError(`\`--rate ${text}\` is not a rate such as 2/s, at most 100/s`)
  return rate
}

interface Missed {
  readonly url: string
  readonly reason: string
}

/** What is shown while it goes on, and at the end. */
class WarmProgress {
  readonly #io: CommandIo
  readonly #terminal: Terminal
  readonly #isJson: boolean
  readonly #missed: Missed[] = []
  readonly #skipped = new Map<string, number>()
  #counts = { kept: 0, missed: 0, bytes: 0, isCut: false }
  #fault: ControlFault | undefined
  #isDone = false
  #hasBar = false

  constructor(io: CommandIo, terminal: Terminal, isJson: boolean) {
    this.#io = io
    this.#terminal = terminal
    this.#isJson = isJson
  }

  take({ event, data }: ServerEvent): void {
    if (this.#isJson) this.#io.out(`${asciiJson({ event, ...data.json })}\n`)
    switch (event) {
      case 'kept':
        this.#counts.kept += 1
        this.#counts.bytes += data.number('bytes')
        return this.#line(`kept ${data.text('url')}: ${data.number('status')}, ${sizeText(data.number('bytes'))}`)
      case 'missed':
        this.#counts.missed += 1
        if (this.#missed.length < shownFailures) this.#missed.push({ url: data.text('url'), reason: data.text('reason') })
        return this.#line(`not kept: ${data.text('url')}: ${data.text('reason')}`)
      case 'skipped':
        this.#skipped.set(data.text('reason'), (this.#skipped.get(data.text('reason')) ?? 0) + 1)
        return
      case 'sitemap':
        return this.#line(`sitemap ${data.text('url')}: ${data.number('pages')} pages, ${data.number('sitemaps')} sitemaps`)
      case 'progress':
        return this.#draw(data)
      case 'done':
        this.#isDone = true
        this.#counts.isCut = data.flag('cut')
        return
      case 'failed':
        this.#fault = new ControlFault(data.text('code'), escapeText(data.text('reason')))
        return
      default:
        // a later version may say more
    }
  }

  /** The summary; resolves to the exit code. */
  end(isInterrupted: boolean): number {
    this.#clear()
    if (this.#fault !== undefined) throw this.#fault
    if (!this.#isDone && !isInterrupted) throw new ControlFault('cut', 'the proxy ended the stream before it was done: is it stopping? what was fetched stays')
    const { kept, missed, bytes, isCut } = this.#counts
    if (!this.#isJson) {
      for (const { url, reason } of this.#missed) this.#io.err(`${escapeText(`not kept: ${url}: ${reason}`)}\n`)
      if (missed > this.#missed.length) this.#io.err(`and ${missed - this.#missed.length} more\n`)
      for (const [reason, count] of this.#skipped) this.#io.err(`${escapeText(`left out ${count}: ${reason}`)}\n`)
      const tail = `${isCut ? '; there is more: --limit fetches it' : ''}${isInterrupted ? '; interrupted' : ''}`
      this.#io.out(`${kept} ${kept === 1 ? 'page' : 'pages'} kept, ${missed} not, ${sizeText(bytes)}${tail}\n`)
    }
    return missed > 0 || isInterrupted ? 1 : 0
  }

  /** Where there is a bar, it says how it goes. */
  #line(text: string): void {
    if (!this.#isJson && !this.#terminal.isInteractive) this.#io.err(`${escapeText(text, 400)}\n`)
  }

  #draw(data: Members): void {
    if (this.#isJson || !this.#terminal.isInteractive) return
    const visited = data.number('visited')
    const known = visited + data.number('waiting')
    this.#hasBar = true
    this.#io.err(`\r\x1b[K${fitMiddle(`${bar(visited, known, 24)} ${visited} of ${known} pages, ${this.#counts.missed} not kept, ${sizeText(this.#counts.bytes)}`, (this.#terminal.columns ?? 80) - 1)}`)
  }

  #clear(): void {
    if (this.#hasBar) this.#io.err('\r\x1b[K')
    this.#hasBar = false
  }
}
