// How the proxy stands an outage of its collector: figures for docs/performance.md. The short form of it runs in
// test/audit/collector-outage.test.ts. It ends with 1 when a record was lost, came out of order, or too many came twice.
import { parseArgs } from 'node:util'
import { collectorOutage } from '../support/collector-outage.ts'
import { withScope } from '../support/scope.ts'

const usage = `usage: node test/scripts/collector-outage.ts [--minutes N] [--rate N] [--json]

Requests go on at a steady pace while the collector is away, and after it is back.

  --minutes N   how long the collector is away (60)
  --rate N      records a second, two for each request (200)
  --json        one JSON object on stdout instead of a table
  --help        this text

examples:
  node test/scripts/collector-outage.ts
  node test/scripts/collector-outage.ts --minutes 10 --json
`

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' }, rate: { type: 'string', default: '200' }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } })
const minutes = Number(values.minutes)
const rate = Number(values.rate)
if (values.help) {
  process.stdout.write(usage)
} else if (!(minutes > 0 && rate >= 2)) {
  process.stderr.write(`--minutes and --rate are numbers above 0\n\n${usage}`)
  process.exitCode = 2
} else {
  await withScope(async (scope) => {
    const result = await collectorOutage(scope, { warmMs: 60_000, outageMs: minutes * 60_000, rate, onProgress: (line) => process.stderr.write(`${line}\n`) })
    const { latency, ...figures } = result
    if (values.json) process.stdout.write(`${JSON.stringify({ minutes, rate, ...result }, undefined, 2)}\n`)
    else {
      for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(22)} ${value}\n`)
      for (const [name, { requests, p50Ms, p99Ms }] of Object.entries(latency)) process.stdout.write(`${`requests, ${name}`.padEnd(22)} ${requests}, p50 ${p50Ms} ms, p99 ${p99Ms} ms\n`)
    }
    process.exitCode = result.lost === 0 && result.outOfOrder === 0 && result.mostDuplicatesInPost <= 512 && result.duplicates <= 512 ? 0 : 1
  })
}
