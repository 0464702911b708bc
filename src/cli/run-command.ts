// `sallyport run`: starts a command as an agent with a session of its own, tells it of the proxy, and ends the session
// with it. With --isolate there is nothing but the proxy for it. Nothing of ours goes to stdout but what was asked for.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { escapeText } from '../audit/escape.ts'
import { systemClock } from '../clock.ts'
import { tokenVariable } from '../config/environment.ts'
import { urlOf } from '../config/listener-url.ts'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { asciiJson } from './ascii-json.ts'
import { ControlFault } from './control-fault.ts'
import type { ControlClient } from './control-client.ts'
import { connectControl } from './control-options.ts'
import { readSession, type ShownSession } from './control-wire.ts'
import { Members } from './members.ts'
import { plural } from './plural.ts'
import { canDoWithoutCa, caRemedy, isCaFault, storedCaFiles, writeCaFiles } from './run-ca.ts'
import { codeOf, type Ended, runChild, SignalRelay } from './run-child.ts'
import { childEnvironment, exportLines, loopbackNames, setVariables, telemetryHosts } from './run-environment.ts'
import { findBubblewrap, insideCa, insidePort, IsolationError, type IsolationWish, isVouchedFor, planIsolation } from './run-isolation.ts'
import { readRunOptions, type RunOptions, usage } from './run-options.ts'
import { PlaceError } from './run-places.ts'
import { SessionWatch } from './run-watch.ts'
import { caFolder, runSandboxed, wishOf } from './run-sandbox.ts'
import type { Command, CommandIo, RunDeps } from './run.ts'

export function runCommand(deps: Pick<RunDeps, 'env'>): Command {
  return {
    name: 'run',
    summary: 'start a command behind the proxy, with a session of its own',
    usage,
    run: async (argv, io) => {
      const options = readRunOptions(argv)
      const relay = new SignalRelay()
      try {
        const { settings, problems } = loadSettings({ flags: { data: options.control.data, config: options.control.config }, env: deps.env, cwd: io.cwd, secrets: 'unused' })
        if (settings === undefined) {
          for (const { where, message } of problems) io.err(`${where}: error: ${message}\n`)
          return 1
        }
        const agentRun = new AgentRun({ options, io, deps, settings, relay })
        return options.printEnv ? await agentRun.print() : await agentRun.go()
      } catch (error) {
        if (!(error instanceof ControlFault || error instanceof IsolationError || error instanceof PlaceError)) throw error
        io.err(`sallyport run: ${error.message}\n`)
        if (error instanceof ControlFault && error.code === 'unreachable') io.err('sallyport run: the proxy is started with `sallyport start`, in a terminal of its own\n')
        return 1
      } finally {
        relay.close()
      }
    },
  }
}

interface Parts {
  readonly options: RunOptions
  readonly io: CommandIo
  readonly deps: Pick<RunDeps, 'env'>
  readonly settings: Settings
  readonly relay: SignalRelay
}

interface Made {
  readonly session: ShownSession
  readonly proxyUrl: string
  /** undefined unless isolated */
  readonly socket: string | undefined
  /** certificates that the command is to trust; undefined: none, for the root cannot be used */
  readonly trustedPem: string | undefined
  readonly keepOut: readonly string[]
}

/** What --isolate asks for, and what does it. */
interface Isolation {
  readonly bwrap: string
  readonly wish: Omit<IsolationWish, 'keepOut'>
}

