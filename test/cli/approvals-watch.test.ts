// The screen at work: model, keys, control API and terminal together; and once the real process in a real
// terminal, by way of python's pty module.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { keptModules } from '../support/kept-modules.ts'
import { fakeScreen, runOn } from './control-run.ts'
import { approval, fakeControl, ids } from './fake-control.ts'

const [pypi, paste] = ids
const bin = join(import.meta.dirname, '../../bin/sallyport.js')

t.test('a person answers, and the screen follows what others do', async (t) => {
  for (const hasStream of [true, false]) {
    const control = await fakeControl(t, [approval(pypi, 'lib.test'), approval(paste, 'paste.example', { first_seen: '2027-03-01T11:59:00.000Z' })], { hasStream })
    control.cards.set(pypi, { hints: [{ code: 'x', text: 'first time here' }] })
    const screen = fakeScreen()
    const ran = runOn(screen, ['watch', '--data', control.data])
    await screen.shows('first time here')
    screen.type('ao')
    await screen.shows('lib.test:443 for codex was allowed once by bo')
    t.match(control.seen.find(({ method }) => method === 'POST'), { path: `/v1/approvals/${pypi}/decision`, headers: { 'if-match': '"1"' }, body: { verdict: 'allow', term: 'once' } })
    await screen.shows('> paste.example')
    control.change(paste, { state: 'denied' })
    await screen.shows('no question is open')
    control.approvals.set(ids[2], approval(ids[2], 'new.example'))
    control.changed()
    await screen.shows('> new.example')
    screen.type('q')
    t.match(await ran, { code: 0, err: '' })
    t.ok(screen.isClosed())
  }
})

t.test('an answer that comes too late is said to be', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test')])
  control.cards.set(pypi, { hints: [{ code: 'x', text: 'first time here' }] })
  const screen = fakeScreen()
  const ran = runOn(screen, ['watch', '--data', control.data])
  await screen.shows('first time here')
  screen.type('a')
  await screen.shows('allow lib.test:443 for codex')
  control.approvals.set(pypi, { ...control.approvals.get(pypi), version: 5 })
  screen.type('o')
  await screen.shows('changed since you looked')
  t.equal(control.approvals.get(pypi)?.['state'], 'pending')
  screen.type('\x03')
  t.equal((await ran).code, 0)
})

t.test('snoozing reaches the API', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test')])
  const screen = fakeScreen()
  const ran = runOn(screen, ['watch', '--data', control.data])
  await screen.shows('> lib.test')
  screen.type('s1')
  await screen.shows('out of the way for 15m')
  await screen.shows('snoozed 15 min')
  screen.type('q')
  await ran
})

t.test('it outlives a resize and a proxy that goes away, and closes on a signal', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test')])
  const screen = fakeScreen()
  const stop = new AbortController()
  const ran = runOn(screen, ['watch', '--data', control.data], stop.signal)
  await screen.shows('> lib.test')
  screen.resize(120, 40)
  await screen.shows('─'.repeat(120))
  await control.close()
  await screen.shows(/NOT LIVE[^]*no sallyport is running/)
  stop.abort()
  t.equal((await ran).code, 0)
  t.ok(screen.isClosed())
})

// runs argv in a terminal of 80 x 24, types the lines of stdin when their mark is on the screen, prints what
// was shown, the exit status, and whether the terminal was as before
const driver = `
import os, pty, select, struct, fcntl, sys, termios, json
plan = json.loads(sys.argv[1]); argv = sys.argv[2:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid(); fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.execvp(argv[0], argv)
shown = b''; mark = 0
while True:
    ready, _, _ = select.select([master], [], [], 0.2)
    if ready:
        shown += os.read(master, 65536)
    if plan and plan[0][0].encode() in shown[mark:]:
        mark = len(shown); keys = plan.pop(0)[1]
        if keys == 'SIGTERM': os.kill(pid, 15)
        else: os.write(master, keys.encode())
    if not ready:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: break
after = termios.tcgetattr(slave)
print(json.dumps({'shown': shown.decode('utf8', 'replace'), 'code': os.waitstatus_to_exitcode(status), 'restored': before == after}))
`

const hasPython = spawnSync('python3', ['-c', 'import pty, os; os.waitstatus_to_exitcode']).status === 0

interface Driven {
  readonly shown: string
  readonly code: number
  readonly restored: boolean
}

async function drive(plan: readonly (readonly [string, string])[], argv: readonly string[], env: Record<string, string> = {}): Promise<Driven> {
  const child = spawn('python3', ['-c', driver, JSON.stringify(plan), process.execPath, bin, ...argv], { env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', ...keptModules, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  for await (const chunk of child.stdout) out += String(chunk)
  return JSON.parse(out)
}

t.test('in a real terminal it works and puts everything back', { skip: hasPython ? false : 'python3 with its pty module is not here' }, async (t) => {
  for (const [leave, code] of [['q', 0], ['\x03', 0], ['SIGTERM', 0]] as const) {
    const control = await fakeControl(t, [approval(pypi, 'lib.test'), approval(paste, 'evil\x1b[2J.example')])
    control.cards.set(pypi, { hints: [{ code: 'x', text: 'first time here' }] })
    const { shown, code: ended, restored } = await drive([['first time here', 'a'], ['answers at once', '\x1b[B\r'], ['was allowed once by bo', leave]], ['approvals', 'watch', '--data', control.data], { NO_COLOR: '1' })
    t.equal(ended, code, JSON.stringify(leave))
    t.ok(restored, 'the settings of the terminal are as before')
    t.ok(shown.startsWith('\x1b[?1049h'))
    t.ok(shown.endsWith('\x1b[?7h\x1b[?25h\x1b[0m\x1b[?1049l'), 'the cursor and the first screen are back')
    t.match(shown, 'evil\\x1b[2J.example')
    t.equal(shown.split('\x1b[2J').length, 1, 'nothing foreign clears the screen')
    t.notMatch(shown.replace('\x1b[0m\x1b[?1049l', ''), new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*m`), 'NO_COLOR is kept to')
    t.equal(control.approvals.get(pypi)?.['state'], 'allowed')
  }
})

t.test('a wide answer is typed out in a real terminal', { skip: hasPython ? false : 'python3 with its pty module is not here' }, async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test')])
  const { shown, code } = await drive([['type yes', 'yes\r']], ['approvals', 'allow', 'lib.test', '--agent', '--data', control.data])
  t.equal(code, 0)
  t.match(shown, /every session of agent codex, once: lib\.test:443/)
  t.match(control.seen.at(-1)?.body, { who: 'agent' })
})
