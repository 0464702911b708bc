// `npm run bench`: starts the origin and every peer, loads them round by round in turn, writes what came out.
// Everything stays on 127.0.0.1, everything that was started is stopped, and the run ends by itself.
import { mkdirSync, mkdtempSync, chmodSync, rmSync, writeFileSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fillCache, pagePaths, startPages } from './cached/pages.ts'
import { deniedNames } from './denied-names.ts'
import { compileInterceptPrograms, startTlsOrigin } from './intercept/ground.ts'
import type { TlsOrigin } from './intercept/ground.ts'
import { measureFresh, measureHosts, measureTls, warmUpTls } from './intercept/measure.ts'
import type { InterceptBench } from './intercept/measure.ts'
import type { JournalRuns } from './journal/figures.ts'
import { runJournal } from './journal/runs.ts'
import { canPin, killAll } from './launch.ts'
import { captureClientHello } from './load/client-hello.ts'
import { compilePrograms, startOrigin } from './load/programs.ts'
import { machineShape } from './machine.ts'
import { bulkBytes, measure, measureIdle, warmUp } from './measure.ts'
import type { Bench } from './measure.ts'
import { hostsName, isWanted, parseOptions, partOf, usage } from './options.ts'
import type { Options } from './options.ts'
import type { ParkedRuns } from './parked/figures.ts'
import { runParked } from './parked/runs.ts'
import { allPeers } from './peers/all.ts'
import type { DeniedNames, Ground, InterceptGround, Peer, Running } from './peers/peer.ts'
import { residentBytes } from './proc.ts'
import { writeResults } from './results.ts'
import type { HostMemory, ListCost, Results, Row } from './results.ts'
import { ours, renderTables } from './tables.ts'
import { workloads } from './workloads.ts'
import type { Workload } from './workloads.ts'

const host = 'bench.test'
const fewNames = 10
const manyNames = 1_000_000
const warmOperations = 30_000
const maxWarmTurns = 50

interface Standing {
  readonly peer: Peer
  readonly running: Running
  readonly startSeconds: number
  readonly resident: number
}

/** What a run found out, as far as it came. */
interface Findings {
  readonly skipped: { peer: string; why: string }[]
  readonly rows: Row[]
  readonly lists: ListCost[]
  readonly hosts: HostMemory[]
  readonly ran: Peer[]
}

interface Session extends Findings {
  readonly options: Options
  readonly dir: string
  readonly bench: Bench
  /** absent: W4 is not asked for, or cannot be had here */
  readonly intercept: InterceptBench | undefined
}

const began = performance.now()

