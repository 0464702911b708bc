// A real client in front of a host that policy asks about: it is held, a reviewer answers through the control
// socket after a while or nobody does, and what became of the client is recorded. It never lets a client
// reach anything but the proxy it was given.
import { mkdirSync, writeFileSync } from 'node:fs'
import type http from 'node:http'
import { join } from 'node:path'
import type { Hold } from '../../src/approvals/session.ts'
import { call } from '../control/caller.ts'
import { testCertificates } from './certificates.ts'
import { normalised } from './client-refusals.ts'
import { clientHome, type ClientHome, type Program } from './client-run.ts'
import type { Scheme } from './client-world.ts'
import { clients, type ClientName } from './clients.ts'
import { gitOrigin } from './git-origin.ts'
import { npmRegistry } from './npm-registry.ts'
import { httpOrigin, tlsOrigin, type HttpOrigin } from './origins.ts'
import { pipIndex } from './pip-index.ts'
import { startProxy, type TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'

/** How long a client has been held when the answer comes, `s`; `nobody`: none comes, and the hold is `auto`. */
export type Answered = number | 'nobody'

export interface HeldClient {
  readonly name: ClientName
  readonly version: string
  readonly scheme: Scheme
  readonly answered: Answered
  readonly commandLine: string
  /** it ended without an error and the origin heard from it */
  readonly isServed: boolean
  readonly exitCode: number
  /** normalised */
  readonly output: string
  /** from when its question was there to its end, `s` */
  readonly seconds: number
  /** exchanges that asked; more than one: it tried again */
  readonly attempts: number
  /** what it calls itself where it asks, first word; undefined: nothing */
  readonly userAgent: string | undefined
}

interface Question {
  readonly id: string
  readonly version: number
  readonly attempts: number
  readonly user_agent: string | null
}

interface HeldWorld extends ClientHome {
  readonly proxy: TestProxy
  readonly origins: Readonly<Record<Scheme, HttpOrigin>>
}

/** longer than any answer here takes */
const longHoldMs = 60_000

/** Runs one client against one host that is asked about. Nothing here sleeps when `answered` is 0. */
export async function runHeld(scope: Scope, name: ClientName, program: Program, scheme: Scheme, answered: Answered): Promise<HeldClient> {
  const world = await heldWorld(scope, name, answered === 'nobody' ? 'auto' : longHoldMs)
  const base = `${scheme}://origin.test:${world.origins[scheme].port}`
  const { reach, shown } = clients[name]
  const run = world.run(program.command, [...program.args, ...reach(base)])
  const socket = join(world.proxy.dir, 'var', 'control.sock')
  const question = await pending(socket)
  const began = performance.now()
  if (answered !== 'nobody') await sayYes(socket, question, answered * 1000, run)
  const { exitCode, output } = await run
  const seconds = (performance.now() - began) / 1000
  const { attempts, user_agent: userAgent } = await theQuestion(socket, question.id)
  const isServed = exitCode === 0 && world.origins[scheme].requests.length > 0
  const said = normalised(output, world).replaceAll(`origin.test:${world.origins[scheme].port}`, 'origin.test')
  return { name, version: program.version, scheme, answered, commandLine: shown(`${scheme}://origin.test`), isServed, exitCode, output: said, seconds, attempts, userAgent: userAgent?.split(' ', 1)[0] }
}

async function heldWorld(scope: Scope, name: ClientName, hold: Hold): Promise<HeldWorld> {
  const certificates = await testCertificates()
  const listener = originOf(name)
  const https = await tlsOrigin(scope, ['origin.test'], certificates, listener?.answer)
  const plain = await httpOrigin(scope, listener?.answer)
  const proxy = await startProxy(scope, {
    policy: `[network]\nunknown = "deny"\n\n[[network.rules]]\nid = "origin"\nhosts = ["origin.test:${https.port}", "origin.test:${plain.port}"]\nlocal = ["127.0.0.1/32"]\nverdict = "ask"\n`,
    hosts: { 'origin.test': '127.0.0.1' },
    change: (settings) => ({ ...settings, sessions: { ...settings.sessions, hold } }),
  })
  const home = clientHome(scope, proxy.url, certificates.ca)
  await listener?.fill(home)
  return { ...home, proxy, origins: { https, http: plain } }
}

interface FilledOrigin {
  readonly answer: http.RequestListener
  /** puts there what this client will ask for */
  fill(home: ClientHome): Promise<void>
}

/** What `clients[name].reach` asks an origin for. */
function originOf(name: ClientName): FilledOrigin | undefined {
  if (name === 'npm') return { answer: npmRegistry([{ name: 'harness', version: '1.2.3' }]), fill: async () => {} }
  if (name === 'pip') return { answer: pipIndex('harness', '1.2.3'), fill: async () => {} }
  return name === 'git' ? servedRepository() : undefined
}

/** One commit, served as files: reading is all that is done. */
function servedRepository(): FilledOrigin {
  let answer: http.RequestListener | undefined
  return {
    answer: (request, response) => answer?.(request, response),
    fill: async ({ dir, run }) => {
      const git = async (...args: readonly string[]): Promise<void> => {
        const { exitCode, output } = await run('git', args)
        if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: exit ${exitCode}\n${output}`)
      }
      const [source, served] = [join(dir, 'source'), join(dir, 'served')]
      mkdirSync(source)
      writeFileSync(join(source, 'a.txt'), 'a\n')
      await git('-C', source, 'init', '-q')
      await git('-C', source, 'add', '.')
      await git('-C', source, 'commit', '-q', '-m', 'first')
      await git('clone', '-q', '--bare', source, join(served, 'repo.git'))
      await git('-C', join(served, 'repo.git'), 'update-server-info')
      answer = gitOrigin(served, undefined)
    },
  }
}

/** The one question that is open, as soon as it is. */
async function pending(socket: string): Promise<Question> {
  for (;;) {
    const { json } = await call(socket, '/v1/approvals?state=pending', { headers: { host: 'localhost', prefer: 'wait=20' } })
    const [question] = json.items as readonly Question[]
    if (question !== undefined) return question
  }
}

async function theQuestion(socket: string, id: string): Promise<Question> {
  return (await call(socket, `/v1/approvals/${id}`, { headers: { host: 'localhost' } })).json as Question
}

/** Says yes after `ms`, or when the client has ended before. */
async function sayYes(socket: string, { id }: Question, ms: number, run: Promise<unknown>): Promise<void> {
  if (ms > 0) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    await Promise.race([promise, run])
    clearTimeout(timer)
  }
  const { version } = await theQuestion(socket, id)
  const { status, text } = await call(socket, `/v1/approvals/${id}/decision`, { method: 'POST', headers: { host: 'localhost', 'if-match': `"${version}"` }, body: { verdict: 'allow' } })
  if (status !== 200) throw new Error(`the answer was refused: ${text}`)
}
