// The parked part of W6: how its figures come out of what was measured, and how they are shown and judged.
import { mkdtempSync, appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { budgets } from '../../bench/budgets.ts'
import { parkedCost, parkedFigures, parkedLoads, parkedOf, percentile, quickened } from '../../bench/parked/figures.ts'
import type { ParkedLoad, ParkedMeasured, ParkedRound, ParkedRuns } from '../../bench/parked/figures.ts'
import { Ledger } from '../../bench/parked/ledger.ts'
import { renderBudgets, renderMethod } from '../../bench/report.ts'
import type { Results } from '../../bench/results.ts'
import { renderTables } from '../../bench/tables.ts'

const load: ParkedLoad = { name: 'shared', title: '10 on each question', sessions: 500, hosts: 2, connections: 10 }
const measured: ParkedMeasured = {
  parked: 10_000, questions: 1000, residentBefore: 150 * 2 ** 20, residentAfter: 150 * 2 ** 20 + 9 * 1024 * 10_000, parkMs: 5000, left: 12_500, leaveMs: 800,
  releaseMs: 3000, lastReleaseMs: 12, latenciesMs: Array.from({ length: 200 }, (_, place) => 200 - place),
}

t.test('memory is what the second batch adds, for each of it', async (t) => {
  t.match(parkedCost(load, measured), { load: 'shared', parked: 10_000, residentKiB: 9, parkRate: 2000, leaveSeconds: 0.8, releaseSeconds: 3, lastReleaseMs: 12, latencyP50: 100, latencyP99: 198 })
})

t.test('a run that was not what it should be gives no figures', async (t) => {
  t.throws(() => parkedCost(load, { ...measured, parked: 9999 }), { message: /9999 were parked, not 10000/ })
  t.throws(() => parkedCost(load, { ...measured, questions: 10 }), { message: /10 questions were open, not 1000/ })
  t.throws(() => parkedCost(load, { ...measured, latenciesMs: [] }), { message: /nothing to take a percentile of/ })
})

t.test('a percentile is a value that was measured, and not below its share of them', async (t) => {
  t.same([0, 0.5, 0.99, 1].map((share) => percentile([30, 10, 20, 40], share)), [10, 20, 40, 40])
  t.equal(percentile([7], 0.5), 7)
})

t.test('both loads park ten thousand, and a first look a fifth of that', async (t) => {
  t.same(parkedLoads.map(parkedOf), [10_000, 10_000])
  t.same(parkedLoads.map((each) => parkedOf(quickened(each))), [2000, 2000])
  t.ok(parkedLoads.every(({ hosts }) => hosts <= 20), 'within the questions that a session may have open by default')
})

function round(resident: number, foreign = 0): ParkedRound {
  return { foreign, costs: parkedLoads.map((each) => ({ ...parkedCost(load, measured), load: each.name, residentKiB: resident })) }
}

function resultsOf(parked: ParkedRuns): Results {
  return {
    schema: 1, date: '2026-01-02T03:04:05Z', machine: { cores: 2, cpu: 'a processor', memoryGiB: 8, kernel: 'Linux 6', pinned: true }, node: 'v26.10.0',
    options: { quick: false, rounds: 3, seconds: 2 }, peers: [], skipped: [], rows: [], lists: [], parked,
  }
}

t.test('the budgets are judged by the median over the rounds, each load by itself', async (t) => {
  const results = resultsOf({ rounds: [round(8), null, round(13), round(9)] })
  t.same(parkedFigures(results.parked, 'own', ({ residentKiB }) => residentKiB), [8, undefined, 13, 9])
  const budget = budgets(results).find(({ workload }) => workload === 'W6 parked')
  t.match(budget?.floor, [{ what: 'resident, 10 on each question', limit: '≤ 12 KiB', measured: 9, met: true }, { what: 'resident, each its own question', met: true }])
  t.match(budget?.goal, [{ limit: '≤ 7 KiB', met: false }, { met: false }])
  t.match(renderBudgets(results), /\| W6 parked \| resident, 10 on each question ≤ 12 KiB: 9\.00, met/)
})

t.test('a run without it judges nothing and shows nothing', async (t) => {
  const { parked: _, ...without } = resultsOf({ rounds: [] })
  t.match(budgets(without).find(({ workload }) => workload === 'W6 parked')?.floor, [{ measured: undefined, met: undefined }, { met: undefined }])
  t.notMatch(renderTables(without), /parked/)
})

t.test('the table has a row for each load, and says which rounds are missing', async (t) => {
  const text = renderTables(resultsOf({ rounds: [round(9), null], error: 'it ended without a result' }))
  t.match(text, /### W6: parked requests\n\n1 of 2 rounds; it ended without a result\n/)
  t.match(text, /\| 10 on each question \| 10,000 \| 1,000 \| 9\.00 \| 9\.00–9\.00 \| 2,000 \| 3\.00 \| 12 \| 0\.80 \| 100 \| 198 \|/)
  t.match(text, /\| each its own question \|/)
})

t.test('other work of the machine is said where the figures stand', async (t) => {
  t.match(renderMethod(resultsOf({ rounds: [round(9, 0.42)] })), /took up to 42 % of the proxies' core/)
})

t.test('the ledger counts what the journal says while it is written, also within a line', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-ledger-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'segment-000000000001.jsonl')
  writeFileSync(file, '{"name":"sallyport.process.started"}\n')
  const ledger = new Ledger(dir)
  t.teardown(() => ledger.close())
  const request = '{"name":"sallyport.approval.requested","attributes":{"sallyport.approval.id":"01A","session.id":"s1","server.address":"h0.parked.test"}}\n'
  appendFileSync(file, '{"name":"sallyport.decision","attributes":{"network.policy.decision":"ask"}}\n{"name":"sallyport.decision","attributes":{"network.policy.decision":"allow"}}\n')
  appendFileSync(file, request.slice(0, 60))
  await ledger.until(() => ledger.questions === 1, 'a question')
  appendFileSync(file, `${request.slice(60)}{"name":"sallyport.exchange.ended"}\n`)
  await ledger.until(() => ledger.ended === 1, 'an end')
  t.same([ledger.questions, ledger.ended, [...ledger.approvals]], [1, 1, [['s1 h0.parked.test', '01A']]])
  await t.rejects(ledger.until(() => ledger.ended === 2, 'an end', 1), { message: /^an end did not come: 1 questions, 1 ends$/ })
})
