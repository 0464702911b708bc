// What the demo runs in: a temporary folder, an origin and a whole proxy, all on free ports of 127.0.0.1, with
// settings of its own. Nothing of the user's is read or changed, and closing it takes everything down.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRecords } from '../audit/journal-query.ts'
import type { JournalRecord } from '../audit/record.ts'
import { journalDir } from '../audit/segments.ts'
import { verifyJournal, type VerifyResult } from '../audit/verify.ts'
import type { App, CreateApp, Listening, OperatorLog } from '../config/listening.ts'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { ControlClient } from './control-client.ts'
import { DemoAgent, type WireLine } from './demo-agent.ts'
import { DemoOrigin } from './demo-origin.ts'
import { Members } from './members.ts'
import { version } from './run.ts'

export const demoHosts = { allowed: 'docs.test', denied: 'paste.test', released: 'packages.test', refused: 'upload.test' } as const
export const reviewerName = 'you'

/** longest path of a unix socket, without its final NUL, on every system: 103 bytes on macOS */
const longestSocket = 103
const noSignal = new AbortController().signal

export interface DemoSession {
  readonly id: string
  readonly agent: DemoAgent
  /** where an agent would point HTTPS_PROXY, without its token */
  readonly shownUrl: string
}

export class DemoWorld {
  readonly folder: string
  readonly policyText: string
  readonly origin: DemoOrigin
  readonly #app: App
  readonly #listening: Listening
  readonly #admin: ControlClient
  readonly #agents: DemoAgent[] = []
  readonly #removeAtExit: (() => void) | undefined
  #reviewer: ControlClient | undefined
  #isOpen = true

  private constructor(parts: { readonly folder: string; readonly policyText: string; readonly origin: DemoOrigin; readonly app: App; readonly listening: Listening; readonly removeAtExit: (() => void) | undefined }) {
    this.folder = parts.folder
    this.policyText = parts.policyText
    this.origin = parts.origin
    this.#app = parts.app
    this.#listening = parts.listening
    this.#removeAtExit = parts.removeAtExit
    const path = parts.listening.controlSocket
    this.#admin = new ControlClient({ kind: 'socket', path, shownPath: path, shownFolder: parts.folder, token: undefined })
  }

  /** Rejects when something cannot be opened; nothing is left behind then. */
  static async open(createApp: CreateApp, isKept: boolean): Promise<DemoWorld> {
    const folder = makeFolder()
    const remove = (): void => rmSync(folder, { recursive: true, force: true })
    // also when the process ends in between
    if (!isKept) process.once('exit', remove)
    const origin = new DemoOrigin()
    let app: App | undefined
    try {
      await origin.open()
      const policyText = policyFor(origin.port)
      const settings = furnish(folder, policyText)
      app = await createApp(settings, { log: silentLog, version: version() })
      const listening = await app.start()
      return new DemoWorld({ folder, policyText, origin, app, listening, removeAtExit: isKept ? undefined : remove })
    } catch (error) {
      await app?.stop(false)
      await origin.close()
      process.off('exit', remove)
      remove()
      throw error
    }
  }

  get proxyUrl(): string {
    return this.#listening.proxy
  }

  get pageUrl(): string {
    return this.#listening.control
  }

  /** Speaks as the person who reviews, with a token of theirs; what the page asks for is `secret`. */
  async openReviewer(): Promise<{ readonly client: ControlClient; readonly secret: string }> {
    const { body } = await this.#admin.call('POST', '/v1/tokens', { body: { kind: 'person', name: reviewerName, role: 'reviewer', ttl: '1h' } })
    const secret = new Members(body, 'answer').text('secret')
    const client = new ControlClient({ kind: 'url', url: new URL(this.#listening.control), token: secret })
    this.#reviewer = client
    return { client, secret }
  }

  async openSession(agent: string, hold: string, onWire: (line: WireLine) => void, signal: AbortSignal = noSignal): Promise<DemoSession> {
    const { body } = await this.#admin.call('POST', '/v1/sessions', { body: { agent, owner: 'ana', hold, ttl: '1h' } })
    const made = new Members(body, 'answer')
    const id = made.object('session').text('id')
    const proxy = new URL(this.#listening.proxy)
    const opened = new DemoAgent({
      proxyPort: Number(proxy.port), session: id, token: made.text('token'), originKey: () => this.origin.credentials(), onWire, signal,
    })
    this.#agents.push(opened)
    return { id, agent: opened, shownUrl: `http://${id}:TOKEN@${proxy.host}` }
  }

  /** Records after `seq`, oldest first. */
  async recordsAfter(seq: number): Promise<readonly JournalRecord[]> {
    return (await findRecords(journalDir(join(this.folder, 'var')), 1000, (record) => record.seq > seq)).records
  }

  async verify(): Promise<VerifyResult> {
    return verifyJournal(journalDir(join(this.folder, 'var')))
  }

  /** Ends the proxy; the journal is whole from then on. More than once does no harm. */
  async stop(): Promise<void> {
    for (const agent of this.#agents) agent.close()
    this.#admin.close()
    this.#reviewer?.close()
    await this.#app.stop(false)
  }

  /** Takes everything down; the folder too, unless it is kept. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    try {
      await this.stop()
    } finally {
      await this.origin.close()
      if (this.#removeAtExit !== undefined) {
        process.off('exit', this.#removeAtExit)
        this.#removeAtExit()
      }
    }
  }
}

/** Where the socket's path is not too long: some systems' folder for temporary files is deep down. */
function makeFolder(): string {
  const name = 'sallyport-demo-'
  const fits = (base: string): boolean => Buffer.byteLength(join(base, `${name}XXXXXX`, 'var', 'control.sock')) <= longestSocket
  return mkdtempSync(join([tmpdir(), '/tmp'].find(fits) ?? tmpdir(), name))
}

/** The policy of the demo; `port` is the origin's. */
function policyFor(port: number): string {
  return `[network]
unknown             = "ask"                     # a host that no rule names waits for a person
allowed_domains     = ["${demoHosts.allowed}:${port}"]
denied_domains      = ["${demoHosts.denied}"]
allow_local_binding = true                      # the demo's origin is on this machine
`
}

/** Writes what the proxy reads, and reads its settings: from here alone, whatever this machine has. */
function furnish(folder: string, policyText: string): Settings {
  const policies = join(folder, 'policies')
  mkdirSync(policies)
  writeFileSync(join(policies, '10-demo.toml'), policyText)
  writeFileSync(join(folder, 'requirements.toml'), '# no managed layer\n')
  writeFileSync(join(folder, 'hosts'), Object.values(demoHosts).map((host) => `127.0.0.1 ${host}\n`).join(''))
  writeFileSync(join(folder, 'resolv.conf'), '')
  const flags = {
    listen: '127.0.0.1:0', control: '127.0.0.1:0', ops: 'off', policies, requirements: join(folder, 'requirements.toml'),
    data: join(folder, 'var'), certs: join(folder, 'certs'),
  }
  const { settings, problems } = loadSettings({ flags, env: {}, cwd: folder })
  if (settings === undefined) throw new Error(problems.map(({ where, message }) => `${where}: ${message}`).join('\n'))
  // names are those of the hosts file here; a server that nobody has is asked for all others
  return { ...settings, dns: { ...settings.dns, hosts: join(folder, 'hosts'), resolvConf: join(folder, 'resolv.conf'), servers: ['127.0.0.1:1'] } }
}

const silentLog: OperatorLog = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined }
