// `start` with a stand-in for the app: what it refuses, what it prints, and how signals end it.
import t from 'tap'
import { createOperatorLog, startFailure } from '../../src/cli/start.ts'
import { runCli } from '../../src/cli/run.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'
import { fakeIo, fakeProcess, listening } from './fake-io.ts'

function systemError(code: string, port: number): Error {
  return Object.assign(new Error(`listen ${code}: 127.0.0.1:${port}`), { code, port })
}

function defaults(): Settings {
  const { settings } = loadSettings({ flags: {}, env: {}, cwd: '/nowhere' })
  if (settings === undefined) throw new Error('the defaults are wrong')
  return settings
}

t.test('flags, variables and the file arrive in the settings', async (t) => {
  const cwd = t.testdir({ 'own.toml': 'ops = "off"\n[limits]\ndrain = "1 s"\n' })
  const deps = fakeProcess({ env: { SALLYPORT_LOG_LEVEL: 'silent' } })
  const code = await runCli(['start', '--config', 'own.toml', '--listen', '127.0.0.1:0', '--json'], fakeIo(cwd, { signal: AbortSignal.abort('SIGTERM') }), deps)
  t.equal(code, 0)
  t.match(deps.settings(), { listen: { port: 0 }, ops: 'off', json: true, limits: { drainMs: 1000 }, log: { level: 'silent' } })
})

