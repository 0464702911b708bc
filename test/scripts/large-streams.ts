// The long run of test/e2e/intercept-memory.test.ts: `node test/scripts/large-streams.ts [MIB]`, 1024 without one. Prints a
// line each way and version; ends with 1 when the proxy grew by more than 32 MiB or a byte is missing.
import { withScope } from '../support/scope.ts'
import { streamMemory } from '../support/stream-memory.ts'

const mib = 1024 * 1024
const [size = '1024'] = process.argv.slice(2)

await withScope(async (scope) => {
  for (const { version, way, bytes, arrived, before, peak, ms } of await streamMemory(scope, Number(size) * mib, 128 * mib)) {
    const grown = peak - before
    const isFine = arrived === bytes && grown <= 32 * mib
    if (!isFine) process.exitCode = 1
    const figures = `${Math.round(before / mib)} -> ${Math.round(peak / mib)} MiB resident, ${Math.round(bytes / mib / (ms / 1000))} MiB/s`
    console.log(`${version} ${way}: ${arrived} of ${bytes} bytes, ${figures}${isFine ? '' : ' TOO MUCH'}`)
  }
})
