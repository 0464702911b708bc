// Reads everything that a run of the suite kept for secrets: `SALLYPORT_KEEP_LOGS=DIR npm test`, then
// `node test/scripts/scan-logs.ts DIR`. Prints file and line of each finding, never the secret, and what was read; ends
// with 1 where anything is found, or nothing was there to read.
import { createReadStream, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { scanText } from '../support/secret-scan.ts'

const chunkChars = 512 * 1024

const [dir] = process.argv.slice(2)
if (dir === undefined) {
  console.error('usage: node test/scripts/scan-logs.ts DIR')
  process.exit(2)
}

const counted = { journals: 0, 'set aside': 0, logs: 0 }
let lines = 0
let bytes = 0
let found = 0

for (const path of files(dir)) {
  counted[kindOf(path)]++
  let text = ''
  let before = 0
  for await (const chunk of createReadStream(path, { encoding: 'latin1', highWaterMark: chunkChars })) {
    text += String(chunk)
    const end = text.lastIndexOf('\n') + 1
    if (end > 0) before += await scan(path, text.slice(0, end), before)
    text = text.slice(end)
  }
  if (text !== '') await scan(path, `${text}\n`, before)
}

const kinds = Object.entries(counted).map(([kind, count]) => `${count} ${kind}`).join(', ')
console.log(`scanned ${kinds}: ${lines} lines, ${(bytes / 1024 / 1024).toFixed(1)} MiB; ${found} ${found === 1 ? 'finding' : 'findings'}`)
if (lines === 0) console.error(`there is nothing to scan in \`${dir}\`: run the tests with SALLYPORT_KEEP_LOGS=${dir}`)
process.exitCode = found > 0 || lines === 0 ? 1 : 0

/** Says what is found; returns how many lines it were. */
async function scan(path: string, text: string, before: number): Promise<number> {
  for (const { line, rule } of await scanText(text)) {
    found++
    console.error(`${relative(dir ?? '', path)}:${before + line}: ${rule}`)
  }
  const count = text.split('\n').length - 1
  lines += count
  bytes += text.length
  return count
}

function* files(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* files(path)
    else yield path
  }
}

function kindOf(path: string): keyof typeof counted {
  if (/poison|torn|corrupt/.test(path)) return 'set aside'
  return path.endsWith('.jsonl') ? 'journals' : 'logs'
}
