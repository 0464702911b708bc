// `sallyport cache ls`, `show`, `rm` and `stats`: what is in the web cache, and taking things out of it.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { asciiJson } from './ascii-json.ts'
import { listAll, readEntry, readerText, type EntryFilter, type ShownEntry } from './cache-wire.ts'
import { cellWidth, fitMiddle, pad, table } from './cells.ts'
import type { ControlClient } from './control-client.ts'
import type { ControlContext } from './control-command.ts'
import { onePositional } from './control-command.ts'
import { ControlFault } from './control-fault.ts'
import { controlOptions } from './control-options.ts'
import { readCount } from './journal-place.ts'
import { Members } from './members.ts'
import { type CommandIo, UsageError } from './run.ts'
import { bar, sizeText } from './size-words.ts'
import { point, span } from './time-words.ts'

const filterOptions = { ...controlOptions, team: { type: 'string' }, partition: { type: 'string' }, source: { type: 'string' } } as const
const listOptions = { ...filterOptions, count: { type: 'string', short: 'n', default: '100' } } as const
const showOptions = { ...controlOptions, content: { type: 'boolean', default: false } } as const
const removeOptions = { ...filterOptions, yes: { type: 'boolean', short: 'y', default: false } } as const

/** removed without a question */
const fewEntries = 10
const countedEntries = 10_000

interface FilterValues {
  readonly team?: string | undefined
  readonly partition?: string | undefined
  readonly source?: string | undefined
}

function filterOf({ team, partition, source }: FilterValues): EntryFilter {
  if (team !== undefined && partition !== undefined) throw new UsageError('give --team or --partition, not both')
  return { source, partition: team === undefined ? partition : `team:${team}` }
}

export async function ls(argv: readonly string[], { io, clock, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: listOptions, allowPositionals: true })
  const most = readCount('-n', values.count)
  const filter = filterOf(values)
  const filters = positionals.length === 0 ? [filter] : positionals.map((match) => ({ ...filter, match }))
  return withClient(values, async (client) => {
    const { items, hasMore } = await listAll(client, filters, most)
    if (values.json) io.out(`${asciiJson({ items: items.map(({ json }) => json), more: hasMore })}\n`)
    else if (items.length === 0) io.out(positionals.length === 0 ? 'there is nothing in the cache: `sallyport cache add URL` fetches a page\n' : 'nothing in the cache is like that\n')
    else io.out(entryTable(items, clock.now(), terminal.isInteractive ? (terminal.columns ?? 80) : undefined))
    if (hasMore && !values.json) io.err(`there are more: -n ${most * 10} shows them\n`)
    return 0
  })
}

/** `width`: of the terminal; undefined: URLs are whole. */
function entryTable(entries: readonly ShownEntry[], nowMs: number, width: number | undefined): string {
  const heading = ['ID', 'AGE', 'SIZE', 'SOURCE', 'READ BY', 'PIN']
  const rows = entries.map(({ id, storedMs, capturedMs, bytes, source, partition, isPinned }) =>
    [String(id), span(nowMs - (capturedMs ?? storedMs)), sizeText(bytes), source, readerText(partition), isPinned ? 'yes' : ''].map((cell) => escapeText(cell, 60)))
  const widths = heading.map((_, column) => Math.max(...[heading, ...rows].map((row) => cellWidth(row[column] ?? ''))))
  const line = (row: readonly string[], url: string): string => {
    const start = row.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  ')
    return `${start}  ${width === undefined ? url : fitMiddle(url, Math.max(24, width - cellWidth(start) - 2))}\n`
  }
  return line(heading, 'URL') + rows.map((row, at) => line(row, urlText(entries[at]))).join('')
}

function urlText(entry: ShownEntry | undefined): string {
  if (entry === undefined) return ''
  const url = escapeText(entry.url, 10_000)
  return entry.status === 200 ? url : `${url} (${entry.status})`
}

