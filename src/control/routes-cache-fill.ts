// Filling the web cache with many pages, and taking it elsewhere: jobs that say how they go as server-sent events, and end
// when their caller leaves. Files are named by whoever is on the machine of the proxy already, by its socket and no other way.
import { ArchiveFileFault } from '../cache/archives.ts'
import type { WarmEvent } from '../cache/warmer.ts'
import { commonPartition, partitionOf } from '../cache/web-cache.ts'
import { ProxyError } from '../errors.ts'
import { parseHostPattern, type HostPattern } from '../policy/pattern.ts'
import { exportBody, importBody, warmBody } from './cache-schemas.ts'
import type { ControlContext } from './context.ts'
import { ControlFault } from './problem.ts'
import type { Call, Route } from './route.ts'
import { cacheOf, filterOf, told, type AskedEntries } from './routes-cache.ts'
import { string } from './schemas.ts'
import { cacheEntryJson } from './wire.ts'

interface ImportBody {
  readonly path: string
  readonly domains?: readonly string[]
  readonly team?: string
  readonly partition?: string
  readonly pinned?: boolean
  readonly dry_run?: boolean
}

interface ExportBody extends AskedEntries {
  readonly path: string
  readonly team?: string
  readonly force?: boolean
}

interface WarmBody {
  readonly urls?: readonly string[]
  readonly sitemaps?: readonly string[]
  readonly team?: string
  readonly pinned?: boolean
  readonly depth?: number
  readonly limit?: number
  readonly per_second?: number
  readonly other_origins?: boolean
  readonly ignore_robots?: boolean
}

type Tell = (event: string, data: object) => Promise<void>

/** a list of ten thousand URLs */
const warmBytes = 2 * 1024 * 1024

export function cacheFillRoutes(context: ControlContext): readonly Route[] {
  const importRoute: Route<ImportBody> = {
    method: 'POST',
    path: '/v1/cache/import',
    name: 'importIntoCache',
    summary: 'Import a WARC archive of the proxy\'s machine: what policy lets agents read from the cache, and no other page. On the unix socket only. Events: `progress`, then `done` or `failed`.',
    needs: ['administer'],
    isStream: true,
    body: importBody,
    answers: { 200: string },
    faults: ['cache_unavailable'],
    handle: (call) => importArchive(call, context),
  }
  const exportRoute: Route<ExportBody> = {
    method: 'POST',
    path: '/v1/cache/export',
    name: 'exportCache',
    summary: 'Export entries as a WARC archive on the proxy\'s machine. On the unix socket only. Events: `progress`, then `done` or `failed`.',
    needs: ['administer'],
    isStream: true,
    body: exportBody,
    answers: { 200: string },
    faults: ['cache_unavailable'],
    handle: (call) => exportArchive(call, context),
  }
  const warmRoute: Route<WarmBody> = {
    method: 'POST',
    path: '/v1/cache/warm',
    name: 'warmCache',
    summary: 'Fetch many pages into the web cache: a list, what sitemaps name, and what those pages link to on their own site. It ends when the caller leaves. Events: `kept`, `missed` (not kept, and why), `skipped`, `sitemap` and `progress`, then `done` or `failed`.',
    needs: ['administer'],
    isStream: true,
    body: warmBody,
    bodyBytes: warmBytes,
    answers: { 200: string },
    faults: ['cache_unavailable'],
    handle: (call) => warm(call, context),
  }
  return [importRoute, exportRoute, warmRoute]
}

async function importArchive(call: Call<ImportBody>, context: ControlContext): Promise<undefined> {
  const { archives } = cacheOf(context.deps)
  const { path, domains, pinned = false, dry_run: isDryRun = false } = call.body
  const order = { partition: partitionFor(call.body), team: teamOf(call.body), by: call.actor.name, pinned, isDryRun, domains: domains?.map(domainOf) }
  localOnly(call)
  call.request.detail = `${isDryRun ? 'dry run of ' : ''}${path}`
  const archive = await onFile(() => archives.open(path))
  return streamed(call, context, async (tell, signal) => {
    const { stopped = null, ...done } = await archives.import(archive, order, signal, ({ records, bytes, kept }) => tell('progress', { records, bytes, total_bytes: archive.bytes, kept }))
    return { ...done, total_bytes: archive.bytes, dry_run: isDryRun, stopped }
  }, () => archive.handle.close())
}

