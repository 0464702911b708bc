// The web cache as people see it: what is in it, and taking things out of it. Content leaves as a file to be saved, never as
// a page that a browser would show. Agents read the cache on the proxy listener and never come here.
import { setImmediate as turn } from 'node:timers/promises'
import type { Actor } from '../approvals/actor.ts'
import type { CachedResponse, CacheSource } from '../cache/cached-response.ts'
import { entryById, entryGroups, entryPage, type EntryFilter } from '../cache/entry-pages.ts'
import { GlobFault, UrlGlob } from '../cache/url-glob.ts'
import { commonPartition, partitionOf } from '../cache/web-cache.ts'
import { Readable } from 'node:stream'
import { entriesAnswer, entriesQuery, fetchAnswer, fetchBody, removeAnswer, removeBody, statsAnswer } from './cache-schemas.ts'
import type { ControlContext } from './context.ts'
import type { ControlDeps } from './deps.ts'
import { may } from './permissions.ts'
import { ControlFault } from './problem.ts'
import type { Answer, Call, Route } from './route.ts'
import { emptyBody, string } from './schemas.ts'
import { cacheEntryDetailJson, cacheEntryJson, time } from './wire.ts'

interface FetchBody {
  readonly url: string
  readonly team?: string
  readonly pinned?: boolean
}

/** Which entries are meant, as a query or a body says it. */
export interface AskedEntries {
  readonly match?: string
  readonly source?: CacheSource
  readonly partition?: string
}

interface EntriesQuery extends AskedEntries {
  readonly limit?: string
  readonly cursor?: string
}

interface RemoveBody extends AskedEntries {
  readonly all?: boolean
}

export type OpenedCache = NonNullable<ControlDeps['cache']>

const removedAtOnce = 1000
const removedInTurn = 32
const maxId = Number.MAX_SAFE_INTEGER - 1

export function cacheRoutes({ deps }: ControlContext): readonly Route[] {
  return [...entryRoutes(deps), ...changeRoutes(deps)]
}

function entryRoutes(deps: ControlDeps): readonly Route[] {
  const listRoute: Route<unknown, EntriesQuery> = {
    method: 'GET',
    path: '/v1/cache/entries',
    name: 'listCacheEntries',
    summary: 'What is in the web cache, newest first: of the teams that the caller may see.',
    needs: ['read'],
    query: entriesQuery,
    answers: { 200: entriesAnswer },
    faults: ['cache_unavailable'],
    handle: ({ query, actor }) => told('/match', async () => {
      const { limit = '100', cursor } = query
      const { items, next } = await entryPage(cacheOf(deps).store, filterOf(query, actor), Number(limit), cursor === undefined ? undefined : Number(cursor))
      return { body: { items: items.map(cacheEntryJson), next_cursor: next === undefined ? null : String(next) } }
    }),
  }
  const getRoute: Route = {
    method: 'GET',
    path: '/v1/cache/entries/{id}',
    name: 'getCacheEntry',
    summary: 'One entry with its fields.',
    needs: ['read'],
    answers: { 200: 'CacheEntryDetail' },
    faults: ['not_found', 'cache_unavailable'],
    handle: async (call) => ({ body: cacheEntryDetailJson(entryOf(deps, call)) }),
  }
  const contentRoute: Route = {
    method: 'GET',
    path: '/v1/cache/entries/{id}/content',
    name: 'getCacheEntryContent',
    summary: 'Its content as bytes to be saved, whatever its type; without content coding, its digest checked.',
    needs: ['read'],
    isBytes: true,
    answers: { 200: string },
    faults: ['not_found', 'cache_unavailable'],
    handle: (call) => contentOf(deps, call),
  }
  const statsRoute: Route = {
    method: 'GET',
    path: '/v1/cache/stats',
    name: 'getCacheStats',
    summary: 'How full the cache is, and of what.',
    needs: ['read'],
    answers: { 200: statsAnswer },
    faults: ['cache_unavailable'],
    handle: async ({ actor }) => {
      const { store } = cacheOf(deps)
      const { groups, isPartial } = await entryGroups(store, (entry) => maySee(entry, actor))
      const { entries, pinned, bodyBytes, maxBytes, evicted, corrupt } = store.stats()
      return { body: { entries, pinned, body_bytes: bodyBytes, max_bytes: maxBytes, evicted, corrupt, groups, groups_partial: isPartial, at: time(deps.clock.now()) } }
    },
  }
  return [listRoute, getRoute, contentRoute, statsRoute]
}

