import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { segmentName } from '../../src/audit/segments.ts'
import { auditCommand } from '../../src/cli/audit.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { allowed, denied, folder, openTestJournal, redaction, subject, until } from '../audit/fixture.ts'

interface Output extends CommandIo {
  text: string
  errors: string
}

function output(cwd: string, options: { isTty?: boolean; signal?: AbortSignal } = {}): Output {
  const io: Output = { text: '', errors: '', cwd, isTty: false, ...options, out: (text) => void (io.text += text), err: (text) => void (io.errors += text) }
  return io
}

async function journaled(t: Test): Promise<string> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await journal.append(decisionEvent({ ...subject, requestId: 'r-1' }, allowed, 'policy', redaction))
  await journal.append(decisionEvent({ ...subject, requestId: 'r-2', host: 'pastebin.com' }, denied, 'policy', redaction))
  await journal.append(decisionEvent({ ...subject, requestId: 'r-3', host: 'evil.test\u001b[2J\u202e', principal: { ...subject.principal, session: 's-2' } }, denied, 'policy', redaction))
  await journal.close()
  return dir
}

async function run(dir: string, ...argv: string[]): Promise<Output & { code: number }> {
  const io = output(dir)
  const code = await auditCommand.run([...argv, '--data', dir], io)
  return { ...io, code }
}

const requestIds = (text: string): string[] => [...text.matchAll(/\[(r-\d+)\]/g)].map(([, id = '']) => id)

t.test('tail shows the newest records, oldest first, one line each', async (t) => {
  const dir = await journaled(t)
  const { text, code } = await run(dir, 'tail')
  t.equal(code, 0)
  t.strictSame(requestIds(text), ['r-1', 'r-2', 'r-3'])
  t.equal(text.trimEnd().split('\n').length, 3)
  t.match(text, /deny {5}s-1 {2}denied pastebin\.com:443: pastebin\.com is on the denied list/)
  t.strictSame(requestIds((await run(dir, 'tail', '-n', '1')).text), ['r-3'])
})

t.test('tail filters by host, verdict and session', async (t) => {
  const dir = await journaled(t)
  t.strictSame(requestIds((await run(dir, 'tail', '--host', '*.EXAMPLE.com')).text), ['r-1'])
  t.strictSame(requestIds((await run(dir, 'tail', '--verdict', 'deny')).text), ['r-2', 'r-3'])
  t.strictSame(requestIds((await run(dir, 'tail', '--session', 's-2')).text), ['r-3'])
  t.equal((await run(dir, 'tail', '--session', 'nobody')).text, '')
})

t.test('nothing that a terminal would act on is printed, in either form', async (t) => {
  const dir = await journaled(t)
  for (const form of [[], ['--json']]) {
    const { text } = await run(dir, 'tail', ...form)
    t.notMatch(text.replaceAll('\n', ''), /[^\x20-\x7e]/)
  }
})

t.test('--json prints the records as they are journaled', async (t) => {
  const dir = await journaled(t)
  t.equal((await run(dir, 'tail', '--json')).text, readFileSync(join(dir, 'journal', segmentName(1)), 'latin1'))
})

t.test('a terminal gets colour, by verdict', async (t) => {
  const dir = await journaled(t)
  const io = output(dir, { isTty: true })
  await auditCommand.run(['tail', '--data', dir], io)
  t.ok(io.text.includes('\u001b[31mdeny   \u001b[39m'))
  t.ok(io.text.includes('\u001b[32mallow  \u001b[39m'))
})

t.test('--follow goes on with what is appended, over rotations, until it is interrupted', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { segmentBytes: 2500 })
  await journal.append(decisionEvent({ ...subject, requestId: 'r-0' }, allowed, 'policy', redaction))
  const stop = new AbortController()
  const io = output(dir, { signal: stop.signal })
  const ended = auditCommand.run(['tail', '-f', '-n', '5', '--verdict', 'allow', '--data', dir], io)
  await until(() => io.text.includes('r-0'))
  for (let at = 1; at < 8; at++) await journal.append(decisionEvent({ ...subject, requestId: `r-${at}` }, allowed, 'policy', redaction))
  await until(() => io.text.includes('r-7'))
  stop.abort()
  t.equal(await ended, 0)
  t.strictSame(requestIds(io.text), Array.from({ length: 8 }, (_, at) => `r-${at}`))
})

t.test('verify says that the journal is intact, and where it ends', async (t) => {
  const dir = await journaled(t)
  const { code, text } = await run(dir, 'verify')
  t.equal(code, 0)
  t.match(text, /the journal is intact: records 1 to 3, 3 in 1 segment\nhash of record 3: [0-9a-f]{64}\n/)
  t.match(JSON.parse((await run(dir, 'verify', '--json')).text), { ok: true, records: 3, first_seq: 1, last_seq: 3, fault: null })
})

t.test('verify names the first record that was changed, and ends with 1', async (t) => {
  const dir = await journaled(t)
  const path = join(dir, 'journal', segmentName(1))
  writeFileSync(path, readFileSync(path, 'latin1').replace('pastebin.com', 'pastebin.org'))
  const { code, errors } = await run(dir, 'verify')
  t.equal(code, 1)
  t.ok(errors.includes(`the journal is not intact: ${path} line 2 (record 2): the hash does not match the record: it was changed`))
  const json = await run(dir, 'verify', '--json')
  t.equal(json.code, 1)
  t.match(JSON.parse(json.text), { ok: false, fault: { file: path, line: 2, seq: 2 } })
})

t.test('tail counts lines that are no valid records', async (t) => {
  const dir = await journaled(t)
  const path = join(dir, 'journal', segmentName(1))
  writeFileSync(path, readFileSync(path, 'latin1').replace('pastebin.com', 'pastebin.org'))
  const { text, errors } = await run(dir, 'tail')
  t.strictSame(requestIds(text), ['r-1', 'r-3'])
  t.match(errors, /1 line is no valid record/)
})

t.test('a folder without a journal is said, and ends with 1', async (t) => {
  const dir = folder(t)
  for (const what of ['tail', 'verify']) {
    const { code, errors } = await run(dir, what)
    t.equal(code, 1)
    t.match(errors, /there is no journal in/)
  }
  t.match(JSON.parse((await run(dir, 'verify', '--json')).text), { ok: false, records: 0, fault: { file: join(dir, 'journal'), what: 'there is no journal here' } })
})

t.test('a wrong command line is a usage error', async (t) => {
  const dir = folder(t)
  for (const argv of [[], ['list'], ['tail', '-n', '0'], ['tail', '-n', 'x'], ['tail', '--verdict', 'maybe']]) {
    await t.rejects(auditCommand.run(argv, output(dir)), { name: 'UsageError' }, argv.join(' '))
  }
  await t.rejects(auditCommand.run(['tail', '--frobnicate'], output(dir)), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' })
  t.match(auditCommand.usage, /examples:/)
  for (const word of ['tail', 'verify']) t.match(auditCommand.usageOf?.([word]), new RegExp(`^usage: sallyport audit ${word} .*examples:`, 's'))
})