export async function show(argv: readonly string[], { io, clock, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: showOptions, allowPositionals: true })
  const asked = onePositional(positionals, 'an id or a URL')
  if (values.content && values.json) throw new UsageError('give --content or --json, not both')
  return withClient(values, async (client) => {
    const id = await findEntry(client, asked)
    if (values.content) return content(client, id, terminal.isInteractive, io)
    const { body } = await client.call('GET', `/v1/cache/entries/${id}`)
    io.out(values.json ? `${asciiJson(body)}\n` : detailText(body, clock.now()))
    return 0
  })
}

async function findEntry(client: ControlClient, asked: string): Promise<number> {
  if (isId(asked)) return Number(asked)
  const { items } = await listAll(client, [{ match: asked }], 100)
  const same = items.filter(({ url }) => url === asked)
  const found = same.length > 0 ? same : items
  const [first] = found
  if (first === undefined) throw new ControlFault('not_found', `${escapeText(asked)} is not in the cache: \`sallyport cache ls\` lists what is`)
  if (found.length === 1) return first.id
  const lines = found.slice(0, 10).map(({ id, url, partition }) => `  ${id}  ${escapeText(url, 200)}  for ${escapeText(readerText(partition), 60)}`)
  throw new ControlFault('ambiguous', `${escapeText(asked)} is ${found.length} entries; name one by its id:\n${lines.join('\n')}`)
}

function detailText(body: unknown, nowMs: number): string {
  const entry = readEntry(body)
  const detail = new Members(body, 'entry')
  const { id, url, status, partition, bytes, contentType, digest, source, by, isPinned, storedMs, capturedMs } = entry
  const rows = [
    ['url', url],
    ['status', `${status} ${detail.text('reason')}`.trimEnd()],
    ['content', `${sizeText(bytes)}${contentType === undefined ? '' : `, ${contentType}`}`],
    ['sha-256', digest],
    ['read by', readerText(partition)],
    ['source', `${source} by ${by}`],
    ['stored', `${point(storedMs)}, ${span(nowMs - storedMs)} ago`],
    ...(capturedMs === undefined ? [] : [['captured', `${point(capturedMs)}, ${span(nowMs - capturedMs)} ago`]]),
    ['pinned', isPinned ? 'yes: it is never evicted' : 'no'],
    ...detail.objects('vary').map((each) => ['asked with', `${each.text('name')}: ${each.optionalText('value') ?? '(none)'}`]),
    ...detail.objects('fields').map((each, at) => [at === 0 ? 'fields' : '', `${each.text('name')}: ${each.text('value')}`]),
  ]
  return `entry ${id}\n${rows.map(([label = '', text = '']) => `  ${label.padEnd(10)}  ${escapeText(text, 10_000)}\n`).join('')}`
}

async function content(client: ControlClient, id: number, isTerminal: boolean, io: CommandIo): Promise<number> {
  const decoder = new TextDecoder()
  const shown = (text: string): void => io.out(text.split(/(?<=\n)/).map((line) => escapeText(line.replace(/\r?\n$/, ''), 1_000_000) + (line.endsWith('\n') ? '\n' : '')).join(''))
  for await (const chunk of client.bytes(`/v1/cache/entries/${id}/content`, io.signal)) {
    // what a page holds must not drive a terminal
    if (isTerminal || io.bytes === undefined) shown(decoder.decode(chunk, { stream: true }))
    else io.bytes(chunk)
  }
  return 0
}

