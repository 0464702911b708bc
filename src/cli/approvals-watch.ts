// `sallyport approvals watch`: the live screen on a terminal, lines everywhere else. Here the model meets the
// keys, the clock and the control API; the terminal is put back however this ends.
import { parseArgs } from 'node:util'
import { escapeText } from '../audit/escape.ts'
import { decide } from './approvals-answer.ts'
import { outcomeText } from './answer.ts'
import { asciiJson } from './ascii-json.ts'
import type { ControlClient } from './control-client.ts'
import type { ControlContext } from './control-command.ts'
import { ControlFault } from './control-fault.ts'
import { controlOptions } from './control-options.ts'
import type { Question } from './control-wire.ts'
import { PendingFeed } from './pending-feed.ts'
import { loadCard, placeOf, type QuestionFilter, readHostOption } from './question-finder.ts'
import { UsageError } from './run.ts'
import type { Screen } from './terminal.ts'
import { frame } from './watch-frame.ts'
import { KeyReader } from './watch-keys.ts'
import { step } from './watch-model.ts'
import { initialState, type WatchEffect, type WatchEvent, type WatchState } from './watch-state.ts'

const watchOptions = { ...controlOptions, host: { type: 'string' }, session: { type: 'string' } } as const

/** An Escape that nothing follows for so long is the key. */
const escapeMs = 50
const tickMs = 1000

export async function watch(argv: readonly string[], context: ControlContext): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...argv], options: watchOptions, allowPositionals: true })
  if (positionals.length > 0) throw new UsageError('watch takes options only: --host HOST, --session ID')
  const filter = { host: readHostOption(values.host), session: values.session }
  return context.withClient(values, async (client) => {
    if (values.json || !context.terminal.isInteractive) await printNew(client, filter, values.json, context)
    else await new WatchScreen(client, context).run(filter)
    return 0
  })
}

/** Each new question once, with the command that answers it. */
async function printNew(client: ControlClient, filter: Omit<QuestionFilter, 'state'>, isJson: boolean, { io }: ControlContext): Promise<void> {
  const seen = new Set<string>()
  let trouble: string | undefined
  const feed = new PendingFeed(client, filter, {
    onQuestions: (questions) => {
      for (const question of questions) if (!seen.has(question.id)) io.out(isJson ? `${asciiJson(question.json)}\n` : lineOf(question))
      seen.clear()
      for (const { id } of questions) seen.add(id)
    },
    onTrouble: (message) => {
      if (message !== trouble) io.err(message === undefined ? 'connected again\n' : `${message}; trying again\n`)
      trouble = message
    },
  }, io.signal ?? new AbortController().signal)
  await feed.run()
}

function lineOf(question: Question): string {
  const { id, agent, session, kind, method, url, reason, statedReason, firstSeenMs } = question
  const about = kind === 'fetch' ? `the page ${url ?? placeOf(question)}` : kind === 'request' ? `${method ?? '?'} ${url ?? placeOf(question)}` : placeOf(question)
  const says = statedReason === undefined ? '' : `; the agent says: “${statedReason}”`
  const text = escapeText(`${new Date(firstSeenMs).toISOString()}  ${agent} in session ${session} asks for ${about}: ${reason}${says}`, 16_384)
  return `${text}\n  sallyport approvals allow ${escapeText(id)}${kind === 'fetch' ? ' --fetch   or without it, to have the host read live;' : '  '} or deny, or show\n`
}

class WatchScreen {
  readonly #client: ControlClient
  readonly #context: ControlContext
  readonly #keys = new KeyReader()
  readonly #stop = new AbortController()
  #state: WatchState
  #screen: Screen | undefined
  #feed: PendingFeed | undefined
  #drawn: readonly string[] = []
  #escape: NodeJS.Timeout | undefined

  constructor(client: ControlClient, context: ControlContext) {
    this.#client = client
    this.#context = context
    this.#state = initialState({ columns: 80, rows: 24 }, context.clock.now())
  }

