// `sallyport demo`: one command that shows what the proxy does, on this machine alone. It starts what it needs on
// free ports, lets a person answer where policy asks, and takes everything down however it ends.
import { parseArgs } from 'node:util'
import { type Clock, systemClock } from '../clock.ts'
import type { DemoPerson } from './demo-person.ts'
import { terminalPerson } from './demo-person.ts'
import type { WireLine } from './demo-agent.ts'
import { playScenes, type SceneEnd, type Stage } from './demo-scenes.ts'
import { DemoText, sceneLine } from './demo-text.ts'
import { DemoWorld } from './demo-world.ts'
import { type Command, type CommandIo, type RunDeps, UsageError } from './run.ts'

const usage = `usage: sallyport demo [OPTIONS]

Starts a proxy, an origin and a scripted agent on free ports of 127.0.0.1 with a temporary folder, and
walks through a host that is allowed, one that is denied, and two that wait for a person: what the agent
sees on its wire, what a reviewer sees, and what the journal says. On a terminal you answer the two
questions, there or on the page whose link is printed. Nothing leaves this machine, no
setting or policy of yours is read, and everything is taken down at the end.

  --auto   answer the questions by itself, and ask nobody; so it is without a terminal
  --json   one JSON object for each scene; implies --auto
  --keep   leave the folder (policy, journal, database), and say where it is

exit codes: 0 ok, 1 something failed, 2 wrong command line; 130 or 143 when it was interrupted
`

const options = {
  auto: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
} as const

/** As long as the first agent's client waits for an answer, and the second's. */
const patientHold = '10m'
const hastyHold = '1s'

/** A test's seams; the real ones otherwise. */
export interface DemoSeams {
  /** undefined: nobody */
  readonly person?: () => DemoPerson | undefined
  readonly clock?: Clock
}

export function demoCommand(deps: Pick<RunDeps, 'createApp'>, seams: DemoSeams = {}): Command {
  return {
    name: 'demo',
    summary: 'see allow, deny and approvals at work, on this machine alone',
    usage,
    run: async (argv, io) => {
      const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true })
      if (positionals.length > 0) throw new UsageError('it takes options only')
      const person = values.auto || values.json ? undefined : (seams.person ?? terminalPerson)()
      try {
        return await run({ isJson: values.json, isKept: values.keep, person, clock: seams.clock ?? systemClock }, io, deps)
      } finally {
        person?.close()
      }
    },
  }
}

interface Wanted {
  readonly isJson: boolean
  readonly isKept: boolean
  readonly person: DemoPerson | undefined
  readonly clock: Clock
}

async function run(wanted: Wanted, io: CommandIo, deps: Pick<RunDeps, 'createApp'>): Promise<number> {
  const { isJson, isKept, person, clock } = wanted
  const { signal, release } = interruptible(io)
  const world = await DemoWorld.open(deps.createApp, isKept)
  try {
    const text = new DemoText(io.isTty, world.folder)
    const wire: WireLine[] = []
    const onWire = (line: WireLine): void => {
      wire.push(line)
      if (!isJson) io.out(text.wire(line))
    }
    const { client, secret } = await world.openReviewer()
    const patient = await world.openSession('scout', patientHold, onWire, signal)
    const hasty = await world.openSession('courier', hastyHold, onWire, signal)
    if (!isJson) io.out(text.opening({ proxyUrl: world.proxyUrl, pageUrl: world.pageUrl, originPort: world.origin.port, agentUrl: patient.shownUrl, policy: world.policyText, isAuto: person === undefined }))
    const page = person === undefined ? undefined : { url: world.pageUrl, secret }
    const stage = isJson ? jsonStage(io, wire) : textStage(io, text, clock, page)
    await untilInterrupted(playScenes({ world, stage, reviewer: client, person, patient, hasty, signal }), signal)
    await world.stop()
    const journal = await world.verify()
    await world.close()
    const kept = isKept ? world.folder : undefined
    if (!isJson) io.out(text.closing(journal, kept))
    else if (kept !== undefined) io.err(`the folder is kept: ${kept}\n`)
    return journal.ok ? 0 : 1
  } catch (error) {
    if (!signal.aborted) throw error
    await world.close()
    io.err(`\nsallyport demo: interrupted; everything is taken down${isKept ? `, and the folder is kept: ${world.folder}` : ''}\n`)
    return signal.reason === 'SIGTERM' ? 143 : signal.reason === 'SIGHUP' ? 129 : 130
  } finally {
    release()
    await world.close()
  }
}

/** The command's own signal, and the end of the terminal, which would leave everything behind. */
function interruptible(io: CommandIo): { readonly signal: AbortSignal; readonly release: () => void } {
  const hangUp = new AbortController()
  const onHangUp = (): void => hangUp.abort('SIGHUP')
  process.once('SIGHUP', onHangUp)
  const signal = io.signal === undefined ? hangUp.signal : AbortSignal.any([io.signal, hangUp.signal])
  return { signal, release: () => void process.off('SIGHUP', onHangUp) }
}

/** Whatever waits then is cut by taking the world down. */
async function untilInterrupted(playing: Promise<readonly SceneEnd[]>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  let cut: (() => void) | undefined
  const interrupted = new Promise<never>((_resolve, reject) => {
    cut = () => reject(new Error('interrupted'))
    signal.addEventListener('abort', cut, { once: true })
  })
  playing.catch(() => undefined)
  try {
    await Promise.race([playing, interrupted])
  } finally {
    if (cut !== undefined) signal.removeEventListener('abort', cut)
  }
}

function textStage(io: CommandIo, text: DemoText, clock: Clock, page: { readonly url: string; readonly secret: string } | undefined): Stage {
  return {
    begin: (scene) => io.out(text.scene(scene)),
    say: (sentence) => io.out(text.note(sentence)),
    ask: (card) => io.out(text.question(card, clock.now(), page)),
    answered: (question) => io.out(text.answered(question)),
    end: (end) => io.out(text.end(end)),
  }
}

function jsonStage(io: CommandIo, wire: WireLine[]): Stage {
  return { begin: unsaid, say: unsaid, ask: unsaid, answered: unsaid, end: (end) => io.out(sceneLine(end, wire.splice(0))) }
}

function unsaid(): void {}