function say(text: string): void {
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function writeDenied(dir: string, count: number): DeniedNames {
  const names = deniedNames(count)
  const file = join(dir, `denied-${count}.txt`)
  writeFileSync(file, `${names.join('\n')}\n`)
  return { count, file, names }
}

/** A peer that does not start is left out by name; the others go on. */
async function startPeer(session: Session, peer: Peer, denied: DeniedNames, purpose = String(denied.count), intercept?: InterceptGround): Promise<Standing | undefined> {
  const dir = join(session.dir, `${peer.name.replaceAll(/\W+/g, '-')}-${purpose}`)
  mkdirSync(dir)
  const cached = purpose === 'cached' ? { cached: { port: session.bench.pagesPort, paths: pagePaths } } : {}
  const ground: Ground = { dir, origin: session.bench.originPorts, host, hostsFile: join(session.dir, 'hosts'), denied, ...(intercept === undefined ? {} : { intercept }), ...cached }
  const start = performance.now()
  try {
    const running = await peer.start(ground)
    const startSeconds = (performance.now() - (running.launchedMs ?? start)) / 1000
    if (ground.cached !== undefined) await fillCache(running, peer.name, ground.cached)
    await sleep(denied.count === manyNames ? 1500 : 0)
    return { peer, running, startSeconds, resident: running.pid === 0 ? 0 : residentBytes(running.pid) }
  } catch (error) {
    if (!session.skipped.some((entry) => entry.peer === peer.name)) session.skipped.push({ peer: peer.name, why: messageOf(error) })
    say(`skipped: ${peer.name}: ${messageOf(error)}`)
    return undefined
  }
}

function interceptOf({ intercept }: Session): InterceptBench {
  if (intercept === undefined) throw new Error('there is no TLS origin')
  return intercept
}

async function oneRound(session: Session, workload: Workload, { running }: Standing, bytes: number, round: number): Promise<Row['rounds'][number]> {
  const { bench, options } = session
  if (workload.group === 'w4') {
    const intercept = interceptOf(session)
    if (workload.mode !== 'fresh') return measureTls(intercept, workload, running, options.seconds)
    return measureFresh(intercept, workload, running, round * options.freshHosts, options.freshHosts)
  }
  if (workload.mode === 'idle') return measureIdle(bench, workload, running, options.idleTunnels)
  const seconds = workload.group === 'w2' ? options.bulkSeconds : options.seconds
  return measure(bench, workload, running, seconds, bytes)
}

interface Warmth {
  readonly operations: number
  readonly bytes: number
  readonly seconds: number
}

/** What compiles as it runs is warmed for longer, on a machine that is busy longer still. */
async function warmPeer(session: Session, workload: Workload, { peer, running }: Standing): Promise<Warmth> {
  const { bench, options } = session
  const warmFor = (seconds: number): Promise<Warmth> =>
    workload.group === 'w4' ? warmUpTls(interceptOf(session), workload, running, seconds) : warmUp(bench, workload, running, seconds)
  // the first leaf of some takes most of a second
  const seconds = workload.group === 'w4' ? Math.max(1, options.warmupSeconds) : options.warmupSeconds
  if (peer.warmsSlowly !== true) return warmFor(seconds)
  let operations = 0
  for (let turn = 1; ; turn++) {
    const warm = await warmFor(seconds * (turn === 1 ? 4 : 1))
    operations += warm.operations
    if (operations >= warmOperations || workload.group === 'w2' || turn === maxWarmTurns) return warm
  }
}

/** One workload: warm every peer, then the rounds, each beginning with another peer. */
async function runWorkload(session: Session, workload: Workload, peers: readonly Standing[]): Promise<void> {
  const { options } = session
  const taking = peers.filter((standing) => standing.peer.does.includes(workload.needs))
  if (taking.length === 0) return
  say(workload.title)
  const entries: { standing: Standing; row: Row; bytes: number }[] = []
  for (const standing of taking) {
    const row: Row = { workload: workload.name, peer: standing.peer.name, rounds: [] }
    session.rows.push(row)
    try {
      const warm = workload.mode === 'idle' ? undefined : await warmPeer(session, workload, standing)
      entries.push({ standing, row, bytes: warm === undefined ? 0 : bulkBytes(warm, options.bulkSeconds) })
    } catch (error) {
      row.error = messageOf(error)
      say(`  ${standing.peer.name} failed: ${row.error}`)
    }
  }
  // memory does not come back: one batch of idle tunnels says it
  const rounds = workload.mode === 'idle' ? 1 : options.rounds
  for (let round = 0; round < rounds; round++) {
    const shown: string[] = []
    for (const [place] of entries.entries()) {
      const entry = entries[(place + round) % entries.length]
      if (entry === undefined) continue
      try {
        const result = await oneRound(session, workload, entry.standing, entry.bytes, round)
        entry.row.rounds.push(result)
        shown.push(`${entry.row.peer} ${result?.cost?.toPrecision(3) ?? result?.rate.toPrecision(3)}`)
      } catch (error) {
        entry.row.rounds.push(null)
        entry.row.error ??= messageOf(error)
        shown.push(`${entry.row.peer} failed (${messageOf(error)})`)
      }
    }
    say(`  round ${round + 1} of ${rounds} (${workload.costOf}): ${shown.join(', ')}`)
  }
}

/** A million names: started one by one beside the others, so that load time is nobody else's. */
async function startMany(session: Session, few: readonly Standing[], peers: readonly Peer[]): Promise<readonly Standing[]> {
  const denied = writeDenied(session.dir, manyNames)
  const standing: Standing[] = []
  const started = (name: string): boolean => few.some((entry) => name.startsWith(entry.peer.name))
  for (const peer of peers.filter((entry) => entry.does.includes('refuseMany') && started(entry.name))) {
    if (peer.name === 'tinyproxy' && (session.options.quick || freemem() < 8 * 2 ** 30)) {
      session.skipped.push({ peer: `${peer.name}, 1,000,000 names`, why: 'its list takes 4 GiB and 16 s: full runs with 8 GiB free only' })
      continue
    }
    const loaded = await startPeer(session, peer, denied)
    const base = few.find((entry) => peer.name.startsWith(entry.peer.name))
    if (loaded === undefined || base === undefined) continue
    standing.push(loaded)
    const list = { peer: peer.name, loadSeconds: loaded.startSeconds - base.startSeconds, addedBytes: loaded.resident - base.resident }
    session.lists.push(list)
    say(`${peer.name}: 1,000,000 names loaded in ${list.loadSeconds.toFixed(2)} s, ${(list.addedBytes / 1e6).toFixed(0)} MB`)
  }
  return standing
}

async function startFresh(session: Session, peers: readonly Peer[], denied: DeniedNames): Promise<readonly Standing[]> {
  const standing: Standing[] = []
  for (const peer of peers.filter((entry) => entry.does.includes('idle'))) {
    const started = await startPeer(session, peer, denied, 'idle')
    if (started !== undefined) standing.push(started)
  }
  return standing
}

/** Those that look inside TLS, each workload on processes that have done nothing before. */
async function startInterceptors(session: Session, { name, needs }: Workload, peers: readonly Peer[], denied: DeniedNames): Promise<readonly Standing[]> {
  const standing: Standing[] = []
  for (const peer of peers.filter((entry) => entry.does.includes(needs))) {
    const started = await startPeer(session, peer, denied, name, interceptOf(session).ground)
    if (started === undefined) continue
    standing.push(started)
    if (!session.ran.some((entry) => entry.name === peer.name)) session.ran.push(peer)
  }
  return standing
}

/** Those that answer from their cache, with the pages in it. */
async function startCached(session: Session, peers: readonly Peer[], denied: DeniedNames): Promise<readonly Standing[]> {
  const standing: Standing[] = []
  for (const peer of peers.filter((entry) => entry.does.includes('cached'))) {
    const started = await startPeer(session, peer, denied, 'cached')
    if (started === undefined) continue
    standing.push(started)
    if (!session.ran.some((entry) => entry.name === peer.name)) session.ran.push(peer)
  }
  return standing
}

/** Memory of W4: one peer after the other, for each takes the whole core while it makes certificates. */
async function runHosts(session: Session, peers: readonly Peer[], denied: DeniedNames): Promise<void> {
  const { options } = session
  const intercept = interceptOf(session)
  say(`W4: memory of ${options.interceptedHosts.toLocaleString('en-US')} intercepted hosts`)
  for (const peer of peers.filter((entry) => entry.does.includes('intercept') && entry.name !== 'direct')) {
    const standing = await startPeer(session, peer, denied, 'hosts', intercept.ground)
    if (standing === undefined) continue
    try {
      const found = await measureHosts(intercept, peer.name, standing.running, options.interceptedHosts, options.hostsSeconds)
      session.hosts.push(found)
      say(`  ${peer.name} ${found.resident.map(({ hosts, bytes }) => `${hosts}: ${(bytes / 1e6).toFixed(0)} MB`).join(', ')}`)
    } catch (error) {
      say(`  ${peer.name} failed: ${messageOf(error)}`)
      session.skipped.push({ peer: `${peer.name}, memory of intercepted hosts`, why: messageOf(error) })
    } finally {
      await standing.running.stop()
    }
  }
}

async function runAll(session: Session, peers: readonly Peer[]): Promise<void> {
  const { options } = session
  const few = writeDenied(session.dir, fewNames)
  const standing: Standing[] = []
  const fresh: Standing[] = []
  const caching: Standing[] = []
  const wanted = wantedWorkloads(options).filter((entry) => entry.group !== 'w4' || session.intercept !== undefined)
  const needed = new Set<string>(wanted.filter((entry) => entry.group !== 'w4' && entry.group !== 'w8').map((entry) => (entry.needs === 'refuseMany' ? 'refuse' : entry.needs)))
  try {
    for (const peer of peers) {
      if (!peer.does.some((work) => needed.has(work))) continue
      const started = await startPeer(session, peer, few)
      if (started !== undefined) standing.push(started)
    }
    if (standing.length > 0) say(`up: ${standing.map((entry) => entry.peer.name).join(', ')}`)
    session.ran.push(...standing.map((entry) => entry.peer))
    for (const entry of wanted) {
      // a million names, idle memory and interception are measured on processes that have done nothing before
      if (entry.needs === 'refuseMany') fresh.push(...(await startMany(session, standing, peers)))
      if (entry.needs === 'idle') fresh.push(...(await startFresh(session, peers, few)))
      if (entry.group === 'w4') fresh.push(...(await startInterceptors(session, entry, peers, few)))
      if (entry.group === 'w8' && caching.length === 0) caching.push(...(await startCached(session, peers, few)))
      const asked = session.bench.pagesAsked()
      await runWorkload(session, entry, entry.group === 'w8' ? caching : entry.group === 'w4' || fresh.length > 0 ? fresh : standing)
      if (session.bench.pagesAsked() > asked) throw new Error(`${session.bench.pagesAsked() - asked} of the hits were asked of the origin`)
      for (const { running } of fresh.splice(0)) await running.stop()
    }
    if (session.intercept !== undefined && wantsHosts(options)) await runHosts(session, peers, few)
  } finally {
    for (const { running } of [...standing, ...fresh, ...caching]) await running.stop()
  }
}

function wantedWorkloads(options: Options): readonly Workload[] {
  return workloads.filter((entry) => isWanted(options, entry))
}

function wantsHosts({ only }: Options): boolean {
  return only.has('w4') || only.has(hostsName)
}

function wantedPeers(options: Options): readonly Peer[] {
  return allPeers(options).filter((peer) => options.peers === undefined || options.peers.has(peer.name.replace(/ \(.*$/, '')))
}

/** Everything that is measured beside others: the origin, the peers, and load on each of them. */
async function runPeers(options: Options, dir: string, findings: Findings): Promise<void> {
  const programs = compilePrograms(dir)
  const helloFile = join(dir, 'client-hello')
  writeFileSync(helloFile, await captureClientHello(host))
  writeFileSync(join(dir, 'hosts'), `127.0.0.1 localhost\n127.0.0.1 ${host}\n`)
  const origin = await startOrigin(programs, join(dir, 'origin.log'))
  const pages = await startPages()
  const needsTls = wantsHosts(options) || wantedWorkloads(options).some(({ group }) => group === 'w4')
  const tlsOrigin = needsTls ? await tlsOriginOf(dir, findings) : undefined
  const session: Session = {
    ...findings,
    options,
    dir,
    intercept: tlsOrigin?.bench,
    bench: { programs, helloFile, log: join(dir, 'load.log'), originPorts: origin.ports, pagesPort: pages.port, pagesAsked: pages.asked, refused: deniedNames(fewNames) },
  }
  const peers = wantedPeers(options).filter((peer) => {
    if (peer.version() !== undefined) return true
    session.skipped.push({ peer: peer.name, why: 'not on this machine' })
    say(`skipped: ${peer.name}: not on this machine`)
    return false
  })
  await runAll(session, peers)
  await tlsOrigin?.origin.stop()
  await origin.stop()
  await pages.stop()
}

/** What W4 stands on; without it W4 is left out by name. */
async function tlsOriginOf(dir: string, findings: Findings): Promise<{ readonly bench: InterceptBench; readonly origin: TlsOrigin } | undefined> {
  try {
    const programs = compileInterceptPrograms(dir)
    const origin = await startTlsOrigin(programs, dir, host)
    return { bench: { client: programs.client, log: join(dir, 'load.log'), host, ground: origin.ground }, origin }
  } catch (error) {
    findings.skipped.push({ peer: 'W4', why: messageOf(error) })
    say(`skipped: W4: ${messageOf(error)}`)
    return undefined
  }
}

async function main(options: Options): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
  chmodSync(dir, 0o755)
  const cleanUp = (): void => {
    killAll()
    if (!options.keep) rmSync(dir, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      cleanUp()
      process.exit(130)
    })
  }
  const findings: Findings = { skipped: [], rows: [], lists: [], hosts: [], ran: [] }
  try {
    if (!canPin) say('not pinned: this needs two cores and taskset; rates and CPU are not comparable with pinned runs')
    if (wantedWorkloads(options).length > 0 || wantsHosts(options)) await runPeers(options, dir, findings)
    const own = wantedPeers(options).find((peer) => peer.name === ours)
    const parked = options.only.has('w6') && own !== undefined ? await runParked(options, dir, say) : undefined
    const journal = options.only.has('w7') && own !== undefined ? await runJournal(options, dir, say) : undefined
    if (journal !== undefined && own !== undefined && !findings.ran.some((peer) => peer.name === ours)) findings.ran.push(own)
    report(options, dir, findings, { ...(parked === undefined ? {} : { parked }), ...(journal === undefined ? {} : { journal }) })
  } finally {
    cleanUp()
    if (options.keep) say(`kept: ${dir}`)
  }
}

