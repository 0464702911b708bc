// Rounds of kill -9 on a proxy under load: whatever a client heard must be in the journal, and the journal
// must be whole when it is opened again.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { verifyJournal } from '../../src/audit/verify.ts'
import { startChildProxy } from './child-proxy.ts'
import { readJournal } from './proxy.ts'
import type { Scope } from './scope.ts'
import { WireClient } from './wire-client.ts'

export interface KillResult {
  /** decisions that clients heard of */
  readonly heard: number
  /** of these, what is not in the journal */
  readonly missing: readonly string[]
  /** origin requests whose decision is not in the journal */
  readonly unexplained: readonly string[]
  readonly fault: string | undefined
}

const workers = 6

/** `origin` answers on `port` and lists the targets it saw; `random` picks the moments, 0 to 1. */
export async function killRounds(t: Scope, rounds: number, origin: { readonly port: number; readonly targets: () => readonly string[] }, random: () => number): Promise<KillResult> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-kill-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const policy = `[network]\nunknown = "deny"\nallowed_domains = ["127.0.0.1:${origin.port}"]\n`
  const heard: string[] = []
  for (let round = 0; round < rounds; round++) {
    const proxy = await startChildProxy(t, { dir, policy })
    const load = Promise.all(Array.from({ length: workers }, (_, worker) => client(proxy.port, origin.port, `${round}-${worker}`, heard)))
    await delay(20 + random() * 150)
    proxy.child.kill('SIGKILL')
    await Promise.all([load, proxy.ended])
  }
  // opening repairs what was torn
  const last = await startChildProxy(t, { dir, policy })
  last.child.kill('SIGTERM')
  await last.ended
  const journal = join(dir, 'var', 'journal')
  const { fault } = await verifyJournal(journal)
  const decisions = readJournal(journal).filter(({ name }) => name === 'sallyport.decision')
  const decided = new Set(decisions.map(({ attributes }) => `${String(attributes['server.address'])}${String(attributes['url.path'])}`))
  return {
    heard: heard.length,
    missing: heard.filter((what) => !decided.has(what)),
    unexplained: origin.targets().map((target) => `127.0.0.1${target}`).filter((what) => !decided.has(what)),
    fault: fault === undefined ? undefined : `${fault.file}:${fault.line}: ${fault.what}`,
  }
}

/** Allowed and denied requests in turn, as fast as they are answered, until the connection is gone. */
async function client(port: number, originPort: number, name: string, heard: string[]): Promise<void> {
  const wire = await WireClient.open(port)
  for (let sent = 1; !wire.isClosed; sent++) {
    const path = `/r/${name}/${sent}`
    const [host, what] = sent % 3 === 0 ? [`d${name}-${sent}.test`, `d${name}-${sent}.test${path}`] : [`127.0.0.1:${originPort}`, `127.0.0.1${path}`]
    wire.send(`GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    if ((await wire.next()) === undefined) return
    heard.push(what)
  }
}
