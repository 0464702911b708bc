// One round of W7 in a process of its own: `node program.ts JOB`. It journals into folders below the job's, as
// the proxy does, then exports what a journal holds, and says in one line of JSON what came out.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import type { AuditSink } from '../../src/audit/event.ts'
import { openJournal } from '../../src/audit/journal.ts'
import type { Journal } from '../../src/audit/journal.ts'
import { keysDirOf } from '../../src/audit/key-file.ts'
import { PersonKeys } from '../../src/audit/person-keys.ts'
import { Sealer } from '../../src/audit/sealer.ts'
import { startExporter } from '../../src/audit/exporter.ts'
import { systemClock } from '../../src/clock.ts'
import { RequestIds } from '../../src/gate/request-id.ts'
import { proxyCore } from '../launch.ts'
import { busySeconds } from '../proc.ts'
import { drive } from './drive.ts'
import type { Driven } from './drive.ts'
import { redaction, samples } from './exchanges.ts'
import type { Sample } from './exchanges.ts'
import { costOf, journalLoads } from './figures.ts'
import type { CatchUp, JournalCost, JournalLoad, JournalRound } from './figures.ts'
import type { JournalJob } from './runs.ts'

type Work = (place: number) => Promise<void>

const dayMs = 86_400_000
// the proxy's own defaults
const usualSegmentBytes = 64 * 1024 * 1024
const usualMaxBytes = 10 * 1024 ** 3
/** a journal holds eight segments at least: then it is full, and each new one removes an old one */
const segmentsHeld = 8
const exportDeadlineMs = 120_000

const { privateKey } = generateKeyPairSync('ed25519')
const signer = { keyId: '0'.repeat(16), isNew: false, sign: (text: string): string => sign(null, Buffer.from(text), privateKey).toString('base64') }
const checkpointIntervalMs = 60_000

const ids = new RequestIds(systemClock)
const nothing: AuditSink = { append: () => Promise.resolve() }

function sampleAt(place: number): Sample {
  const sample = samples[place % samples.length]
  if (sample === undefined) throw new Error('there are no samples')
  return sample
}

const idle: Work = async (place) => {
  sampleAt(place)
  ids.next()
}

function decisions(sink: AuditSink): Work {
  return async (place) => {
    const { subject, answer } = sampleAt(place)
    await sink.append(decisionEvent({ ...subject, requestId: ids.next() }, answer, 'policy', redaction))
  }
}

function exchanges(sink: AuditSink): Work {
  return async (place) => {
    const { subject, answer, ending, durationMs } = sampleAt(place)
    const about = { ...subject, requestId: ids.next() }
    await sink.append(decisionEvent(about, answer, 'policy', redaction))
    await sink.append(endedEvent({ ...about }, ending, durationMs))
  }
}

/** As the proxy opens it: what belongs to the owners of the samples is sealed. */
function open(dir: string, segmentBytes: number, maxBytes: number, destinations: readonly string[]): Promise<Journal> {
  const keys = new PersonKeys({
    dir: keysDirOf(dir), clock: systemClock,
    onFault: (error) => {
      throw error
    },
  })
  keys.load()
  return openJournal({
    sealer: new Sealer(keys),
    dir, segmentBytes, maxBytes, destinations, instanceId: randomUUID(), clock: systemClock, maxAgeMs: 30 * dayMs, checkpoints: { signer, intervalMs: checkpointIntervalMs }, recordsPerSessionPerMinute: 100_000_000,
    onFault: (error) => {
      throw error
    },
  })
}

/** Flat out until the journal removes segments as it goes. */
async function fill(journal: Journal, maxBytes: number): Promise<void> {
  const operations = Math.ceil(maxBytes / 8000)
  for (let turn = 0; turn < 40; turn++) {
    await drive(undefined, { operations }, exchanges(journal))
    if (removed(journal) > 0) return
  }
  throw new Error('the journal did not get full')
}

const removed = (journal: Journal): number => journal.lastSeq - journal.stats().records

/** Measured once it has run for a while: what came before, and a new file, are not its doing. */
async function settled(load: JournalLoad, job: JournalJob, work: Work): Promise<Driven> {
  await drive(load.rate, { seconds: job.seconds / 3 }, work)
  return drive(load.rate, { seconds: job.seconds }, work)
}

