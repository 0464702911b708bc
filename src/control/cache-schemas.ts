// What the routes of the web cache take and give, beside the entries themselves. Data only.
import { cacheSources } from '../cache/cached-response.ts'
import { boolean, describe, instant, integer, label, limit, list, named, object, oneOf, orNull, string, urlText, type Schema } from './schemas.ts'

const partition: Schema = describe({ type: 'string', pattern: '^(?:common|teamless|team:[^\\p{C}]{1,100})$' }, '`common`, `teamless` or `team:NAME`')
const match: Schema = describe({ type: 'string', minLength: 1, maxLength: 512 }, 'A glob over the whole URL; without `://` it begins with the host, and without `/` it is all of the host')
const team: Schema = describe(label, 'Only this team reads it; default: everybody')
const pinned: Schema = describe(boolean, 'Never evicted')
const path: Schema = describe({ type: 'string', minLength: 2, maxLength: 4096, pattern: '^/[^\\u0000]*$' }, 'Absolute, on the machine of the proxy')
const filter = { match, source: oneOf(cacheSources), partition }

export const entriesQuery = object({}, {
  ...filter,
  limit: describe(limit, '1 to 500; default 100'),
  cursor: describe({ type: 'string', pattern: '^[1-9][0-9]{0,14}$' }, '`next_cursor` of the page before'),
})
export const entriesAnswer = object({
  items: list(named.CacheEntry),
  next_cursor: describe(orNull(string), 'A page may be short, or empty, and have a next one: then there is more to look through'),
})
export const fetchBody = object({ url: urlText }, { team, pinned })
export const fetchAnswer = object({ kept: list(named.CacheEntry), fault: orNull(object({ url: string, code: string, reason: string })) })
export const removeBody = object({}, { ...filter, all: describe(boolean, 'Without any filter: everything') })
export const removeAnswer = object({ removed: integer, more: describe(boolean, 'There are more: call again') })
export const statsAnswer = object({
  entries: describe(integer, 'Copies of live traffic included'), pinned: integer,
  body_bytes: describe(integer, 'Of all bodies on disk; equal bodies count once'),
  max_bytes: integer,
  evicted: describe(integer, 'Since the proxy started'), corrupt: describe(integer, 'Bodies whose digest was wrong when they were read, since the proxy started'),
  groups: describe(list(object({ source: oneOf(cacheSources), partition: string, entries: integer, bytes: integer })), 'What the caller may read; equal bodies count each time'),
  groups_partial: describe(boolean, 'The newest entries alone were counted'),
  at: instant,
})
export const importBody = object({ path }, {
  domains: describe({ type: 'array', items: { type: 'string', minLength: 1, maxLength: 300 }, minItems: 1, maxItems: 1000 }, 'Host patterns as policy writes them: nothing else is imported'),
  team, partition, pinned,
  dry_run: describe(boolean, 'Say what would be kept, and keep nothing'),
})
export const exportBody = object({ path: describe(path, 'Absolute, on the machine of the proxy, and ends in `.warc.gz`') }, {
  ...filter, team, force: describe(boolean, 'Replace a file that is there'),
})
export const warmBody = object({}, {
  urls: describe({ type: 'array', items: urlText, minItems: 1, maxItems: 10_000 }, 'Pages'),
  sitemaps: describe({ type: 'array', items: urlText, minItems: 1, maxItems: 100 }, 'Sitemaps, or indexes of them'),
  team, pinned,
  depth: describe({ type: 'integer', minimum: 0, maximum: 10 }, 'How many links are followed from a page that was named; default 0'),
  limit: describe({ type: 'integer', minimum: 1, maximum: 50_000 }, 'Pages at most; default 1000'),
  per_second: describe({ type: 'number', exclusiveMinimum: 0, maximum: 100 }, 'Requests to one host in a second; default 2'),
  other_origins: describe(boolean, 'Also what sitemaps and redirects name on origins that were not named'),
  ignore_robots: describe(boolean, 'Also what robots.txt asks not to crawl; on record in the event of this call'),
})
