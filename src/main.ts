// The process: argv, signals, exit codes. Everything it knows about itself is handed on from here.
import { setFlagsFromString } from 'node:v8'
import { type CommandIo, runCli, type RunDeps } from './cli/run.ts'
import { StopSignals } from './cli/stop-signals.ts'
import { systemClock } from './clock.ts'
import { processEnvironment, wantsColour } from './config/environment.ts'

const argv = process.argv.slice(2)
const stop = new AbortController()
const stopSignals = new StopSignals(systemClock)
const insistent: (() => void)[] = []
const reloading: (() => void)[] = []

function onStopSignal(signal: 'SIGINT' | 'SIGTERM'): void {
  const code = signal === 'SIGINT' ? 130 : 143
  const meaning = stopSignals.take()
  if (meaning === 'echo') return
  // `start` drains and says itself when it is done; every other command gets a moment to end
  if (argv[0] !== 'start') setTimeout(() => process.exit(code), 500).unref()
  if (meaning === 'stop') stop.abort(signal)
  else if (insistent.length === 0) process.exit(code)
  else for (const listener of insistent.splice(0)) listener()
}
// `run` hands signals on to its command, and ends when that does
if (argv[0] !== 'run') {
  process.on('SIGINT', onStopSignal)
  process.on('SIGTERM', onStopSignal)
}
if (argv[0] === 'start') {
  // after half a minute of calm V8 (of Node 26) gives memory back, and much compiled code with it: the requests that came
  // next cost twice as much for seconds. An hour of calm is another matter
  for (const delay of ['gc-memory-reducer-start-delay', 'memory-reducer-delay']) setFlagsFromString(`--${delay}-ms=3600000`)
  process.on('SIGHUP', () => {
    for (const listener of reloading) listener()
  })
}
// a reader that has seen enough (`| head`) ends a command; it does not end the proxy
process.stdout.on('error', () => argv[0] === 'start' || process.exit(0))
process.stderr.on('error', () => undefined)

const env = processEnvironment()
const io: CommandIo = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  bytes: (content) => void process.stdout.write(content),
  isTty: process.stdout.isTTY && wantsColour(env),
  cwd: process.cwd(),
  signal: stop.signal,
}
const deps: RunDeps = {
  createApp: async (settings, appDeps) => (await import('./app.ts')).createApp(settings, appDeps),
  signals: {
    onInsist: (listener) => void insistent.push(listener),
    onReload: (listener) => void reloading.push(listener),
  },
  env,
  execArgv: process.execArgv,
}

process.exitCode = await runCli(argv, io, deps)
// whatever still holds the loop has had its chance
setTimeout(() => process.exit(), 1000).unref()