function changeRoutes(deps: ControlDeps): readonly Route[] {
  const fetchRoute: Route<FetchBody> = {
    method: 'POST',
    path: '/v1/cache/fetch',
    name: 'fetchIntoCache',
    summary: 'Fetch a page and what its redirects lead to into the web cache, as an exchange of its own that policy decides. Agents read it from then on.',
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: fetchBody,
    answers: { 200: fetchAnswer },
    faults: ['cache_unavailable'],
    handle: async ({ body: { url, team, pinned = false }, actor }) => {
      const partition = team === undefined ? commonPartition : partitionOf(team)
      const { kept, fault } = await cacheOf(deps).filler.fetch({ url, partition, source: 'added', by: actor.name, team, pinned, approvalId: undefined })
      return { body: { kept: kept.map(cacheEntryJson), fault: fault ?? null } }
    },
  }
  const removeManyRoute: Route<RemoveBody> = {
    method: 'POST',
    path: '/v1/cache/remove',
    name: 'removeCacheEntries',
    summary: `Remove what matches, pinned ones included: at most ${removedAtOnce} entries a call.`,
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: removeBody,
    answers: { 200: removeAnswer },
    faults: ['cache_unavailable'],
    handle: (call) => told('/match', () => removeMany(deps, call)),
  }
  return [fetchRoute, removeManyRoute, change(deps, 'remove'), change(deps, 'pin'), change(deps, 'unpin')]
}

const changeTexts = {
  remove: { name: 'removeCacheEntry', summary: 'Remove an entry: agents no longer read it.' },
  pin: { name: 'pinCacheEntry', summary: 'Pin an entry: it is never evicted.' },
  unpin: { name: 'unpinCacheEntry', summary: 'Unpin an entry: it is evicted when room is needed.' },
} as const

/** Answers with the entry as it is then, or was last. */
function change(deps: ControlDeps, what: keyof typeof changeTexts): Route {
  return {
    method: 'POST',
    path: `/v1/cache/entries/{id}/${what}`,
    ...changeTexts[what],
    needs: ['administer'],
    headers: ['Idempotency-Key'],
    body: emptyBody,
    answers: { 200: 'CacheEntry' },
    faults: ['not_found', 'cache_unavailable'],
    handle: async (call) => {
      const { store } = cacheOf(deps)
      const entry = entryOf(deps, call)
      const isDone = what === 'remove' ? store.remove(entry.id) : store.setPinned(entry.id, what === 'pin')
      if (!isDone) throw noEntry()
      return { body: cacheEntryJson(what === 'remove' ? entry : { ...entry, pinned: what === 'pin' }) }
    },
  }
}

async function removeMany(deps: ControlDeps, { request, body, actor }: Call<RemoveBody>): Promise<Answer> {
  const { store } = cacheOf(deps)
  const { match, source, partition, all = false } = body
  const isFiltered = match !== undefined || source !== undefined || partition !== undefined
  if (isFiltered === all) throw new ControlFault('invalid', all ? 'say a filter or `all`, not both' : 'say which entries: `match`, `source` or `partition`, or `all`')
  request.detail = all ? 'all' : [match, source, partition].filter((part) => part !== undefined).join(' ')
  const filter = filterOf(body, actor)
  let removed = 0
  let next: number | undefined
  do {
    const page = await entryPage(store, filter, removedInTurn, next)
    for (const { id } of page.items) if (store.remove(id)) removed += 1
    next = page.next
    await turn()
  } while (next !== undefined && removed < removedAtOnce)
  return { body: { removed, more: next !== undefined } }
}

async function contentOf(deps: ControlDeps, call: Call): Promise<Answer> {
  const entry = entryOf(deps, call)
  const content = await cacheOf(deps).store.read(entry)
  if (content === undefined) throw noEntry()
  return {
    headers: {
      // what a page says of itself is not believed: a browser saves it and shows nothing of it
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="cache-entry-${entry.id}"`,
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
      'content-length': String(entry.bodyBytes),
    },
    body: content instanceof Uint8Array ? Buffer.from(content) : Readable.from(content),
  }
}

export function cacheOf({ cache }: ControlDeps): OpenedCache {
  if (cache === undefined) throw new ControlFault('cache_unavailable', 'process settings say that there is no web cache')
  return cache
}

export function filterOf({ match, source, partition }: AskedEntries, actor: Actor): EntryFilter {
  return { source, partition, glob: match === undefined ? undefined : new UrlGlob(match), mayRead: (entry) => maySee(entry, actor) }
}

/** A glob that cannot be used is the caller's to mend. */
export async function told<T>(pointer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof GlobFault)) throw error
    throw new ControlFault('invalid', 'the glob cannot be used', { errors: [{ pointer, message: error.message }] })
  }
}

function entryOf(deps: ControlDeps, { id, actor }: Call): CachedResponse {
  const { store } = cacheOf(deps)
  const entry = /^[1-9]\d{0,14}$/.test(id) && Number(id) < maxId ? entryById(store, Number(id)) : undefined
  if (entry === undefined || !maySee(entry, actor)) throw noEntry()
  return entry
}

function noEntry(): ControlFault {
  return new ControlFault('not_found', 'there is no such entry in the cache')
}

/** What everybody reads, and of the rest what is of the caller's teams; all without any. */
function maySee({ key: { partition } }: CachedResponse, actor: Actor): boolean {
  if (partition === commonPartition || may(actor, 'administer') || actor.teams.length === 0) return true
  return actor.teams.some((team) => partitionOf(team) === partition)
}
