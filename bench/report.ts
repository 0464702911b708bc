// `node bench/report.ts [RESULT.json]`: puts the tables, ratios, budgets and charts of a result file, by
// default the newest full one, into docs/performance.md between its markers, and docs/img/.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { budgets } from './budgets.ts'
import type { Verdict } from './budgets.ts'
import { barChart } from './chart.ts'
import type { Bar } from './chart.ts'
import { costs, known, newestResults, readResults, withOwnRuns } from './results.ts'
import type { Results } from './results.ts'
import { summary } from './statistics.ts'
import { figure, ours, renderTables, table } from './tables.ts'
import { workloads } from './workloads.ts'
import type { Workload } from './workloads.ts'

const docs = join(import.meta.dirname, '../docs')
const images = join(docs, 'img')
const open = '<!-- bench:begin -->'
const close = '<!-- bench:end -->'

function cell(verdicts: readonly Verdict[]): string {
  return verdicts.map((entry) => {
    const state = entry.met === undefined ? 'not measured' : entry.met ? 'met' : '**not met**'
    return `${entry.what} ${entry.limit}: ${figure(entry.measured)}, ${state}`
  }).join('<br>')
}

export function renderBudgets(results: Results): string {
  const rows = budgets(results).map((budget) => [budget.workload, cell(budget.floor), cell(budget.goal)])
  const lines = table(['', 'floor', 'goal'], rows).replaceAll('--:', '---')
  return `### Budgets\n\n${lines}\n`
}

export function renderMethod(results: Results): string {
  const { machine, options } = results
  const peers = results.peers.map((peer) => [peer.name, peer.version === '' ? '–' : peer.version, peer.note])
  const skipped = results.skipped.map((entry) => `- left out: ${entry.peer}: ${entry.why}\n`).join('')
  const rounds = [...results.rows.flatMap((row) => row.rounds), ...(results.parked?.rounds ?? []), ...(results.journal?.rounds ?? [])]
  const foreign = Math.max(0, ...rounds.map((round) => round?.foreign ?? 0))
  const own = Object.entries(results.ownRunsOf ?? {}).map(([workload, date]) => `${workload} was run by itself on ${date.slice(0, 10)}. `).join('')
  const quiet = foreign > 0.1
    ? `Other work of the machine took up to ${Math.round(foreign * 100)} % of the proxies' core in a round: rates of this run say little, CPU per operation and ratios more.`
    : 'Nothing else of note ran on the proxies\' core.'
  return `Run of ${results.date.slice(0, 10)}${options.quick ? ' (quick)' : ''}: ${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, ${machine.kernel}, Node ${results.node.slice(1)};
${options.rounds} interleaved rounds of ${options.seconds} s${machine.pinned ? ', proxies on core 0, load generator and origin on core 1' : ', nothing pinned'}. ${own}${quiet}

${table(['', 'version', ''], peers).replaceAll('--:', '---')}${skipped === '' ? '' : `\n${skipped}`}
`
}

function bars(results: Results, workload: Workload): readonly Bar[] {
  const found: Bar[] = []
  for (const row of results.rows) {
    if (row.workload !== workload.name) continue
    const values = known(costs(row))
    if (values.length === 0) continue
    const { median, min, max } = summary(values)
    found.push({ label: row.peer, value: Math.max(0, median), min: Math.max(0, min), max: Math.max(0, max), ours: row.peer.startsWith(ours), text: figure(median) })
  }
  return found.toSorted((a, b) => a.value - b.value)
}

function writeCharts(results: Results): string {
  mkdirSync(images, { recursive: true })
  for (const name of readdirSync(images)) if (/^bench-.*\.svg$/.test(name)) rmSync(join(images, name))
  let links = ''
  for (const workload of workloads) {
    const shown = bars(results, workload)
    if (shown.length === 0) continue
    writeFileSync(join(images, `bench-${workload.name}.svg`), barChart(workload.title, workload.costOf, shown))
    links += `![${workload.title}](img/bench-${workload.name}.svg)\n`
  }
  return `### Charts\n\n${links}\n`
}

/** The page with everything between the markers replaced; throws when it has no markers. */
export function replaceBetween(page: string, content: string): string {
  const from = page.indexOf(open)
  const to = page.indexOf(close)
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${open} and ${close}`)
  return `${page.slice(0, from + open.length)}\n\n${content}${page.slice(to)}`
}

if (import.meta.main) {
  const file = process.argv[2] ?? newestResults()
  if (file === undefined) {
    process.stderr.write('there is no result yet: run `npm run bench`\n')
    process.exitCode = 1
  } else {
    const results = withOwnRuns(readResults(file))
    const page = join(docs, 'performance.md')
    const content = renderMethod(results) + renderBudgets(results) + renderTables(results) + writeCharts(results)
    writeFileSync(page, replaceBetween(readFileSync(page, 'utf8'), content))
  }
}
