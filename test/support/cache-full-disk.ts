// A process whose files may grow to a limit that the system enforces: `node cache-full-disk.ts DIR`. It prints what
// its cache did, as JSON.
import { openCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { systemClock } from '../../src/clock.ts'
import { ProxyError } from '../../src/errors.ts'

const [dir = ''] = process.argv.slice(2)
const faults: string[] = []
const store = openCacheStore({ dir, maxBytes: 1_073_741_824, maxBodyBytes: 1_073_741_824, clock: systemClock, onFault: (fault) => faults.push(String(fault)) })

async function keep(url: string, bytes: number, fieldBytes: number): Promise<string> {
  try {
    const writer = store.writeBody()
    for (let left = bytes; left > 0; left -= 50_000) await writer.write(Buffer.alloc(Math.min(left, 50_000), url))
    const body = await writer.finish()
    store.put({ key: { shelf: 'web', partition: 'common', url }, status: 200, reason: 'OK', fields: ['x-large', 'x'.repeat(fieldBytes)], vary: [], storedMs: 1, initialAgeMs: 0, source: 'added', by: 'ada', pinned: false, capturedMs: undefined }, body)
    return 'kept'
  } catch (error) {
    return error instanceof ProxyError ? error.code : String(error)
  }
}

const small = await keep('https://a.test/small', 10_000, 10)
const large = await keep('https://a.test/large', 4_000_000, 10)
const after = await keep('https://a.test/after', 10_000, 10)
let kept = 0
let outcome = 'kept'
for (; outcome === 'kept' && kept < 1_000; kept++) outcome = await keep(`https://a.test/many/${kept}`, 1_000, 20_000)
const found = store.list({}, 2_000).length
process.stdout.write(JSON.stringify({ small, large, after, kept: kept - 1, outcome, found, stats: store.stats(), faults }))
// not closed: as if it had been killed
process.exit(0)
