// W7: how its figures come out of what was measured, and how they are shown and judged.
import t from 'tap'
import { budgets } from '../../bench/budgets.ts'
import { drive, due, stallOf } from '../../bench/journal/drive.ts'
import type { Driven } from '../../bench/journal/drive.ts'
import { samples } from '../../bench/journal/exchanges.ts'
import { costOf, journalFigures, journalLoads } from '../../bench/journal/figures.ts'
import type { JournalCost, JournalRound, JournalRuns, Variants } from '../../bench/journal/figures.ts'
import { parseOptions } from '../../bench/options.ts'
import { renderBudgets, renderMethod } from '../../bench/report.ts'
import type { Results } from '../../bench/results.ts'
import { renderTables } from '../../bench/tables.ts'

const load = { name: 'steady-2000', title: '2,000 exchanges/s', rate: 2000, smallSegmentBytes: 1 } as const

/** 2,000 operations in a second, at so many microseconds each. */
const driven = (micros: number, stallMs: number, wallSeconds = 1): Driven => ({ operations: 2000, cpuSeconds: (micros * 2000) / 1e6, wallSeconds, stallMs })
const variants: Variants = { idle: driven(5, 0.5), built: driven(9, 1), decision: driven(15, 2), exchange: driven(25, 3), turning: driven(30, 4) }
const shape = { records: 4000, bytes: 4_800_000, writes: 800, segmentsBegun: 18, recordsRemoved: 4000 }

t.test('what journaling costs is what it takes above the same load without it', async (t) => {
  const cost = costOf(load, variants, shape)
  const near = (value: number): number => Math.round(value * 1000) / 1000
  t.same([cost.decisionCpu, cost.exchangeCpu, cost.buildingCpu].map(near), [10, 20, 4])
  t.match(cost, { load: 'steady-2000', rate: 2000, bytesPerRecord: 1200, recordsPerWrite: 5, segmentsPerSecond: 18 })
})

t.test('the stall is the longest of every run that journals, that with small segments among them', async (t) => {
  t.match(costOf(load, variants, shape), { stallMs: 4, idleStallMs: 1 })
  t.match(costOf(load, { ...variants, decision: driven(15, 7) }, shape), { stallMs: 7 })
})

t.test('a run that was not what it should be gives no figures', async (t) => {
  t.throws(() => costOf(load, { ...variants, exchange: driven(25, 3, 2) }, shape), { message: /only 1000 a second were kept up/ })
  t.throws(() => costOf(load, { ...variants, idle: { ...driven(5, 0), operations: 0 } }, shape), { message: /nothing was done/ })
  t.throws(() => costOf(load, variants, { ...shape, segmentsBegun: 0 }), { message: /no segment/ })
  t.throws(() => costOf(load, variants, { ...shape, recordsRemoved: 0 }), { message: /no segment/ })
})

t.test('flat out any rate is the rate', async (t) => {
  t.match(costOf({ ...load, rate: undefined }, { ...variants, exchange: driven(25, 3, 2) }, shape), { rate: 1000 })
})

t.test('so many are due as the rate says, and none before its time', async (t) => {
  t.same([0, 0.4, 0.5, 1, 1000].map((ms) => due(ms, 2000)), [0, 0, 1, 2, 2000])
})

t.test('the millisecond between two looks is no stall', async (t) => {
  t.equal(stallOf(1e6), 0)
  t.equal(stallOf(12.5e6), 11.5)
  t.equal(stallOf(0), 0)
})

t.test('a driven load does each operation once and waits for all', async (t) => {
  const done: number[] = []
  const work = async (place: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    done.push(place)
  }
  for (const rate of [undefined, 100_000]) {
    t.match(await drive(rate, { operations: 3000 }, work), { operations: 3000 })
    t.same(done.splice(0).toSorted((a, b) => a - b), Array.from({ length: 3000 }, (_, place) => place))
  }
})

t.test('a driven load fails with what failed in it', async (t) => {
  await t.rejects(drive(undefined, { operations: 100 }, () => Promise.reject(new Error('it broke'))), { message: 'it broke' })
})