/** One command from its session's beginning to its end. */
class AgentRun {
  readonly #parts: Parts
  /** false once the proxy has said that its root cannot be used, and that no rule needs it */
  #trustsCa = true

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The variables alone: nobody is asked, so they hold no credentials. */
  async print(): Promise<number> {
    const { options, io, deps, settings } = this.#parts
    const { listen } = settings
    if (options.isolation === undefined && listen.port === 0) throw new ControlFault('unknown', 'which port the proxy has is known to the running one alone (`listen` is 0): `sallyport sessions create --agent NAME --export` asks it')
    const proxyUrl = options.isolation === undefined ? urlOf({ address: listen.host, port: listen.port }) : insideUrl
    const files = await storedCaFiles(settings)
    io.out(exportLines(setVariables(deps.env, { proxyUrl, noProxy: this.#noProxy(), ca: files, isIsolated: options.isolation !== undefined, only: undefined })))
    if (!options.quiet) io.err('sallyport run: no session was made, so there are no credentials in it: they are needed where any session is live (`sallyport sessions create --agent NAME --export`)\n')
    return 0
  }

  async go(): Promise<number> {
    const { options, io, deps, relay } = this.#parts
    // before there is a session that would have to be ended
    const isolation = options.isolation === undefined ? undefined : { bwrap: findBubblewrap(deps.env), wish: wishOf(options.isolation, io.cwd, deps.env) }
    const made = await this.#openSession(isolation)
    const startedMs = systemClock.monotonic()
    let ended: Ended = { code: 1, signal: undefined }
    let watch: SessionWatch | undefined
    let folder: string | undefined
    // from here on the session is ended, whatever fails
    try {
      watch = this.#watch(made.session.id)
      folder = mkdtempSync(join(tmpdir(), 'sallyport-run-'))
      this.#note(`${aboutSession(made.session)}; \`sallyport approvals watch\` answers its questions${options.isolation === undefined ? '' : '; isolated'}`)
      if (relay.asked !== undefined) ended = { code: codeOf(relay.asked), signal: relay.asked }
      else ended = await this.#start(made, folder, isolation)
      if (ended.failure !== undefined) io.err(`sallyport run: ${escapeText(options.command)}: ${ended.failure === 'ENOENT' ? 'there is no such command' : 'may not be run'}\n`)
      return ended.code
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
      await this.#closeSession(made.session, ended, systemClock.monotonic() - startedMs)
      watch?.done()
    }
  }

  /** Ends the session when we are killed. Its token, if it has one, is in its environment: arguments are seen by others. */
  #watch(id: string): SessionWatch | undefined {
    const { options: { control }, io, deps } = this.#parts
    const [, program] = process.argv
    if (program === undefined || process.platform === 'win32') return undefined
    const flags = (['data', 'config', 'url', 'token-file'] as const).flatMap((name) => (control[name] === undefined ? [] : [`--${name}`, control[name]]))
    return new SessionWatch({
      command: process.execPath,
      args: [program, 'sessions', 'end', id, ...flags],
      env: { ...deps.env, ...(control.token === undefined ? {} : { [tokenVariable]: control.token }) },
      cwd: io.cwd,
      onFault: (error) => this.#note(`nobody ends the session if this is killed (${error.message}); it has an end of its own`),
    })
  }

  /** Made anew when the proxy names places of its own that the command could change: then nobody vouches for it. */
  async #openSession(isolation: Isolation | undefined): Promise<Made> {
    if (isolation === undefined) return this.#create({})
    const isVouched = isVouchedFor({ ...isolation.wish, keepOut: [] })
    const made = await this.#create({ socket: true, isolated: isVouched })
    if (!isVouched || isVouchedFor({ ...isolation.wish, keepOut: made.keepOut })) return made
    await this.#withClient((client) => endOf(client, made.session.id))
    return this.#create({ socket: true })
  }

  async #create(more: object): Promise<Made> {
    const { options, io } = this.#parts
    const ask = { ...options.session, ...more, ...(this.#trustsCa ? { trusts_ca: true } : {}) }
    const answer = await this.#withClient((client) => client.call('POST', '/v1/sessions', { body: ask })).catch((error: unknown) => {
      if (!this.#trustsCa || !isCaFault(error)) throw error
      if (options.session.web_fetch === true) throw new ControlFault(error.code, `nothing was started, for what --web-fetch reads is seen inside TLS only: ${caRemedy(error)}`, error.status, error.problem)
      if (!canDoWithoutCa(error)) throw new ControlFault(error.code, `nothing was started, for rules of the policy look inside TLS: ${caRemedy(error)}`, error.status, error.problem)
      io.err(`sallyport run: warning: ${caRemedy(error)}. No rule looks inside TLS now, so the command is started without trust in it; what a rule looks into later is refused\n`)
      return undefined
    })
    if (answer === undefined) {
      this.#trustsCa = false
      return this.#create(more)
    }
    const made = new Members(answer.body, 'answer')
    return { session: readSession(made.object('session').json), proxyUrl: made.text('proxy_url'), socket: made.optionalText('socket_path'), trustedPem: made.optionalText('trusted_pem'), keepOut: made.texts('keep_out') }
  }

  #start(made: Made, folder: string, isolation: Isolation | undefined): Promise<Ended> {
    const { options: { command, args, envOnly: only }, deps, relay, settings: { dataDir } } = this.#parts
    const isIsolated = isolation !== undefined
    const certificates = caFolder(folder)
    const files = made.trustedPem === undefined ? undefined : writeCaFiles(made.trustedPem, deps.env, certificates, isIsolated ? insideCa : certificates)
    const env = childEnvironment(deps.env, { proxyUrl: isIsolated ? insideUrl : made.proxyUrl, noProxy: this.#noProxy(), ca: files, isIsolated, only, dataDir })
    if (isolation === undefined || made.socket === undefined) return runChild({ command, args, env, stdio: 'inherit' }, relay)
    const plan = planIsolation({ ...isolation.wish, keepOut: made.keepOut })
    return runSandboxed({ bwrap: isolation.bwrap, plan, folder, socket: made.socket, cwd: isolation.wish.cwd, command, args, env }, relay)
  }

  #noProxy(): string {
    const { options: { noProxy, isolation }, deps } = this.#parts
    return noProxy ?? (isolation === undefined ? [loopbackNames, ...telemetryHosts(deps.env)].join(',') : '')
  }

  /** Whatever became of the command; what cannot be told is no reason to hide how that ended. */
  async #closeSession({ id, agent, expiresMs }: ShownSession, { code, signal }: Ended, durationMs: number): Promise<void> {
    const { options, io } = this.#parts
    const closed = await this.#withClient((client) => endOf(client, id)).catch((error: unknown) => {
      if (!(error instanceof ControlFault)) throw error
      return error
    })
    const refused = closed instanceof ControlFault ? undefined : closed.refused
    if (options.json) {
      const isolated = options.isolation !== undefined
      io.err(`${asciiJson({ session: id, agent, exit_code: code, signal: signal ?? null, refused: refused ?? null, isolated, duration_ms: Math.round(durationMs), ended: refused !== undefined })}\n`)
    } else if (closed instanceof ControlFault) {
      const until = expiresMs === undefined ? 'it has no end of its own' : `it ends by itself at ${new Date(expiresMs).toISOString()}`
      io.err(`sallyport run: session ${id} could not be ended (${closed.message}); ${until}\n`)
    } else {
      this.#note(`session ${id} has ended; ${closed.refused === 0 ? 'nothing was refused' : `${plural(closed.refused, 'request')} refused: \`sallyport why\` says why`}`)
    }
  }

  #note(text: string): void {
    if (!this.#parts.options.quiet) this.#parts.io.err(`sallyport run: ${text}\n`)
  }

  /** A client for each call: a connection that was left alone for hours is not one to rely on. */
  async #withClient<Result>(work: (client: ControlClient) => Promise<Result>): Promise<Result> {
    const { options, io, deps } = this.#parts
    const client = connectControl(options.control, io, deps.env)
    if (client === undefined) throw new ControlFault('unknown', 'the settings are wrong')
    try {
      return await work(client)
    } finally {
      client.close()
    }
  }
}

/** Inside, the socket behind the bridge says whose requests these are. */
const insideUrl = `http://127.0.0.1:${insidePort}`

function aboutSession({ id, agent, owner, team, trustsCa, webFetch }: ShownSession): string {
  const labels = [`agent ${agent}`, ...(owner === undefined ? [] : [`owner ${owner}`]), ...(team === undefined ? [] : [`team ${team}`]), ...(trustsCa ? ['trusts the CA'] : []), ...(webFetch ? ['reads the web, and nothing else'] : [])]
  return escapeText(`session ${id}: ${labels.join(', ')}`)
}

async function endOf(client: ControlClient, id: string): Promise<ShownSession> {
  const { body } = await client.call('POST', `/v1/sessions/${encodeURIComponent(id)}/end`, { body: {} })
  return readSession(body)
}
