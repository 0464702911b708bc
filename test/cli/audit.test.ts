import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { approvalDecidedEvent, approvalRequestedEvent, grantCreatedEvent, grantRevokedEvent, grantUsedEvent } from '../../src/audit/approval-events.ts'
import { controlCalledEvent } from '../../src/audit/control-events.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { endedEvent } from '../../src/audit/ended-event.ts'
import { IndexKeeper } from '../../src/audit/index-keeper.ts'
import { removeIndex } from '../../src/audit/record-index.ts'
import { segmentName } from '../../src/audit/segments.ts'
import { sessionStartedEvent } from '../../src/audit/session-events.ts'
import { auditCommand } from '../../src/cli/audit.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { allowed, approval, call, decided, denied, folder, grant, openTestJournal, redaction, session, subject, testClock, until } from '../audit/fixture.ts'
import { fakeProcess } from './fake-io.ts'

const command = auditCommand(fakeProcess())

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
  const code = await command.run([...argv, '--data', dir], io)
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
  await command.run(['tail', '--data', dir], io)
  t.ok(io.text.includes('\u001b[31mdeny   \u001b[39m'))
  t.ok(io.text.includes('\u001b[32mallow  \u001b[39m'))
})

t.test('--follow goes on with what is appended, over rotations, until it is interrupted', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { segmentBytes: 2500 })
  await journal.append(decisionEvent({ ...subject, requestId: 'r-0' }, allowed, 'policy', redaction))
  const stop = new AbortController()
  const io = output(dir, { signal: stop.signal })
  const ended = command.run(['tail', '-f', '-n', '5', '--verdict', 'allow', '--data', dir], io)
  await until(() => io.text.includes('r-0'))
  for (let at = 1; at < 8; at++) await journal.append(decisionEvent({ ...subject, requestId: `r-${at}` }, allowed, 'policy', redaction))
  await until(() => io.text.includes('r-7'))
  stop.abort()
  t.equal(await ended, 0)
  t.strictSame(requestIds(io.text), Array.from({ length: 8 }, (_, at) => `r-${at}`))
})

t.test('a line says which page it is about, where the event does', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  const asked = { ...subject, method: 'GET', protocol: 'http' as const, path: '/docs/a b\u202e', query: 'q=1' }
  await journal.append(decisionEvent({ ...asked, requestId: 'r-1' }, denied, 'policy', redaction))
  await journal.append(endedEvent({ ...asked, requestId: 'r-1' }, { outcome: 'refused', bytesFromClient: 0, bytesFromOrigin: 0 }, 1))
  await journal.append(controlCalledEvent(call))
  await journal.close()
  const lines = (await run(dir, 'tail')).text.trimEnd().split('\n')
  t.match(lines[0], / s-1 {2}GET \/docs\/a b\\u\{202e\}\?q {2}denied api\.example\.com:443/)
  t.match(lines[1], / s-1 {2}GET {2}refused /)
  t.match(lines[2], / - {2}bob \(reviewer\) called POST/)
})

t.test('search tells what fits, the newest last, with an index and without', async (t) => {
  const dir = await journaled(t)
  const both = async (...argv: string[]): Promise<Output & { code: number }> => {
    const without = await run(dir, 'search', ...argv)
    const keeper = new IndexKeeper({ dir: join(dir, 'journal'), pollMs: 1, restFactor: 0, busyBytesPerS: Number.POSITIVE_INFINITY, maxLagBytes: 0, busyRestFactor: 0, onLog: () => undefined })
    while ((await keeper.step()) !== 1) { /* on */ }
    const withIndex = await run(dir, 'search', ...argv)
    t.equal(withIndex.text, without.text, argv.join(' '))
    keeper.stop()
    await keeper.run()
    removeIndex(join(dir, 'journal'))
    return withIndex
  }
  t.strictSame(requestIds((await both('--verdict', 'deny')).text), ['r-2', 'r-3'])
  const one = await both('--verdict', 'deny', '-n', '1')
  t.strictSame(requestIds(one.text), ['r-3'])
  t.match(one.errors, /there may be older ones: -n 10/)
  t.strictSame(requestIds((await both('--agent', 'CODEX', '--session', 's-*', '--event', 'decision', '--rule', 'denied_domains', '--since', '1h')).text), ['r-2', 'r-3'])
  t.equal((await both('--count', '--owner', 'alice')).text, '3\n')
  t.equal((await both('--count', '--json', '--session', 's-2')).text, '{"count":1}\n')
  t.equal((await both('--json', '--request', 'r-1')).text, (await run(dir, 'tail', '--json', '--request', 'r-1')).text)
  const nothing = await both('--host', 'pastebin.comm', '--until', '1s')
  t.equal(nothing.text, '')
  t.match(nothing.errors, /no record fits --host pastebin\.comm --until 1s: records 1 to 3 were searched, the oldest of 20/)
  t.match(nothing.errors, /no host that is indexed fits `pastebin\.comm`; did you mean `pastebin\.com`\?/)
})

