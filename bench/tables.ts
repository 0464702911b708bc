// Results as Markdown tables: medians, extremes, ratios to each peer of the same run.
import { costs, known, rates, rowOf } from './results.ts'
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
  const rate = known(rates(row))
  const oursRow = rowOf(results, row.workload, ours)
  const times = row.peer === ours ? 1 : ratio(costs(oursRow), costs(row))
  const name = row.error === undefined ? row.peer : `${row.peer} (${known(rates(row)).length} of ${row.rounds.length} rounds)`
  return [name, figure(median(cost)), range(cost), figure(median(rate)), range(rate), Number.isNaN(times) ? '–' : times.toFixed(2)]
}

function workloadTable(results: Results, workload: Workload): string {
  const rows = results.rows.filter((row) => row.workload === workload.name)
  if (rows.length === 0) return ''
  const sorted = rows.toSorted((a, b) => order(a) - order(b))
  const head = ['', workload.costOf, 'min–max', workload.rateUnit === '' ? 'opened/s' : `rate ${workload.rateUnit}`, 'min–max', 'ours ÷ theirs']
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

/** All tables of a run, each under its heading. */
export function renderTables(results: Results): string {
  return workloads.map((workload) => workloadTable(results, workload)).join('') + listTable(results)
}