async function measureLoad(load: JournalLoad, job: JournalJob): Promise<JournalCost> {
  const { smallSegmentBytes } = load
  const idleRun = await settled(load, job, idle)
  const builtRun = await settled(load, job, exchanges(nothing))
  const usual = await withJournal(join(job.dir, load.name), usualSegmentBytes, usualMaxBytes, async (journal) => {
    const decision = await settled(load, job, decisions(journal))
    const before = { seq: journal.lastSeq, ...journal.stats() }
    const exchange = await settled(load, job, exchanges(journal))
    const after = journal.stats()
    return { decision, exchange, records: journal.lastSeq - before.seq, bytes: after.bytes - before.bytes, writes: after.writes - before.writes }
  })
  const small = await withJournal(join(job.dir, `${load.name}-small`), smallSegmentBytes, smallSegmentBytes * segmentsHeld, async (journal) => {
    await fill(journal, smallSegmentBytes * segmentsHeld)
    const before = removed(journal)
    const turning = await drive(load.rate, { seconds: job.seconds }, exchanges(journal))
    // what was written is nearly all of it records of exchanges, each as long as in the run before
    const written = 2 * turning.operations * (usual.bytes / usual.records)
    return { turning, segmentsBegun: Math.floor(written / smallSegmentBytes), recordsRemoved: removed(journal) - before }
  })
  return costOf(load, { idle: idleRun, built: builtRun, decision: usual.decision, exchange: usual.exchange, turning: small.turning }, { ...usual, ...small })
}

async function withJournal<T>(dir: string, segmentBytes: number, maxBytes: number, use: (journal: Journal) => Promise<T>): Promise<T> {
  const journal = await open(dir, segmentBytes, maxBytes, [])
  try {
    return await use(journal)
  } finally {
    await journal.close()
    rmSync(dir, { recursive: true })
  }
}

/** Everything compiled once, on a journal that is not measured. */
async function warmUp(job: JournalJob): Promise<void> {
  await withJournal(join(job.dir, 'warm-up'), 1024 * 1024, segmentsHeld * 1024 * 1024, async (journal) => {
    for (const rate of [undefined, 8000]) {
      for (const work of [idle, exchanges(nothing), decisions(journal), exchanges(journal)]) await drive(rate, { seconds: job.warmupSeconds / 4 }, work)
    }
  })
}

/** Time and CPU from when the exporter has found where to begin to the last record. */
async function measureCatchUp(job: JournalJob): Promise<CatchUp> {
  const dir = join(job.dir, 'export')
  const journal = await open(dir, usualSegmentBytes, usualMaxBytes, ['otel'])
  await drive(undefined, { operations: job.exportedRecords / 2 }, exchanges(journal))
  await journal.flush()
  const records = journal.lastSeq
  const { promise, resolve, reject } = Promise.withResolvers<CatchUp>()
  let start: { readonly ms: number; readonly cpu: NodeJS.CpuUsage } | undefined
  const deadline = setTimeout(() => reject(new Error('the exporter did not catch up in time')), exportDeadlineMs)
  const exporter = startExporter({
    dir, environment: 'bench', version: '0.0.0',
    destinations: [{ name: 'otel', type: 'otlp-http', filter: {}, endpoint: job.endpoint, protocol: 'binary', headers: {}, headersWritten: {}, compression: 'gzip', tls: {} }],
    onDelivered: (seq) => {
      journal.delivered(seq)
      start ??= { ms: performance.now(), cpu: process.cpuUsage() }
      if (seq < records) return
      const { user, system } = process.cpuUsage(start.cpu)
      resolve({ records, rate: records / ((performance.now() - start.ms) / 1000), recordCpu: (user + system) / records })
    },
    onEvent: (event) => reject(new Error(event.body)),
    onLog: (_level, message) => reject(new Error(message)),
  })
  try {
    return await promise
  } finally {
    clearTimeout(deadline)
    await exporter.close(1000)
    await journal.close()
  }
}

async function round(job: JournalJob): Promise<JournalRound> {
  const began = performance.now()
  const busyBefore = busySeconds(proxyCore)
  const cpuBefore = process.cpuUsage()
  await warmUp(job)
  const costs: JournalCost[] = []
  for (const load of journalLoads) costs.push(await measureLoad(load, job))
  const catchUp = await measureCatchUp(job)
  const { user, system } = process.cpuUsage(cpuBefore)
  const foreign = (busySeconds(proxyCore) - busyBefore - (user + system) / 1e6) / ((performance.now() - began) / 1000)
  return { costs, catchUp, foreign: Math.max(0, Math.round(foreign * 100) / 100) }
}

const job: JournalJob = JSON.parse(process.argv[2] ?? '{}')
process.stdout.write(`${JSON.stringify(await round(job))}\n`)