t.test('show tells an exchange in order: asked, by which rule, who answered, what was dialled, how it ended', async (t) => {
  const dir = folder(t)
  const clock = testClock()
  const journal = await openTestJournal(t, dir, { clock })
  const asked = { ...subject, requestId: 'r-1', host: approval.host }
  const rule = { id: 'unknown', pattern: '*', file: 'policies/10-base.toml', line: 3 }
  await journal.append(sessionStartedEvent({ ...session, id: 's-1' }, 'admin'))
  await journal.append(decisionEvent(asked, { ...denied, verdict: 'ask', code: 'approval_required', reason: 'unknown hosts are asked about', rule, approvalId: approval.id }, 'policy', redaction))
  await journal.append(approvalRequestedEvent(approval, 'abc'))
  clock.advance(41_000)
  await journal.append(approvalDecidedEvent(approval, decided))
  await journal.append(grantCreatedEvent(grant))
  await journal.append(decisionEvent(asked, { ...allowed, grant }, 'approval', redaction))
  await journal.append(grantUsedEvent(grant, 'r-1', 's-1'))
  await journal.append(decisionEvent({ ...asked, requestId: 'r-2' }, { ...allowed, grant }, 'policy', redaction))
  await journal.append(endedEvent(asked, { outcome: 'completed', status: 200, bytesFromClient: 12, bytesFromOrigin: 34, peerAddress: '192.0.2.7' }, 55))
  await journal.append(decisionEvent({ ...asked, requestId: 'r-3', host: 'pastebin.com' }, denied, 'policy', redaction))
  await journal.append(grantRevokedEvent(grant, 'bob'))
  await journal.close()
  const seqs = async (id: string): Promise<{ kind: string; seqs: number[] }> => {
    const { kind, records } = JSON.parse((await run(dir, 'show', id, '--json')).text)
    return { kind, seqs: records.map(({ seq }: { seq: number }) => seq) }
  }
  const story = await run(dir, 'show', 'r-1')
  t.equal(story.code, 0)
  t.matchStrict(story.text.split('\n').map((line) => line.trim()), [
    /^exchange r-1: files\.example\.net:443$/,
    /^session s-1, agent codex, of alice, from 127\.0\.0\.1$/,
    '',
    /^2026-01-02T03:04:05\.000Z +must be asked +unknown hosts are asked about \(approval_required\); rule unknown at policies\/10-base\.toml:3, pattern \*; approval 01JD/,
    /^\+0\.000 s +question +codex asks for files\.example\.net:443/,
    /^\+41 s +approved +bob and carol allowed files\.example\.net:443 .*, after 41 s$/,
    /^\+41 s +grant +/,
    /^\+41 s +allowed +after the answer: .*grant 01JD/,
    /^\+41 s +grant used +/,
    /^\+41 s +completed +the client was sent 200, dialled 192\.0\.2\.7, 12 bytes out, 34 bytes in, 55 ms$/,
    '',
  ])
  t.strictSame(await seqs('r-1'), { kind: 'exchange', seqs: [2, 3, 4, 5, 6, 7, 9] })
  t.strictSame(await seqs(approval.id), { kind: 'approval', seqs: [2, 3, 4, 5, 6, 7, 8, 11] })
  t.match((await run(dir, 'show', approval.id)).text, /^approval 01JD.*: files\.example\.net:443\n/)
  t.strictSame(await seqs('4'), { kind: 'record', seqs: [4] })
  const { records: [fourth] } = JSON.parse((await run(dir, 'show', '4', '--json')).text)
  t.strictSame(await seqs(fourth.uid), { kind: 'record', seqs: [4] })
  t.match((await run(dir, 'show', '4')).text, /^record 4: sallyport\.approval\.decided\n.*\n\n {2}time +2026/)
  const summary = (await run(dir, 'show', 's-1')).text
  t.match(summary, /^session s-1\n {2}session s-1, agent codex, of alice@example\.com/)
  t.match(summary, /2 allowed, 1 denied, 1 asked about; 12 bytes out, 34 bytes in/)
  t.match(summary, /denied with denied_by_rule \(1\)/)
  t.match(summary, / {5}3 {2}files\.example\.net:443\n/)
  const refused = (await run(dir, 'show', 'r-3')).text
  t.match(refused, /denied +pastebin\.com is on the denied list \(denied_by_rule\); rule denied_domains at policies\/10-base\.toml:9/)
  t.match(refused, /\n\n {2}next: this is intended/)
  const nothing = await run(dir, 'show', 'r-99')
  t.equal(nothing.code, 1)
  t.match(nothing.errors, /no record, request, approval or session is called `r-99`: records up to 11 were searched/)
})