t.test('a dangerous environment is refused before anything is opened', async (t) => {
  const deps = fakeProcess({ env: { SSLKEYLOGFILE: '/tmp/k' }, execArgv: ['--tls-keylog=/tmp/k'] })
  const io = fakeIo(t.testdir({}))
  t.equal(await runCli(['start'], io, deps), 1)
  t.match(io.stderr(), /^sallyport start: refused: SSLKEYLOGFILE .*\nsallyport start: refused: node's option --tls-keylog .*\n$/)
  t.equal(io.stdout(), '')
  t.equal(deps.settings(), undefined)
})

t.test('wrong settings are listed and nothing is opened: 1 for the file, 2 for a flag', async (t) => {
  const cwd = t.testdir({ 'sallyport.toml': 'lissten = 1\nops = 2\n' })
  const io = fakeIo(cwd)
  const deps = fakeProcess()
  t.equal(await runCli(['start'], io, deps), 1)
  t.match(io.stderr(), /sallyport\.toml:1:1: there is no setting `lissten`.*\n {2}sallyport\.toml:2:1: `ops`/)
  t.equal(deps.settings(), undefined)
  const flag = fakeIo(t.testdir({}))
  t.equal(await runCli(['start', '--listen', 'x'], flag, deps), 2)
})

t.test('a misspelt option is named, with the one that was meant', async (t) => {
  const io = fakeIo(t.testdir({}))
  t.equal(await runCli(['start', '--polices', 'x'], io, fakeProcess()), 2)
  t.match(io.stderr(), /there is no option `--polices`, did you mean `--policies`\?/)
})

t.test('a positional argument is a wrong command line', async (t) => {
  t.equal(await runCli(['start', 'now'], fakeIo(t.testdir({})), fakeProcess()), 2)
})

t.test('the banner is printed once the listeners are open, with the warnings of the settings', async (t) => {
  const io = fakeIo(t.testdir({}), { signal: AbortSignal.abort('SIGTERM') })
  await runCli(['start'], io, fakeProcess({ env: { SALLYPORT_LISTE: 'x' } }))
  t.match(io.stdout(), /http:\/\/127\.0\.0\.1:3128/)
  t.match(io.stdout(), /warning: there is no setting for the variable SALLYPORT_LISTE/)
})

t.test('with --json the first line of stdout is the object that scripts wait for', async (t) => {
  const io = fakeIo(t.testdir({}), { signal: AbortSignal.abort('SIGTERM') })
  await runCli(['start', '--json'], io, fakeProcess())
  const [first = '', ...rest] = io.stdout().split('\n')
  t.match(JSON.parse(first), { proxy: listening.proxy, control: listening.control, ops: listening.ops, policy: 'abc123def456', pid: 4242 })
  t.same(rest, [''])
})

t.test('the first signal drains, and the command ends with 0', async (t) => {
  const stop = new AbortController()
  const deps = fakeProcess()
  const io = fakeIo(t.testdir({}), { signal: stop.signal })
  const running = runCli(['start'], io, deps)
  stop.abort('SIGTERM')
  t.equal(await running, 0)
  t.same(deps.calls, ['start', 'drain'])
  t.match(io.stderr(), /"signal":"SIGTERM"/)
})

t.test('the second signal cuts what the first one waits for', async (t) => {
  const drained = Promise.withResolvers<void>()
  const draining = Promise.withResolvers<void>()
  const deps = fakeProcess({
    app: {
      stop: (graceful) => {
        if (graceful) draining.resolve()
        else drained.resolve()
        return drained.promise
      },
    },
  })
  const running = runCli(['start'], fakeIo(t.testdir({}), { signal: AbortSignal.abort('SIGINT') }), deps)
  await draining.promise
  deps.insist()
  t.equal(await running, 0)
  t.same(deps.calls, ['start', 'drain', 'cut'])
})

t.test('a stop that fails ends with 1 and says so', async (t) => {
  const io = fakeIo(t.testdir({}), { signal: AbortSignal.abort('SIGTERM') })
  const deps = fakeProcess({ app: { stop: () => Promise.reject(new Error('the disk is gone')) } })
  t.equal(await runCli(['start'], io, deps), 1)
  t.match(io.stderr(), /the disk is gone/)
})

t.test('a reload is asked of the app, and a failing one leaves the process running', async (t) => {
  const stop = new AbortController()
  const opened = Promise.withResolvers<void>()
  const reloaded = Promise.withResolvers<void>()
  const deps = fakeProcess({
    app: {
      start: async () => {
        queueMicrotask(opened.resolve)
        return listening
      },
      reload: () => {
        reloaded.resolve()
        return Promise.reject(new Error('line 3 is wrong'))
      },
    },
  })
  const io = fakeIo(t.testdir({}), { signal: stop.signal })
  const running = runCli(['start'], io, deps)
  await opened.promise
  await new Promise(setImmediate)
  deps.reload()
  await reloaded.promise
  await new Promise(setImmediate)
  t.match(io.stderr(), /line 3 is wrong/)
  stop.abort('SIGTERM')
  t.equal(await running, 0)
  t.same(deps.calls, ['start', 'reload', 'drain'])
})

t.test('what a reload came to is logged, a rejected one as an error', async (t) => {
  for (const [outcome, level] of [['reloaded', 'info'], ['unchanged', 'info'], ['rejected', 'error']] as const) {
    const stop = new AbortController()
    const opened = Promise.withResolvers<void>()
    const app = {
      start: async () => {
        queueMicrotask(opened.resolve)
        return listening
      },
      reload: async () => outcome,
    }
    const deps = fakeProcess({ app })
    const io = fakeIo(t.testdir({}), { signal: stop.signal })
    const running = runCli(['start'], io, deps)
    await opened.promise
    await new Promise(setImmediate)
    deps.reload()
    await new Promise(setImmediate)
    t.match(JSON.parse(io.stderr().trim()), { level, outcome, msg: /policies again on request: / })
    stop.abort('SIGTERM')
    await running
  }
})

t.test('what cannot be opened is closed again, and ends with 1 and what to do', async (t) => {
  const io = fakeIo(t.testdir({}))
  const deps = fakeProcess({ app: { start: () => Promise.reject(systemError('EADDRINUSE', 3128)) } })
  t.equal(await runCli(['start'], io, deps), 1)
  t.match(io.stderr(), /`127\.0\.0\.1:3128` \(proxy\) is in use: .*`--listen HOST:PORT`/)
  t.equal(io.stdout(), '')
  t.same(deps.calls, ['start', 'cut'])
})

t.test('an app that cannot be made ends with 1 and its own message', async (t) => {
  const io = fakeIo(t.testdir({}))
  t.equal(await runCli(['start'], io, fakeProcess({ createFails: new Error('the journal contradicts itself') })), 1)
  t.match(io.stderr(), /^sallyport start: the journal contradicts itself\n$/)
})

t.test('faults of the listeners name the listener and the remedy', async (t) => {
  const settings = defaults()
  t.match(startFailure(systemError('EADDRINUSE', 3130), settings), /`127\.0\.0\.1:3130` \(ops\) .*--ops/)
  t.match(startFailure(systemError('EACCES', 3128), settings), /above 1023/)
  t.match(startFailure(systemError('EADDRNOTAVAIL', 3128), settings), /not an address of this machine/)
  t.equal(startFailure(systemError('EADDRINUSE', 9), settings), 'listen EADDRINUSE: 127.0.0.1:9')
  t.equal(startFailure('odd', settings), 'odd')
})

t.test('the operator log is JSON lines with a time and a named level, from its level on', async (t) => {
  const lines: string[] = []
  const log = createOperatorLog('warn', (line) => lines.push(line))
  log.info({}, 'not this')
  log.warn({ port: 3128 }, 'this')
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0] ?? ''), { level: 'warn', time: /^20\d\d-/, port: 3128, msg: 'this' })
})

t.test('a credential that slips into the log is covered', async (t) => {
  const lines: string[] = []
  createOperatorLog('info', (line) => lines.push(line)).info({ authorization: 'topsecret', password: 'topsecret' }, 'x')
  t.notMatch(lines.join(''), /topsecret/)
})
