// Large bodies inside TLS take the proxy no memory of their size; 1 GiB each way is test/scripts/large-streams.ts.
import { existsSync } from 'node:fs'
import t from 'tap'
import { effort } from '../support/effort.ts'
import { streamMemory } from '../support/stream-memory.ts'

const mib = 1024 * 1024
const bytes = effort(96, 128) * mib
// what the collector has not looked at yet counts too; a body that were kept would be half as much again
const growth = 64 * mib

t.test(`${bytes / mib} MiB up and down, in HTTP/1.1 and HTTP/2, grow the proxy by less than ${growth / mib} MiB`, { skip: existsSync('/proc/self/status') ? false : 'there is no /proc here' }, async (t) => {
  for (const { version, way, arrived, before, peak } of await streamMemory(t, bytes, 16 * mib)) {
    t.equal(arrived, bytes, `${version} ${way}: all of it`)
    t.ok(peak - before < growth, `${version} ${way}: from ${Math.round(before / mib)} to ${Math.round(peak / mib)} MiB`)
  }
})
