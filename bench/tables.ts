// Results as Markdown tables: medians, extremes, ratios to each peer of the same run.
import { journalFigures, journalLoads } from './journal/figures.ts'
import type { JournalCost, JournalLoad, JournalRuns } from './journal/figures.ts'
import { parkedFigures, parkedLoads } from './parked/figures.ts'
import type { ParkedCost, ParkedLoad, ParkedRuns } from './parked/figures.ts'
import { costs, known, rateOrTail, rowOf } from './results.ts'
import type { Results, Row } from './results.ts'
import { median, ratio, summary } from './statistics.ts'
import { workloads } from './workloads.ts'
import type { Workload } from './workloads.ts'

export const ours = 'sallyport'

/** A figure with as many digits as it deserves. */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  if (Math.abs(value) >= 10) return value.toFixed(0)
  return value.toFixed(2)
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function range(values: readonly number[]): string {
  if (values.length === 0) return '–'
  const { min, max } = summary(values)
  return `${figure(min)}–${figure(max)}`
}

function workloadRow(results: Results, row: Row): readonly string[] {
  const cost = known(costs(row))
  const rate = known(rateOrTail(row))
  const oursRow = rowOf(results, row.workload, ours)
  const times = row.peer === ours ? 1 : ratio(costs(oursRow), costs(row))
  const name = row.error === undefined ? row.peer : `${row.peer} (${known(rateOrTail(row)).length} of ${row.rounds.length} rounds)`
  return [name, figure(median(cost)), range(cost), figure(median(rate)), range(rate), Number.isNaN(times) ? '–' : times.toFixed(2)]
}

function workloadTable(results: Results, workload: Workload): string {
  const rows = results.rows.filter((row) => row.workload === workload.name)
  if (rows.length === 0) return ''
  const sorted = rows.toSorted((a, b) => order(a) - order(b))
  const head = ['', workload.costOf, 'min–max', workload.rateOf, 'min–max', 'ours ÷ theirs']
  return `### ${workload.title}\n\n${table(head, sorted.map((row) => workloadRow(results, row)))}\n`
}

function order(row: Row): number {
  if (row.peer === ours) return -1
  const value = median(known(costs(row)))
  return Number.isNaN(value) ? Infinity : value
}

function listTable(results: Results): string {
  if (results.lists.length === 0) return ''
  const rows = results.lists.map((list) => [list.peer, figure(list.loadSeconds), figure(list.addedBytes / 1e6)])
  return `### W5: 1,000,000 denied names, before the first request\n\n${table(['', 'load, s', 'added memory, MB'], rows)}\n`
}

/** Resident memory as the number of intercepted hosts grows; what the second half adds says whether it is bounded. */
function hostsTable({ hosts }: Results): string {
  if (hosts === undefined) return ''
  const rows = hosts.map(({ peer, seconds, resident }) => {
    const first = resident[0]
    const last = resident.at(-1)
    if (first === undefined || last === undefined) return [peer, '–', '–', '–', '–', '–']
    const middle = resident.findLast((entry) => entry.hosts <= last.hosts / 2) ?? first
    const added = (last.bytes - middle.bytes) / 1024 / (last.hosts - middle.hosts)
    return [peer, figure(last.hosts), figure(first.bytes / 1e6), figure(last.bytes / 1e6), figure(added), figure(last.hosts / seconds)]
  })
  return `### W4: memory of intercepted hosts\n\n${table(['', 'hosts', 'resident before, MB', 'with them, MB', 'KiB each of the second half adds', 'hosts/s'], rows)}\n`
}

function journalRow(runs: JournalRuns, load: JournalLoad): readonly string[] {
  const values = (pick: (cost: JournalCost) => number): readonly number[] => known(journalFigures(runs, load.name, pick))
  const middle = (pick: (cost: JournalCost) => number): string => figure(median(values(pick)))
  const most = (pick: (cost: JournalCost) => number): string => figure(Math.max(...values(pick)))
  return [
    load.title, middle((cost) => cost.decisionCpu), range(values((cost) => cost.decisionCpu)),
    middle((cost) => cost.exchangeCpu), middle((cost) => cost.buildingCpu), middle((cost) => cost.exchangeCpu / 2),
    most((cost) => cost.stallMs), most((cost) => cost.idleStallMs),
    middle((cost) => cost.rate), middle((cost) => cost.bytesPerRecord), middle((cost) => cost.recordsPerWrite), middle((cost) => cost.segmentsPerSecond),
  ]
}

function parkedRow(runs: ParkedRuns, load: ParkedLoad): readonly string[] {
  const values = (pick: (cost: ParkedCost) => number): readonly number[] => known(parkedFigures(runs, load.name, pick))
  const middle = (pick: (cost: ParkedCost) => number): string => figure(median(values(pick)))
  return [
    load.title, middle((cost) => cost.parked), middle((cost) => cost.questions), middle((cost) => cost.residentKiB), range(values((cost) => cost.residentKiB)),
    middle((cost) => cost.parkRate), middle((cost) => cost.releaseSeconds), middle((cost) => cost.lastReleaseMs), middle((cost) => cost.leaveSeconds),
    middle((cost) => cost.latencyP50), middle((cost) => cost.latencyP99),
  ]
}

function parkedTable(runs: ParkedRuns | undefined): string {
  if (runs === undefined) return ''
  const { rounds, error } = runs
  const done = rounds.filter((round) => round !== null)
  const missed = error === undefined ? '' : `${done.length} of ${rounds.length} rounds; ${error}\n\n`
  if (done.length === 0) return `### W6: parked requests\n\n${missed}`
  const head = [
    '', 'parked', 'questions', 'resident KiB each', 'min–max', 'parked/s', 'all released, s', 'after the last decision, ms', 'all gone, s',
    'decision to release, ms, p50', 'p99',
  ]
  return `### W6: parked requests\n\n${missed}${table(head, parkedLoads.map((load) => parkedRow(runs, load)))}\n`
}

function journalTables(runs: JournalRuns | undefined): string {
  if (runs === undefined) return ''
  const { rounds, error } = runs
  const done = rounds.filter((round) => round !== null)
  const missed = error === undefined ? '' : `${done.length} of ${rounds.length} rounds; ${error}\n\n`
  if (done.length === 0) return `### W7: journal\n\n${missed}`
  const head = [
    '', 'CPU µs per decision', 'min–max', 'CPU µs per exchange', 'of it building events', 'CPU µs per record', 'longest stall, ms', 'without journal, ms',
    'exchanges/s', 'bytes per record', 'records per write', 'small segments/s',
  ]
  const rate = done.map((round) => round.catchUp.rate)
  const cpu = done.map((round) => round.catchUp.recordCpu)
  const records = done[0]?.catchUp.records
  const catchUp = [figure(records), figure(median(rate)), range(rate), figure(median(cpu)), range(cpu)]
  return `### W7: journal\n\n${missed}${table(head, journalLoads.map((load) => journalRow(runs, load)))}
### W7: exporter catching up\n\n${table(['records', 'records/s', 'min–max', 'CPU µs per record', 'min–max'], [catchUp])}\n`
}

/** All tables of a run, each under its heading. */
export function renderTables(results: Results): string {
  return workloads.map((workload) => workloadTable(results, workload)).join('') + hostsTable(results) + listTable(results) + parkedTable(results.parked) + journalTables(results.journal)
}
