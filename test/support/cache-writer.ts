// A process that works on a cache until it is killed: `node cache-writer.ts DIR MAXBYTES SEED`. It says what it is
// about to do and what it has done, a line each, before it goes on: `try URL`, `put URL DIGEST`, `gone URL`.
import { writeSync } from 'node:fs'
import { openCacheStore } from '../../src/cache/sqlite-cache-store.ts'
import { systemClock } from '../../src/clock.ts'

const [dir = '', maxBytes = '0', seed = '0'] = process.argv.slice(2)
const say = (line: string) => writeSync(1, `${line}\n`)
const store = openCacheStore({
  dir, maxBytes: Number(maxBytes), maxBodyBytes: 4_194_304, clock: systemClock,
  onFault: (fault) => say(`fault ${String(fault)}`),
})
say('open')
const sizes = [0, 10, 3_000, 100_000, 1_500_000]

async function work(worker: number): Promise<never> {
  for (let turn = 0; ; turn++) {
    const url = `https://a.test/${worker}/${turn % 12}`
    const key = { shelf: 'web', partition: 'common', url } as const
    say(`try ${url}`)
    if (turn % 7 === 3) {
      for (const { id } of store.find(key)) store.remove(id)
      say(`gone ${url}`)
      continue
    }
    const writer = store.writeBody()
    // some bodies are equal to others
    const content = Buffer.alloc(sizes[(turn + worker) % sizes.length] ?? 0, turn % 3 === 0 ? 'same' : `${seed} ${worker} ${turn} `)
    await writer.write(content.subarray(0, content.byteLength / 2))
    await writer.write(content.subarray(content.byteLength / 2))
    const { bodyDigest } = store.put(
      { key, status: 200, reason: 'OK', fields: [], vary: [], storedMs: turn, initialAgeMs: 0, source: 'added', by: 'ada', pinned: false, capturedMs: undefined },
      await writer.finish(),
    )
    say(`put ${url} ${bodyDigest}`)
  }
}

await Promise.all([work(0), work(1), work(2)])