async function exportArchive(call: Call<ExportBody>, context: ControlContext): Promise<undefined> {
  const { archives } = cacheOf(context.deps)
  const { path, team, force = false, partition = team === undefined ? commonPartition : partitionOf(team), ...asked } = call.body
  localOnly(call)
  const filter = await told('/match', async () => filterOf({ ...asked, ...(partition === undefined ? {} : { partition }) }, call.actor))
  call.request.detail = path
  await onFile(() => archives.checkTarget(path, force))
  return streamed(call, context, async (tell, signal) => {
    const { isInterrupted, ...counts } = await archives.export(path, filter, force, signal, ({ records, bytes, lost }) => tell('progress', { records, bytes, lost }))
    return { path, ...counts, interrupted: isInterrupted }
  })
}

function warm(call: Call<WarmBody>, context: ControlContext): Promise<undefined> {
  const { warmer } = cacheOf(context.deps)
  const { urls = [], sitemaps = [], team, pinned = false, depth = 0, limit = 1000, per_second: perSecond = 2, other_origins: otherOrigins = false, ignore_robots: ignoresRobots = false } = call.body
  if (urls.length + sitemaps.length === 0) throw new ControlFault('invalid', 'say what to fetch: `urls` or `sitemaps`')
  if (ignoresRobots) call.request.detail = 'ignores robots.txt'
  const order = { urls, sitemaps, partition: team === undefined ? commonPartition : partitionOf(team), team, by: call.actor.name, pinned, depth, limit, perSecond, otherOrigins, ignoresRobots }
  return streamed(call, context, async (tell, signal) => {
    const { isCut, isInterrupted, ...counts } = await warmer.run(order, signal, (event) => tell(...shownEvent(event)))
    return { ...counts, cut: isCut, interrupted: isInterrupted }
  })
}

function shownEvent(event: WarmEvent): Parameters<Tell> {
  if (event.kind === 'kept') return ['kept', cacheEntryJson(event.entry)]
  const { kind, ...data } = event
  return [kind === 'failed' ? 'missed' : kind, data]
}

/** Does `work` while the caller listens, and says how it ended. `giveUp`: there was no stream to begin with. */
async function streamed(call: Call, context: ControlContext, work: (tell: Tell, signal: AbortSignal) => Promise<object>, giveUp?: () => Promise<void>): Promise<undefined> {
  const stream = await context.openStream(call).catch(async (error: unknown) => {
    await giveUp?.()
    throw error
  })
  try {
    const done = await work((event, data) => stream.send({ event, data }), stream.signal)
    await stream.send({ event: 'done', data: done })
  } catch (error) {
    const data = errorData(error)
    if (data.code === 'internal_error') context.deps.onFault(error)
    await stream.send({ event: 'failed', data })
  } finally {
    stream.end()
  }
  return undefined
}

function errorData(error: unknown): { readonly code: string; readonly reason: string } {
  if (error instanceof ProxyError) return { code: error.code, reason: error.detail }
  if (error instanceof ArchiveFileFault) return { code: 'invalid', reason: error.message }
  if (error instanceof Error && error.name === 'GlobFault') return { code: 'invalid', reason: error.message }
  return { code: 'internal_error', reason: 'the control API failed on this request' }
}

function localOnly({ request }: Call): void {
  if (request.clientAddress !== 'local') throw new ControlFault('not_permitted', 'files of the proxy\'s machine are named on its unix socket only')
}

async function onFile<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ArchiveFileFault)) throw error
    throw new ControlFault('invalid', 'the file cannot be used', { errors: [{ pointer: '/path', message: error.message }] })
  }
}

function partitionFor({ team, partition }: Pick<ImportBody, 'team' | 'partition'>): string {
  if (team !== undefined && partition !== undefined) throw new ControlFault('invalid', 'say `team` or `partition`, not both')
  return partition ?? (team === undefined ? commonPartition : partitionOf(team))
}

function teamOf({ team, partition }: Pick<ImportBody, 'team' | 'partition'>): string | undefined {
  return team ?? (partition?.startsWith('team:') === true ? partition.slice('team:'.length) : undefined)
}

function domainOf(text: string, at: number): HostPattern {
  const pattern = parseHostPattern(text)
  if ('wrong' in pattern) throw new ControlFault('invalid', 'a domain cannot be read', { errors: [{ pointer: `/domains/${at}`, message: pattern.wrong }] })
  return pattern
}
