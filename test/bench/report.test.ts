// Tables, budgets and charts made of a result.
import t from 'tap'
import { budgets } from '../../bench/budgets.ts'
import { barChart } from '../../bench/chart.ts'
import { deniedNames } from '../../bench/denied-names.ts'
import { parseOptions } from '../../bench/options.ts'
import { renderBudgets, renderMethod, replaceBetween } from '../../bench/report.ts'
import type { Results, Round } from '../../bench/results.ts'
import { figure, renderTables } from '../../bench/tables.ts'

const round = (cost: number, rate = 1000): Round => ({ cost, rate, operations: 1000, foreign: 0 })

const results: Results = {
  schema: 1,
  date: '2026-11-20T12:00:00.000Z',
  machine: { cores: 2, cpu: 'a processor', memoryGiB: 16, kernel: 'Linux 6.18', pinned: true },
  node: 'v26.10.0',
  options: { quick: false, rounds: 3, seconds: 2 },
  peers: [{ name: 'sallyport', version: '0.1.0', note: 'a note' }, { name: 'squid', version: '5.7', note: '' }],
  skipped: [{ peer: 'tinyproxy', why: 'not on this machine' }],
  rows: [
    { workload: 'w1', peer: 'squid', rounds: [round(100), round(100), round(120)] },
    { workload: 'w1', peer: 'sallyport', rounds: [round(110), round(100), round(240)] },
    { workload: 'w3', peer: 'sallyport', rounds: [round(90), null, round(90)], error: 'it broke' },
    { workload: 'w3', peer: 'squid', rounds: [round(100), round(1), round(100)] },
  ],
  lists: [{ peer: 'sallyport', loadSeconds: 0.5, addedBytes: 90e6 }],
}

t.test('a table shows medians, extremes and our ratio to each peer', async (t) => {
  const text = renderTables(results)
  t.match(text, '| sallyport | 110 | 100–240 | 1,000 | 1,000–1,000 | 1.00 |')
  t.match(text, '| squid | 100 | 100–120 | 1,000 | 1,000–1,000 | 1.10 |')
  t.match(text, '| sallyport (2 of 3 rounds) | 90 | 90–90 |')
  t.ok(text.indexOf('| sallyport | 110') < text.indexOf('| squid | 100'), 'ours comes first')
})

t.test('a budget is met, not met, or not measured', async (t) => {
  const all = budgets(results)
  const find = (name: string) => all.find((budget) => budget.workload === name)
  t.match(find('W1'), { floor: [{ measured: 1.1, met: true }], goal: [{ measured: undefined, met: undefined }] })
  t.match(find('W3'), { floor: [{ measured: 0.9, met: false }] })
  t.match(find('W5')?.floor.map((entry) => entry.met), [undefined, undefined, true, false, undefined])
  t.match(renderBudgets(results), 'CPU ÷ squid ≤ 0.85: 0.90, **not met**')
})

t.test('the method names who was left out and why', async (t) => {
  t.match(renderMethod(results), 'left out: tinyproxy: not on this machine')
})

t.test('a page keeps everything outside its markers', async (t) => {
  const page = 'before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n'
  t.equal(replaceBetween(page, 'new\n'), 'before\n<!-- bench:begin -->\n\nnew\n<!-- bench:end -->\nafter\n')
  t.throws(() => replaceBetween('no markers', 'new'), { message: /has no/ })
})

t.test('figures have as many digits as they deserve', async (t) => {
  t.equal(figure(12345.6), '12,346')
  t.equal(figure(99.5), '100')
  t.equal(figure(1.234), '1.23')
  t.equal(figure(undefined), '–')
  t.equal(figure(NaN), '–')
})

t.test('a chart has a bar for each peer and escapes what it is told', async (t) => {
  const svg = barChart('a <title>', 'µs', [
    { label: 'sally & port', value: 10, min: 9, max: 11, ours: true, text: '10' },
    { label: 'squid', value: 20, min: 18, max: 40, ours: false, text: '20' },
  ])
  t.equal(svg.match(/<rect /g)?.length, 2)
  t.match(svg, 'a &lt;title&gt;')
  t.match(svg, 'sally &amp; port')
  t.notMatch(svg, 'NaN')
})

t.test('denied names are all different and could not exist', async (t) => {
  const names = deniedNames(20_000)
  t.equal(new Set(names).size, names.length)
  t.ok(names.every((name) => /\.(example|test)$/.test(name)))
})

t.test('the command line is checked', async (t) => {
  t.match(parseOptions(['--quick']), { quick: true, rounds: 2 })
  t.same(parseOptions(['--only', 'w3, W1'])?.only, new Set(['w3', 'w1']))
  t.equal(parseOptions(['--help']), undefined)
  t.throws(() => parseOptions(['--only', 'w9']), { message: /no workload `w9`/ })
  t.throws(() => parseOptions(['--rounds', '0']), { message: /--rounds takes/ })
})
