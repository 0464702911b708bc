// Runs inside the isolation, alone with the command: a bridge from a port of the namespace's own loopback to the
// session's socket, then the command. It imports nothing of the project, because nothing of the project is there. It
// holds nothing that the command could not open by itself, so a command that takes it over has gained nothing.
import { spawn } from 'node:child_process'
import { connect, createServer, type Server, Socket } from 'node:net'
import { constants } from 'node:os'

interface Task {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly port: number
  readonly socket: string
}

/** descriptor on which the task arrives, and after it the names of signals */
const channelFd = 3

const channel = new Socket({ fd: channelFd, readable: true, writable: true })
channel.on('error', () => process.exit(1))
channel.on('end', () => process.exit(1))
channel.setEncoding('utf8')

// a terminal sends these to the command as well; whoever started it says over the channel what else is meant for it
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH'] as const) process.on(signal, () => undefined)

let received = ''
let signalled: ((name: string) => void) | undefined
channel.on('data', (text: string) => {
  received += text
  const lines = received.split('\n')
  received = lines.pop() ?? ''
  for (const line of lines) {
    if (signalled === undefined) begin(JSON.parse(line))
    else signalled(line)
  }
})

function begin(task: Task): void {
  const early: string[] = []
  signalled = (name) => void early.push(name)
  const bridge = createServer({ allowHalfOpen: true }, (client) => join(client, task.socket))
  bridge.on('error', (error) => fail(`the bridge to the proxy cannot listen at 127.0.0.1:${task.port} (${error.message})`))
  bridge.listen(task.port, '127.0.0.1', () => start(task, bridge, early))
}

function start(task: Task, bridge: Server, early: readonly string[]): void {
  channel.write('ready\n')
  const child = spawn(task.command, task.args, { stdio: 'inherit', env: task.env })
  child.once('error', (error: NodeJS.ErrnoException) => {
    channel.write(`${error.code ?? 'EUNKNOWN'}\n`, () => process.exit(error.code === 'ENOENT' ? 127 : 126))
  })
  child.once('exit', (code, signal) => {
    bridge.close()
    process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
  })
  signalled = (name) => {
    if (isSignal(name)) child.kill(name)
  }
  for (const name of early) signalled(name)
}

/** Each side is half closed as the other one is; what breaks on one ends both. */
function join(client: Socket, path: string): void {
  const proxy = connect({ path, allowHalfOpen: true })
  for (const [one, other] of [[client, proxy], [proxy, client]] as const) {
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
    one.pipe(other)
  }
}

function isSignal(name: string): name is NodeJS.Signals {
  return Object.hasOwn(constants.signals, name)
}

function fail(message: string): never {
  process.stderr.write(`sallyport run: ${message}\n`)
  process.exit(1)
}