export async function rm(argv: readonly string[], { io, terminal, withClient }: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: removeOptions, allowPositionals: true })
  const filter = filterOf(values)
  if (positionals.length === 0 && filter.partition === undefined && filter.source === undefined) throw new UsageError('say what to remove: an id, a URL or a glob; `**` is everything')
  const filters = positionals.length === 0 ? [filter] : positionals.filter((each) => !isId(each)).map((match) => ({ ...filter, match }))
  return withClient(values, async (client) => {
    const { items, hasMore } = await listAll(client, filters, countedEntries)
    const { ids, globs } = meantBy(filters, items, positionals)
    const few = new Set([...ids, ...items.filter(() => globs.length > 0).map(({ id }) => id)]).size
    if (few === 0) throw new ControlFault('not_found', 'nothing in the cache is like that')
    if (few > fewEntries && !values.yes && !(await agrees(`${hasMore ? 'more than ' : ''}${few}`, { io, terminal }))) return 1
    let removed = 0
    for (const id of ids) {
      await client.call('POST', `/v1/cache/entries/${id}/remove`, { body: {} })
      removed += 1
    }
    for (const each of globs) removed += await removeAll(client, each)
    io.out(values.json ? `${asciiJson({ removed })}\n` : `${removed} ${removed === 1 ? 'entry' : 'entries'} removed\n`)
    return 0
  })
}

function isId(text: string): boolean {
  return /^[1-9]\d{0,14}$/.test(text)
}

/** What is a URL as it stands means that URL and no other, whatever it would match as a glob. */
function meantBy(filters: readonly EntryFilter[], items: readonly ShownEntry[], positionals: readonly string[]): { readonly ids: ReadonlySet<number>; readonly globs: readonly EntryFilter[] } {
  const ids = new Set(positionals.filter(isId).map(Number))
  const globs: EntryFilter[] = []
  for (const filter of filters) {
    const same = items.filter(({ url }) => url === filter.match)
    for (const { id } of same) ids.add(id)
    if (same.length === 0) globs.push(filter)
  }
  return { ids, globs }
}

async function agrees(count: string, { io, terminal }: Pick<ControlContext, 'io' | 'terminal'>): Promise<boolean> {
  if (!terminal.isInteractive) {
    io.err(`sallyport cache rm: ${count} entries are like that: --yes removes them\n`)
    return false
  }
  const answer = await terminal.ask(`remove ${count} entries? [y/N] `, io.signal)
  if (/^y(?:es)?$/i.test(answer.trim())) return true
  io.err('nothing was removed\n')
  return false
}

async function removeAll(client: ControlClient, filter: EntryFilter): Promise<number> {
  for (let removed = 0; ; ) {
    const { body } = await client.call('POST', '/v1/cache/remove', { body: filter, waitSeconds: 60 })
    const answer = new Members(body, 'answer')
    removed += answer.number('removed')
    if (!answer.flag('more')) return removed
  }
}

export async function stats(argv: readonly string[], { io, withClient }: ControlContext): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: controlOptions })
  return withClient(values, async (client) => {
    const { body } = await client.call('GET', '/v1/cache/stats', { waitSeconds: 60 })
    io.out(values.json ? `${asciiJson(body)}\n` : statsText(new Members(body, 'answer')))
    return 0
  })
}

function statsText(answer: Members): string {
  const used = answer.number('body_bytes')
  const most = answer.number('max_bytes')
  const entries = answer.number('entries')
  const lines = [
    `${bar(used, most, 30)} ${sizeText(used)} of ${sizeText(most)} (${most === 0 ? 0 : Math.round((used / most) * 100)} %)`,
    `${entries} ${entries === 1 ? 'entry' : 'entries'}, ${answer.number('pinned')} pinned; since the proxy started ${answer.number('evicted')} evicted, ${answer.number('corrupt')} damaged`,
  ]
  const rows = answer.objects('groups').map((each) => [each.text('source'), readerText(each.text('partition')), String(each.number('entries')), sizeText(each.number('bytes'))])
  // copies of live traffic, and what the caller may not read
  const others = entries - answer.objects('groups').reduce((sum, each) => sum + each.number('entries'), 0)
  if (others > 0 && !answer.flag('groups_partial')) rows.push(['others', '-', String(others), '-'])
  if (rows.length === 0) return `${lines.join('\n')}\n`
  return `${lines.join('\n')}\n\n${table(['SOURCE', 'READ BY', 'ENTRIES', 'SIZE'], rows)}${answer.flag('groups_partial') ? 'the newest entries alone were counted\n' : ''}`
}