t.test('verify says that the journal is intact, and where it ends', async (t) => {
  const dir = await journaled(t)
  const { code, text } = await run(dir, 'verify')
  t.equal(code, 0)
  t.match(text, /the journal is intact: records 1 to 3, 3 in 1 segment\nno signed checkpoint is in it.*\nhash of record 3: [0-9a-f]{64}\n/)
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

t.test('the id of a session that was made through the control API is the session', async (t) => {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir)
  await journal.append(sessionStartedEvent(session, 'bob'))
  await journal.append(controlCalledEvent({ ...call, route: '/v1/sessions', subjectId: session.id }))
  await journal.append(decisionEvent({ ...subject, principal: { ...subject.principal, session: session.id } }, allowed, 'policy', redaction))
  await journal.close()
  const io = output(dir)
  t.equal(await command.run(['show', session.id, '--json', '--data', dir], io), 0)
  t.match(JSON.parse(io.text), { kind: 'session', records: [{ name: 'sallyport.session.started' }, { name: 'sallyport.decision' }] })
})

t.test('a folder without a journal is said, and ends with 1', async (t) => {
  const dir = folder(t)
  for (const [what = '', ...rest] of [['tail'], ['verify'], ['search'], ['show', '1']]) {
    const { code, errors } = await run(dir, what, ...rest)
    t.equal(code, 1)
    t.match(errors, /there is no journal in/)
  }
  t.match(JSON.parse((await run(dir, 'verify', '--json')).text), { ok: false, records: 0, fault: { file: join(dir, 'journal'), what: 'there is no journal here' } })
})

t.test('a wrong command line is a usage error', async (t) => {
  const dir = folder(t)
  for (const argv of [[], ['list'], ['tail', '-n', '0'], ['tail', '-n', 'x'], ['tail', '--verdict', 'maybe'], ['search', '--host', ''], ['search', '--since', 'x'], ['search', '--since', '1h', '--until', '2h'], ['search', '--agent', '(a)'], ['show'], ['show', 'a', 'b'], ['show', '']]) {
    await t.rejects(command.run(argv, output(dir)), { name: 'UsageError' }, argv.join(' '))
  }
  await t.rejects(command.run(['tail', '--frobnicate'], output(dir)), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' })
  t.match(command.usage, /examples:/)
  for (const word of ['tail', 'search', 'show', 'verify', 'erase']) t.match(command.usageOf?.([word]), new RegExp(`^usage: sallyport audit ${word} .*examples:`, 's'))
})
