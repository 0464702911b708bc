// kill -9 at any moment: every acknowledged record is there, and the chain goes on.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import t from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { folder, openTestJournal, readRecords } from './fixture.ts'

const rounds = 20

t.test(`${rounds} rounds of kill -9 lose no acknowledged record`, async (t) => {
  const dir = folder(t)
  const acknowledged: string[] = []
  for (let round = 0; round < rounds; round++) {
    const child = spawn(process.execPath, [resolve(import.meta.dirname, 'crash-child.ts'), dir, String(round)], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } })
    const exited = once(child, 'exit')
    let text = ''
    // after a number of acknowledgements that differs from round to round
    const enough = 1 + ((round * 37) % 300)
    child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
      if (text.split('\n').length > enough) child.kill('SIGKILL')
    })
    await once(child.stdout, 'end')
    await exited
    acknowledged.push(...text.split('\n').slice(0, -1))
  }
  const journal = await openTestJournal(t, dir)
  await journal.close()
  const written = new Set((await readRecords(t, dir)).map(({ attributes }) => attributes['sallyport.request.id']))
  t.strictSame(acknowledged.filter((id) => !written.has(id)), [])
  t.ok(acknowledged.length >= rounds)
  t.equal((await verifyJournal(join(dir, 'journal'))).fault, undefined)
})