t.test('one exchange in ten is refused, and most of the others are tunnels', async (t) => {
  const count = (is: (sample: typeof samples[number]) => boolean): number => samples.filter(is).length
  t.equal(count((sample) => sample.answer.verdict === 'deny'), samples.length / 10)
  t.equal(count((sample) => sample.answer.verdict === 'allow' && sample.subject.protocol === 'https_connect'), 12)
  t.ok(samples.every((sample) => (sample.answer.verdict === 'allow') === (sample.ending.outcome === 'completed')))
})

const cost = (name: JournalCost['load'], decisionCpu: number, stallMs: number): JournalCost => ({ ...costOf(load, variants, shape), load: name, decisionCpu, stallMs })
const round = (decisionCpu: number, stallMs: number): JournalRound => ({
  costs: [cost('steady-2000', decisionCpu, stallMs), cost('steady-8000', 4, 1), cost('flat-out', 3, 50)],
  catchUp: { records: 100_003, rate: 20_000, recordCpu: 60 },
  foreign: 0.3,
})

const resultsOf = (journal: JournalRuns): Results => ({
  schema: 1,
  date: '2026-11-20T12:00:00.000Z',
  machine: { cores: 2, cpu: 'a processor', memoryGiB: 16, kernel: 'Linux 6.18', pinned: true },
  node: 'v26.10.0',
  options: { quick: false, rounds: 3, seconds: 2 },
  peers: [],
  skipped: [],
  rows: [],
  lists: [],
  journal,
})

const runs: JournalRuns = { rounds: [round(12, 3), null, round(14, 9), round(13, 4)], error: 'it broke' }

t.test('figures are told round by round, and a round that failed has none', async (t) => {
  t.same(journalFigures(runs, 'steady-2000', (entry) => entry.decisionCpu), [12, undefined, 14, 13])
  t.same(journalFigures(undefined, 'steady-2000', (entry) => entry.decisionCpu), [])
})

t.test('the tables show the median of the costs and the longest of the stalls', async (t) => {
  const text = renderTables(resultsOf(runs))
  t.match(text, '3 of 4 rounds; it broke')
  t.match(text, '| 2,000 exchanges/s | 13 | 12–14 | 20 | 4.00 | 10 | 9.00 | 1.00 | 2,000 | 1,200 | 5.00 | 18 |')
  t.match(text, '| 100,003 | 20,000 | 20,000–20,000 | 60 | 60–60 |')
  t.match(renderTables(resultsOf({ rounds: [null], error: 'it broke' })), '0 of 1 rounds; it broke')
})

t.test('W7 is judged by the median decision of each load and by the longest stall at a steady rate', async (t) => {
  const verdicts = (journal: JournalRuns) => budgets(resultsOf(journal)).find((budget) => budget.workload === 'W7')
  t.match(verdicts(runs), { floor: [{ measured: 13, met: true }, { met: true }, { met: true }, { measured: 9, met: true }], goal: [{ met: false }, { met: true }, { met: true }] })
  t.match(verdicts({ rounds: [round(16, 11)] })?.floor.map((entry) => entry.met), [false, true, true, false])
  t.match(verdicts({ rounds: [null], error: 'it broke' })?.floor.map((entry) => entry.met), [undefined, undefined, undefined, undefined])
  t.match(renderBudgets(resultsOf(runs)), 'CPU per decision, flat out ≤ 15 µs: 3.00, met')
  t.match(renderBudgets(resultsOf(runs)), 'longest stall ≤ 10 ms: 9.00, met')
})

t.test('every load that is measured is judged', async (t) => {
  const floor = budgets(resultsOf(runs)).find((budget) => budget.workload === 'W7')?.floor ?? []
  for (const { title } of journalLoads) t.ok(floor.some((entry) => entry.what.endsWith(title)), title)
})

t.test('the method tells of other work while W7 ran', async (t) => {
  t.match(renderMethod(resultsOf(runs)), 'Other work of the machine took up to 30 %')
})

t.test('W7 is asked for by name and is part of a full run', async (t) => {
  t.same(parseOptions(['--only', 'w7'])?.only, new Set(['w7']))
  t.ok(parseOptions([])?.only.has('w7'))
})
