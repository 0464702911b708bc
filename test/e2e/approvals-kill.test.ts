// kill -9 with many clients held: what was answered is on record, what was not is pending still, and nothing is
// allowed by a restart.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyJournal } from '../../src/audit/verify.ts'
import { connectBytes, headOf, sent } from '../support/ask-world.ts'
import { startChildProxy } from '../support/child-proxy.ts'
import { ControlClient, type WireApproval, type WireSession } from '../support/control.ts'
import { rawOrigin } from '../support/origins.ts'
import { readJournal } from '../support/proxy.ts'
import type { WireClient } from '../support/wire-client.ts'

const sessions = 10
const perSession = 20
const day = 86_400_000

interface Parked {
  readonly client: WireClient
  readonly host: string
  readonly session: WireSession
}

function policyFor(port: number): string {
  return `[network]\nunknown = "ask"\n[[network.rules]]\nid = "asked"\nhosts = ["*.ask.localhost:${port}"]\nlocal = ["127.0.0.0/8", "::1/128"]\nverdict = "ask"\n`
}

async function park(t: Test, control: ControlClient, proxy: { readonly port: number }, port: number): Promise<readonly Parked[]> {
  const parked: Parked[] = []
  for (let at = 0; at < sessions; at++) {
    const session = await control.createSession({ agent: `a${at}`, hold: '5m' })
    for (let question = 0; question < perSession; question++) {
      const host = `h${at}-${question}.ask.localhost`
      parked.push({ client: await sent(t, proxy, connectBytes(`${host}:${port}`, session.line)), host, session })
    }
  }
  return parked
}

async function allHeld(control: ControlClient): Promise<readonly WireApproval[]> {
  for (;;) {
    const open = await control.approvals()
    if (open.length === sessions * perSession && open.every(({ waiting }) => waiting === 1)) return open
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

t.test('200 held, some answered, and then kill -9: no answer is lost and none is made up', { timeout: 60_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sp-kill-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const origin = await rawOrigin(t, (socket) => socket.resume())
  const policy = policyFor(origin.port)
  const socket = join(dir, 'var', 'control.sock')

  const first = await startChildProxy(t, { dir, policy })
  const control = new ControlClient(socket)
  const parked = await park(t, control, first, origin.port)
  const open = await allHeld(control)
  const verdicts = new Map<string, string>()
  // 30 answers that the reviewer hears of, and more on their way when the process is killed
  for (const [at, approval] of open.slice(0, 30).entries()) {
    const verdict = at % 2 === 0 ? 'allow' : 'deny'
    t.equal((await control.answer(approval, { verdict, term: 'session' })).status, 200)
    verdicts.set(approval.host, verdict)
  }
  const underway = open.slice(30, 60).map((approval) => control.answer(approval, { verdict: 'allow', term: 'session' }).then(({ status }) => (status === 200 ? approval.host : undefined), () => undefined))
  await Promise.race(underway)
  first.child.kill('SIGKILL')
  await first.ended
  for (const host of await Promise.all(underway)) if (host !== undefined) verdicts.set(host, 'allow')
  const heard: { readonly host: string; readonly status: string }[] = []
  for (const { client, host } of parked) {
    const received = await client.closed()
    if (received !== '') heard.push({ host, status: received.slice(9, 12) })
  }

  const journal = join(dir, 'var', 'journal')
  const second = await startChildProxy(t, { dir, policy })
  t.equal((await verifyJournal(journal)).fault, undefined, 'the journal is whole')
  const records = readJournal(journal)
  const answered = new Map(records.filter(({ name }) => name === 'sallyport.approval.decided').map(({ attributes }) => [attributes['sallyport.approval.id'], attributes]))
  const hostOf = new Map(open.map(({ id, host }) => [id, host]))
  const decidedHosts = new Set([...answered.keys()].map((id) => hostOf.get(String(id))))
  t.strictSame([...verdicts.keys()].filter((host) => !decidedHosts.has(host)), [], 'every answer that a reviewer heard of is in the journal')
  const finals = new Map(records.filter(({ name, attributes }) => name === 'sallyport.decision' && attributes['sallyport.stage'] === 'approval').map(({ attributes }) => [attributes['server.address'], attributes['network.policy.decision']]))
  t.ok(heard.length >= 15, `${heard.length} clients heard something`)
  for (const { host, status } of heard) t.equal(finals.get(host), status === '200' ? 'allow' : 'deny', `${host}: ${status} is in the journal`)

  const now = await control.approvals('')
  t.equal(now.length, sessions * perSession, 'every question is there')
  for (const approval of now) {
    const { host, state, waiting, expires_at: expiresAt, decision } = approval
    const verdict = verdicts.get(host)
    if (verdict !== undefined) t.equal(decision?.verdict, verdict, `${host} stands as it was answered`)
    if (state !== 'pending') t.ok(answered.has(approval.id), `${host} is ${state} by a decision on record`)
    if (state === 'pending' && (waiting !== 0 || Date.parse(expiresAt) - Date.now() < day / 2)) t.fail(`${host}: nobody waits, and it waits for the retry until ${expiresAt}`)
  }
  const pending = now.filter(({ state }) => state === 'pending')
  t.ok(pending.length >= 140, `${pending.length} are pending`)

  // the retries: what was allowed passes, what was refused does not, and what is pending is asked about as before
  const dialled = origin.connections()
  const retry = async (host: string): Promise<WireClient> => {
    const session = parked.find((one) => one.host === host)?.session
    return sent(t, second, connectBytes(`${host}:${origin.port}`, session?.line))
  }
  const [allowed, denied] = ['allow', 'deny'].map((verdict) => [...verdicts].find(([, given]) => given === verdict)?.[0] ?? '')
  t.match(await headOf(await retry(allowed ?? '')), /^HTTP\/1\.1 200 /)
  t.match(await headOf(await retry(denied ?? '')), /^HTTP\/1\.1 403 /)
  const [asked] = pending
  const again = await retry(asked?.host ?? '')
  const same = await control.pending(asked?.host ?? '')
  t.match(same, { id: asked?.id, attempts: 2, waiting: 1 })
  t.equal(origin.connections(), dialled + 1, 'nothing was dialled but for the one that was allowed')
  t.equal((await control.answer(same, { verdict: 'allow' })).status, 200)
  t.match(await headOf(again), /^HTTP\/1\.1 200 /)
  second.child.kill('SIGTERM')
  t.equal(await second.ended, 0)
  t.equal((await verifyJournal(journal)).fault, undefined)
})
