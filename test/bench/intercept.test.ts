// W4: what a load must have been to count, and how its figures are shown and judged.
import t from 'tap'
import { budgets } from '../../bench/budgets.ts'
import { checkTls } from '../../bench/intercept/load.ts'
import type { TlsLoadResult } from '../../bench/intercept/load.ts'
import { parseOptions } from '../../bench/options.ts'
import type { Results, Round } from '../../bench/results.ts'
import { renderTables } from '../../bench/tables.ts'

const answered: TlsLoadResult = { operations: 500, errors: 0, bytes: 1, connections: 500, seconds: 1, resumed: 0, p50: 0, p99: 0, error: '' }
const round = (cost: number, p99?: number): Round => ({ cost, rate: 1000, operations: 1000, foreign: 0, ...(p99 === undefined ? {} : { p99 }) })

const results: Results = {
  schema: 1,
  date: '2026-11-20T12:00:00.000Z',
  machine: { cores: 2, cpu: 'a processor', memoryGiB: 16, kernel: 'Linux 6.18', pinned: true },
  node: 'v26.10.0',
  options: { quick: false, rounds: 2, seconds: 2 },
  peers: [],
  skipped: [],
  rows: [
    { workload: 'w4a', peer: 'sallyport', rounds: [round(40), round(50)] },
    { workload: 'w4a', peer: 'squid ssl-bump', rounds: [round(80), round(100)] },
    { workload: 'w4a', peer: 'http-mitm-proxy', rounds: [round(80), round(100)] },
    { workload: 'w4b', peer: 'sallyport', rounds: [round(400), null] },
    { workload: 'w4b', peer: 'http-mitm-proxy', rounds: [round(1000), round(1000)] },
    { workload: 'w4b', peer: 'squid ssl-bump (by name)', rounds: [round(800), round(800)] },
    { workload: 'w4c', peer: 'sallyport', rounds: [round(3, 9), round(5, 20)] },
    { workload: 'w4c', peer: 'squid ssl-bump', rounds: [round(6, 30), round(10, 40)] },
  ],
  lists: [],
  hosts: [
    { peer: 'sallyport', seconds: 20, resident: [{ hosts: 0, bytes: 100e6 }, { hosts: 2500, bytes: 150e6 }, { hosts: 5000, bytes: 160e6 }, { hosts: 7500, bytes: 160e6 }, { hosts: 10_000, bytes: 160e6 }] },
    { peer: 'grows', seconds: 10, resident: [{ hosts: 0, bytes: 50e6 }, { hosts: 50, bytes: 60e6 }, { hosts: 100, bytes: 60e6 + 50 * 1024 * 300 }] },
  ],
}

t.test('a load counts when everything was answered in the way it is about', async (t) => {
  const load = (mode: 'keep' | 'full' | 'resumed') => ({ mode, concurrency: 32 })
  t.equal(checkTls(load('keep'), answered), answered)
  t.equal(checkTls(load('full'), answered), answered)
  t.throws(() => checkTls(load('full'), { ...answered, resumed: 3 }), { message: '3 handshakes were not full' })
  t.throws(() => checkTls(load('resumed'), { ...answered, resumed: 400 }), { message: 'it does not resume: 400 of 500 handshakes did' })
  t.equal(checkTls(load('resumed'), { ...answered, resumed: 468 }).resumed, 468, 'each of 32 clients begins without a session')
  t.throws(() => checkTls(load('keep'), { ...answered, errors: 2, error: 'the proxy did not intercept' }), { message: '2 of 500 connections failed: the proxy did not intercept' })
  t.throws(() => checkTls(load('keep'), { ...answered, operations: 0 }), { message: /connections failed/ })
})

t.test('the time of a first request is shown with its 99th percentile in place of a rate', async (t) => {
  const text = renderTables(results)
  t.match(text, '| sallyport | 4.00 | 3.00–5.00 | 15 | 9.00–20 | 1.00 |')
  t.match(text, '| squid ssl-bump | 8.00 | 6.00–10 | 35 | 30–40 | 0.50 |')
  t.match(text, /ms from connecting to the end of the answer \| min–max \| 99th percentile, ms/)
})

t.test('memory of intercepted hosts says what the second half of them adds', async (t) => {
  const text = renderTables(results)
  t.match(text, '| sallyport | 10,000 | 100 | 160 | 0.00 | 500 |')
  t.match(text, '| grows | 100 | 50 | 75 | 300 | 10 |')
  const { hosts: _, ...without } = results
  t.notMatch(renderTables(without), 'memory of intercepted hosts')
})

t.test('W4 is judged against squid as it is usually set up, and W4c by its milliseconds too', async (t) => {
  const find = (name: string) => budgets(results).find((budget) => budget.workload === name)
  t.match(find('W4a'), { floor: [{ measured: 0.5, met: true }, { measured: 0.5, met: false }], goal: [{ measured: 0.5, met: true }] })
  t.match(find('W4b'), { floor: [{ measured: 0.4, met: true }, { measured: undefined, met: undefined }], goal: [{ measured: 0.4, met: false }] })
  t.match(find('W4c'), { floor: [{ measured: 0.5, met: true }, { measured: 4, met: true }], goal: [{ met: false }, { met: false }] })
})

t.test('W4 is asked for by name and is part of a full run', async (t) => {
  t.same(parseOptions(['--only', 'w4'])?.only, new Set(['w4']))
  t.ok(parseOptions([])?.only.has('w4'))
})