  /** Until the person leaves, or the process is told to stop. Throws ControlFault when it cannot begin. */
  async run(filter: Omit<QuestionFilter, 'state'>): Promise<void> {
    const { io, clock, terminal } = this.#context
    const signal = io.signal === undefined ? this.#stop.signal : AbortSignal.any([io.signal, this.#stop.signal])
    const feed = new PendingFeed(this.#client, filter, {
      onQuestions: (questions) => {
        // the first list opens the screen: what fails before it is told on a plain line
        this.#screen ??= this.#open(terminal.open({ onInput: (text) => this.#typed(text), onResize: () => this.#resized(), onEnd: () => this.#stop.abort() }))
        this.#take({ kind: 'questions', questions })
      },
      onTrouble: (message) => this.#take({ kind: 'trouble', message }),
    }, signal)
    this.#feed = feed
    const ticks = setInterval(() => this.#take({ kind: 'tick', nowMs: clock.now() }), tickMs)
    try {
      await feed.run()
    } finally {
      clearInterval(ticks)
      clearTimeout(this.#escape)
      this.#screen?.close()
      this.#screen = undefined
      this.#stop.abort()
    }
  }

  #open(screen: Screen): Screen {
    this.#state = { ...this.#state, size: screen.size() }
    return screen
  }

  #typed(text: string): void {
    clearTimeout(this.#escape)
    for (const key of this.#keys.take(text)) this.#take({ kind: 'key', key })
    if (!this.#keys.isPending) return
    this.#escape = setTimeout(() => {
      for (const key of this.#keys.flush()) this.#take({ kind: 'key', key })
    }, escapeMs)
  }

  #resized(): void {
    if (this.#screen !== undefined) this.#take({ kind: 'size', size: this.#screen.size() })
  }

  #take(event: WatchEvent): void {
    if (this.#screen === undefined) return
    const { state, effects } = step(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#perform(effect)
    this.#draw()
  }

  #perform(effect: WatchEffect): void {
    switch (effect.kind) {
      case 'quit':
        this.#stop.abort()
        return
      case 'redraw':
        this.#drawn = []
        this.#screen?.write('\x1b[2J')
        return
      case 'load':
        void this.#load(effect.id)
        return
      case 'answer':
        this.#settle(this.#answer(effect))
        return
      case 'snooze':
        this.#settle(this.#snooze(effect))
    }
  }

  /** Not asked for again until something changes, so that a fault is no loop. */
  async #load(id: string): Promise<void> {
    try {
      this.#take({ kind: 'card', card: await loadCard(this.#client, id, this.#stop.signal) })
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#take({ kind: 'notice', text: textOf(error) })
    }
  }

  async #answer({ draft, question }: WatchEffect & { kind: 'answer' }): Promise<string> {
    return outcomeText(await decide(this.#client, draft, question, undefined, this.#stop.signal), draft.verdict)
  }

  async #snooze({ question, duration }: WatchEffect & { kind: 'snooze' }): Promise<string> {
    await this.#client.call('POST', `/v1/approvals/${encodeURIComponent(question.id)}/snooze`, { body: { duration }, version: question.version, signal: this.#stop.signal })
    return `${placeOf(question)} is out of the way for ${duration}`
  }

  /** What went through or not is said on the screen, and the list is read again. */
  #settle(work: Promise<string>): void {
    const said = (text: string, isBad: boolean): void => {
      this.#take({ kind: 'done', text, isBad })
      this.#feed?.refresh()
    }
    work.then(
      (text) => said(text, false),
      (error: unknown) => {
        if (!this.#stop.signal.aborted) said(textOf(error), true)
      },
    )
  }

  /** Writes the lines that changed. */
  #draw(): void {
    const screen = this.#screen
    if (screen === undefined || this.#stop.signal.aborted) return
    const lines = frame(this.#state, this.#context.io.isTty)
    const changed = lines.flatMap((line, at) => (line === this.#drawn[at] ? [] : [`\x1b[${at + 1};1H\x1b[K${line}`]))
    this.#drawn = lines
    if (changed.length > 0) screen.write(changed.join(''))
  }
}

function textOf(error: unknown): string {
  return error instanceof ControlFault ? error.message : `this failed: ${String(error)}`
}
