// The demo, as a process of its own and with a person at it: every scene, what it leaves, and that nothing is
// left after an interruption.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { demoCommand } from '../../src/cli/demo.ts'
import { type DemoAnswer, type DemoPerson, LinePerson, readAnswer } from '../../src/cli/demo-person.ts'
import { keptModules } from '../support/kept-modules.ts'
import { readJournal } from '../support/proxy.ts'
import { fakeIo, fakeProcess } from './fake-io.ts'

const bin = join(import.meta.dirname, '../../bin/sallyport.js')

interface Ended {
  readonly stdout: string
  readonly stderr: string
  /** exit code, or the name of the signal that killed it */
  readonly code: number | string
}

/** A folder for temporary files of its own, near the root: a socket's path may not be long. */
function ownTemp(t: Test): string {
  const temp = mkdtempSync(join(tmpdir(), 'sp-'))
  t.teardown(() => rmSync(temp, { recursive: true, force: true }))
  return temp
}

async function run(t: Test, argv: readonly string[], temp: string, onOutput: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined): Promise<Ended> {
  // what the user has set must not matter
  const env = { PATH: process.env['PATH'] ?? '', ...keptModules, TMPDIR: temp, SALLYPORT_LISTEN: 'nonsense', HTTPS_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', NODE_USE_ENV_PROXY: '1' }
  const child = spawn(process.execPath, [bin, 'demo', ...argv], { cwd: temp, env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    onOutput(stdout, (signal) => void child.kill(signal))
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [code, signal]: unknown[] = await once(child, 'close')
  return { stdout, stderr, code: typeof code === 'number' ? code : String(signal) }
}

interface Scene {
  readonly scene: string
  readonly host: string
  readonly status: number
  readonly reached_origin: boolean
  readonly approval: { readonly state: string; readonly by: string; readonly comment: string | null } | null
  readonly wire: readonly { readonly direction: string; readonly text: string }[]
  readonly events: readonly { readonly seq: number; readonly name: string; readonly decision: string | null; readonly body: string }[]
}

function scenesIn(stdout: string): Scene[] {
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line))
}

const namesOf = ({ events }: Scene): string[] => events.map(({ name, decision }) => decision ?? name.replace('sallyport.', ''))
const statusLines = ({ wire }: Scene): string[] => wire.filter(({ direction, text }) => direction === 'received' && text.startsWith('HTTP')).map(({ text }) => text.slice(9, 12))

t.test('--json tells one object for each scene: what was sent, what came back, what was journaled', async (t) => {
  const temp = ownTemp(t)
  const { stdout, stderr, code } = await run(t, ['--auto', '--json'], temp)
  t.equal(code, 0, stderr)
  t.equal(stderr, '')
  const scenes = scenesIn(stdout)
  t.same(scenes.map(({ scene, status, reached_origin, approval }) => [scene, status, reached_origin, approval?.state]), [
    ['allow', 200, true, undefined],
    ['deny', 403, false, undefined],
    ['hold_allow', 200, true, 'allowed'],
    ['hold_deny', 403, false, 'denied'],
  ])
  const [allow, deny, held, followed] = scenes
  if (allow === undefined || deny === undefined || held === undefined || followed === undefined) return t.fail('a scene is missing')
  t.same(namesOf(allow), ['allow', 'exchange.ended'])
  t.same(namesOf(deny), ['deny', 'exchange.ended'])
  t.same(namesOf(held).toSorted(), ['allow', 'approval.decided', 'approval.requested', 'ask', 'exchange.ended', 'grant.created', 'grant.used'].toSorted())
  t.same(namesOf(followed).filter((name) => ['allow', 'ask', 'deny'].includes(name)), ['ask', 'deny'])
  t.same(statusLines(held), ['200'], 'nothing was answered before the answer')
  t.same(statusLines(followed), ['403', '200', '200', '403'], 'told to come back, reason taken, answer read, refused')
  t.equal(held.approval?.by, 'you')
  t.ok(followed.approval?.comment)
  t.ok(followed.wire.some(({ text }) => text.includes('"state":"denied"') && text.includes(`"comment":"${followed.approval?.comment ?? ''}"`)), 'the comment comes back to the agent')
  t.ok(deny.wire.some(({ text }) => text.includes('"hint":')))
  t.notMatch(stdout, /Basic [A-Za-z0-9+/=]{20}/, 'no credentials are shown')
  t.same(readdirSync(temp), [], 'the folder is gone')
})

t.test('for a person it is told in words, --keep leaves a journal that verifies, and nothing went beyond this machine', async (t) => {
  const temp = ownTemp(t)
  const { stdout, stderr, code } = await run(t, ['--keep'], temp)
  t.equal(code, 0, stderr)
  for (const text of ['1. allow', '2. deny', '3. hold', '4. hold', 'a reviewer sees', 'nothing reached the origin', 'journal is intact', 'what next']) t.ok(stdout.includes(text), text)
  t.match(stdout, /\n {2}npm start .*\n {2}sallyport sessions create .*\n {2}docs\/agents\.md .*\n$/)
  t.notMatch(stdout, '\u001b', 'no colour where there is no terminal')
  const [name = ''] = readdirSync(temp)
  t.ok(stdout.includes(join(temp, name)))
  const journal = join(temp, name, 'var', 'journal')
  t.ok((await verifyJournal(journal)).ok)
  const dialled = readJournal(journal).map(({ attributes }) => attributes['network.peer.address']).filter((address) => address !== undefined)
  t.same([...new Set(dialled)], ['127.0.0.1'])
  t.ok(dialled.length >= 2)
})

t.test('an interruption takes everything down', async (t) => {
  for (const [signal, expected] of [['SIGINT', 130], ['SIGHUP', 129]] as const) {
    const temp = ownTemp(t)
    let isKilled = false
    const { code, stderr, stdout } = await run(t, ['--auto'], temp, (text, kill) => {
      if (isKilled || !text.includes('2. deny')) return
      isKilled = true
      t.equal(readdirSync(temp).length, 1)
      kill(signal)
    })
    t.equal(code, expected, signal)
    t.match(stderr, 'interrupted; everything is taken down')
    t.notMatch(stdout, 'the end')
    t.same(readdirSync(temp), [], `${signal}: the folder is gone`)
  }
})

/** Answers the questions in turn, after `before` has had its turn. */
class Scripted implements DemoPerson {
  readonly isPresent = true
  readonly #answers: (DemoAnswer | (() => Promise<void>))[]
  isClosed = false

  constructor(answers: readonly (DemoAnswer | (() => Promise<void>))[]) {
    this.#answers = [...answers]
  }

  async answer(_onOther: () => void, signal: AbortSignal): Promise<DemoAnswer | undefined> {
    const next = this.#answers.shift()
    if (typeof next !== 'function') return next
    await next()
    if (!signal.aborted) await once(signal, 'abort')
    return undefined
  }

  close(): void {
    this.isClosed = true
  }
}

function folderIn(stdout: string): string {
  return /^ {2}folder {2}(\S+)$/m.exec(stdout)?.[1] ?? ''
}

t.test('a person decides: no to the first and yes to the second', async (t) => {
  const io = fakeIo(t.testdir())
  const person = new Scripted([{ verdict: 'deny', comment: 'not this one' }, { verdict: 'allow', comment: undefined }])
  const command = demoCommand({ ...fakeProcess(), createApp }, { person: () => person })
  t.equal(await command.run([], io), 0)
  t.match(io.stdout(), /denied: packages\.test:\d+ for scout was denied once by you: not this one/)
  t.match(io.stdout(), /HTTP\/1\.1 403 Denied by policy: packages[^>]+not\s+this\s+one/)
  t.match(io.stdout(), /allowed: upload\.test:\d+ for courier was allowed once by you/)
  t.match(io.stdout(), /hello from upload\.test/)
  t.ok(person.isClosed)
  t.notOk(existsSync(folderIn(io.stdout())))
})

t.test('a person may answer on the page instead, with the link that is shown', async (t) => {
  const io = fakeIo(t.testdir())
  const onPage = async (): Promise<void> => {
    const [, url = '', id = '', token = ''] = [...io.stdout().matchAll(/(http:\S+)\/approvals\/(\S+)#token=(sp_\S+)/g)].at(-1) ?? []
    const at = `${url}/v1/approvals/${id}`
    const authorization = `Bearer ${token}`
    const version = (await fetch(at, { headers: { authorization } })).headers.get('etag') ?? ''
    const answer = await fetch(`${at}/decision`, { method: 'POST', headers: { authorization, 'if-match': version, 'content-type': 'application/json' }, body: '{"verdict":"allow"}' })
    t.equal(answer.status, 200)
  }
  const command = demoCommand({ ...fakeProcess(), createApp }, { person: () => new Scripted([onPage, onPage]) })
  t.equal(await command.run([], io), 0)
  t.equal(io.stdout().match(/was allowed once by you/g)?.length, 2)
})

t.test('an app that does not open leaves nothing behind', async (t) => {
  const io = fakeIo(t.testdir())
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-demo-'))
  await t.rejects(demoCommand(fakeProcess({ createFails: new Error('no room') }), { person: () => undefined }).run([], io), /no room/)
  t.same(readdirSync(tmpdir()).filter((name) => name.startsWith('sallyport-demo-') && !before.includes(name)), [])
})

t.test('what is typed: a and d in any way, words behind them, nothing for Enter alone', async (t) => {
  t.same(readAnswer('a'), { verdict: 'allow', comment: undefined })
  t.same(readAnswer(' Deny, use the mirror \r'), { verdict: 'deny', comment: 'use the mirror' })
  for (const line of ['', ' ', 'yes', 'ab', 'dd', 'allowed']) t.equal(readAnswer(line), undefined, line)
})

t.test('lines that come while nothing is asked answer nothing, and the end of input is nobody', async (t) => {
  const input = new PassThrough()
  const person = new LinePerson(input)
  const { signal } = new AbortController()
  input.write('a\n')
  await new Promise((resolve) => { setImmediate(resolve) })
  let others = 0
  const answered = person.answer(() => { others += 1 }, signal)
  input.write('\n\nwhat\nd no')
  input.write('t now\n')
  t.same(await answered, { verdict: 'deny', comment: 'not now' })
  t.equal(others, 1, 'Enter alone is not even remarked on')
  t.equal(await person.answer(() => undefined, AbortSignal.abort()), undefined)
  const last = person.answer(() => undefined, signal)
  input.end()
  t.equal(await last, undefined)
  t.notOk(person.isPresent)
  person.close()
})

t.test('it takes options only', async (t) => {
  const command = demoCommand(fakeProcess(), {})
  await t.rejects(command.run(['now'], fakeIo(t.testdir())), { name: 'UsageError' })
})
