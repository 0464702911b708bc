// What the control API says of the web cache, as the commands use it. Times are `ms` since the epoch. All of it is foreign
// text: escape it before it is shown.
import type { ControlClient } from './control-client.ts'
import { readPage } from './control-wire.ts'
import { Members } from './members.ts'

export interface ShownEntry {
  readonly id: number
  readonly url: string
  readonly partition: string
  readonly status: number
  readonly contentType: string | undefined
  readonly bytes: number
  readonly digest: string
  readonly source: string
  readonly by: string
  readonly isPinned: boolean
  readonly storedMs: number
  readonly capturedMs: number | undefined
  /** as it was sent, for `--json` */
  readonly json: object
}

export function readEntry(value: unknown): ShownEntry {
  const from = new Members(value, 'entry')
  return {
    id: from.number('id'),
    url: from.text('url'),
    partition: from.text('partition'),
    status: from.number('status'),
    contentType: from.optionalText('content_type'),
    bytes: from.number('bytes'),
    digest: from.text('digest'),
    source: from.text('source'),
    by: from.text('by'),
    isPinned: from.flag('pinned'),
    storedMs: from.time('stored_at'),
    capturedMs: from.optionalTime('captured_at'),
    json: from.json,
  }
}

/** Who reads it. */
export function readerText(partition: string): string {
  if (partition === 'common') return 'everybody'
  return partition === 'teamless' ? 'who has no team' : partition.replace(/^team:/, 'team ')
}

export interface EntryFilter {
  readonly match?: string | undefined
  readonly source?: string | undefined
  readonly partition?: string | undefined
}

const pageEntries = 500

/** At most `most` entries, newest first, and whether there are more. */
export async function listEntries(client: ControlClient, filter: EntryFilter, most: number): Promise<{ readonly items: readonly ShownEntry[]; readonly hasMore: boolean }> {
  const items: ShownEntry[] = []
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: String(Math.min(pageEntries, most - items.length)) })
    for (const [name, value] of Object.entries({ ...filter, cursor })) if (value !== undefined) query.set(name, value)
    const { body } = await client.call('GET', `/v1/cache/entries?${query.toString()}`)
    const page = readPage(body, readEntry)
    items.push(...page.items)
    cursor = page.next
  } while (cursor !== undefined && items.length < most)
  return { items, hasMore: cursor !== undefined }
}

/** The filters of several words together: each entry once, newest first. */
export async function listAll(client: ControlClient, filters: readonly EntryFilter[], most: number): Promise<{ readonly items: readonly ShownEntry[]; readonly hasMore: boolean }> {
  const byId = new Map<number, ShownEntry>()
  let hasMore = false
  for (const filter of filters) {
    const found = await listEntries(client, filter, most)
    for (const entry of found.items) byId.set(entry.id, entry)
    hasMore ||= found.hasMore
  }
  const items = [...byId.values()].toSorted((one, other) => other.id - one.id)
  return { items: items.slice(0, most), hasMore: hasMore || items.length > most }
}