/** What is sallyport's alone. */
interface OwnRuns {
  readonly parked?: ParkedRuns
  readonly journal?: JournalRuns
}

function report(options: Options, dir: string, findings: Findings, own: OwnRuns): void {
  const results: Results = {
    schema: 1,
    date: new Date().toISOString(),
    machine: machineShape(),
    node: process.version,
    options: { quick: options.quick, rounds: options.rounds, seconds: options.seconds },
    peers: findings.ran.map((peer) => ({ name: peer.name, version: peer.version() ?? '', note: peer.note })),
    skipped: findings.skipped.map(({ peer, why }) => ({ peer, why: why.replaceAll(dir, '.') })),
    rows: findings.rows,
    lists: findings.lists,
    ...(findings.hosts.length === 0 ? {} : { hosts: findings.hosts }),
    ...own,
  }
  process.stdout.write(options.json ? `${JSON.stringify(results, undefined, 1)}\n` : renderTables(results))
  if (options.profileDir !== undefined || options.nodeOptions.length > 0 || options.besideDir !== undefined) say('not written: a run with options of node or beside another checkout is not a result')
  else say(`written: bench/results/${writeResults(results, partOf(options))}; \`node bench/report.ts\` renders it`)
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) process.stdout.write(usage)
  else await main(options)
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
}
