// The set-up checks, each against a machine that has exactly that fault.
import { chmodSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeEvent, sealLine, zeroHash } from '../../src/audit/record.ts'
import { journalDir, segmentName } from '../../src/audit/segments.ts'
import { CertificateAuthority } from '../../src/ca/certificate-authority.ts'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { runtimeFindings, setupFindings } from '../../src/cli/doctor-setup.ts'
import { systemClock } from '../../src/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { type FakeNetwork, fakeProbes } from './fake-probes.ts'

interface Machine {
  readonly cwd: string
  readonly data: string
}

function machine(t: Test, policy = '[network]\n'): Machine {
  const cwd = t.testdir({ 'resolv.conf': '', hosts: '192.0.2.7 probe.example\n', policies: { '00.toml': policy } })
  const data = join(cwd, 'var')
  mkdirSync(data, { mode: 0o700 })
  return { cwd, data }
}

async function check(name: string, { cwd }: Machine, more: { flags?: Record<string, string>; network?: FakeNetwork; now?: number; probeName?: string } = {}): Promise<Finding | undefined> {
  const env = { SALLYPORT_DNS_RESOLV_CONF: 'resolv.conf', SALLYPORT_DNS_HOSTS: 'hosts' }
  const { settings } = loadSettings({ flags: more.flags ?? {}, env, cwd })
  if (settings === undefined) throw new Error('the settings are wrong')
  const { now } = more
  const clock = now === undefined ? systemClock : { ...systemClock, now: () => now }
  const findings = await setupFindings({ settings, cwd, clock, probes: fakeProbes(more.network), probeName: more.probeName ?? 'probe.example' })
  return findings.find((finding) => finding.name === name)
}

/** A journal whose records are chained as the proxy chains them. */
function writeJournal({ data }: Machine, count: number, change: (lines: string[]) => string[] = (lines) => lines): string {
  const dir = journalDir(data)
  mkdirSync(dir, { mode: 0o700 })
  const lines: string[] = []
  let prev = zeroHash
  for (let seq = 1; seq <= count; seq += 1) {
    const encoded = encodeEvent({ name: 'sallyport.process.started', severity: 'INFO', body: `record ${seq}`, attributes: {} })
    const sealed = sealLine(encoded, seq, prev, `uid-${seq}`, '2026-10-01T00:00:00.000Z', 'instance')
    prev = sealed.hash
    lines.push(sealed.line)
  }
  const file = join(dir, segmentName(1))
  writeFileSync(file, change(lines).join(''), { mode: 0o600 })
  return file
}

t.test('a port is free, ours, or in the way', async (t) => {
  const here = machine(t)
  t.match(await check('proxy_port', here), { status: 'ok', detail: /is free/ })
  t.match(await check('proxy_port', here, { network: { tcp: ['127.0.0.1:3128'], pages: { '127.0.0.1:3128': 'sallyport: the guarded way out' } } }), { status: 'ok', detail: /is running/ })
  t.match(await check('proxy_port', here, { network: { tcp: ['127.0.0.1:3128'], pages: { '127.0.0.1:3128': 'Squid' } } }), { status: 'fail', detail: /another program/, remedy: /--listen/ })
  t.match(await check('ops_port', here, { network: { tcp: ['127.0.0.1:3130'] } }), { status: 'fail', remedy: /--ops/ })
  t.match(await check('ops_port', here, { flags: { ops: 'off' } }), { status: 'skip' })
  t.match(await check('proxy_port', here, { flags: { listen: '127.0.0.1:0' } }), { status: 'skip' })
})

t.test('a policy that does not compile is named by file and line', async (t) => {
  t.match(await check('policy', machine(t)), { status: 'ok', detail: /compiles/ })
  t.match(await check('policy', machine(t, '[network]\nallowed_domainz = []\n')), { status: 'fail', detail: /00\.toml:2/, remedy: /sallyport check/ })
})

t.test('the data folder is for this user alone', async (t) => {
  const here = machine(t)
  t.match(await check('data_folder', here), { status: 'ok' })
  chmodSync(here.data, 0o755)
  t.match(await check('data_folder', here), { status: 'warn', detail: /read by other users/, remedy: /^chmod go-rwx / })
  chmodSync(here.data, 0o777)
  t.match(await check('data_folder', here), { status: 'fail', detail: /written by other users/ })
  t.match(await check('data_folder', here, { flags: { data: 'not/yet' } }), { status: 'ok', detail: /is made at the start/ })
  t.match(await check('data_folder', here, { flags: { data: 'hosts' } }), { status: 'fail', detail: /not a folder/ })
})

t.test('a data folder that this user cannot write is a failure', { skip: process.getuid?.() === 0 ? 'root can write everything' : false }, async (t) => {
  const here = machine(t)
  chmodSync(here.data, 0o500)
  t.teardown(() => chmodSync(here.data, 0o700))
  t.match(await check('data_folder', here), { status: 'fail', detail: /cannot be written/ })
  t.match(await check('data_folder', here, { flags: { data: 'var/x/y' } }), { status: 'fail', detail: /cannot be made/ })
})

t.test('the chain of the last segment is followed', async (t) => {
  t.match(await check('journal', machine(t)), { status: 'skip' })
  const whole = machine(t)
  writeJournal(whole, 3)
  t.match(await check('journal', whole), { status: 'ok', detail: /\(3 records\)/ })
  const forged = machine(t)
  writeJournal(forged, 3, (lines) => lines.map((line, at) => (at === 1 ? line.replace('record 2', 'record X') : line)))
  t.match(await check('journal', forged), { status: 'fail', detail: / line 2: /, remedy: /audit verify/ })
  const cut = machine(t)
  writeJournal(cut, 3, (lines) => lines.filter((_, at) => at !== 1))
  t.match(await check('journal', cut), { status: 'fail', detail: / line 2: / })
})

t.test('an end that is being written, or was torn, is not a fault', async (t) => {
  const here = machine(t)
  writeJournal(here, 3, (lines) => lines.map((line, at) => (at === 2 ? line.slice(0, 40) : line)))
  t.match(await check('journal', here), { status: 'ok', detail: /\(2 records\)/ })
})

t.test('a clock before this year, or before the journal, is not right', async (t) => {
  const here = machine(t)
  t.match(await check('clock', here), { status: 'ok' })
  t.match(await check('clock', here, { now: 0 }), { status: 'fail', detail: /1970/, remedy: /NTP/ })
  const file = writeJournal(here, 1)
  const now = Date.UTC(2026, 5, 1)
  utimesSync(file, new Date(now + 3_600_000), new Date(now + 3_600_000))
  t.match(await check('clock', here, { now }), { status: 'warn', detail: /in the future/ })
})

t.test('the resolver is asked as the proxy would ask it', async (t) => {
  const here = machine(t)
  t.match(await check('resolver', here), { status: 'ok', detail: 'probe.example is 192.0.2.7' })
  t.match(await check('resolver', here, { probeName: 'other.example' }), { status: 'fail', detail: /no name server/, remedy: /dns_servers/ })
})

t.test('a CA is whole, private and not expired', async (t) => {
  const here = machine(t)
  t.match(await check('ca', here), { status: 'skip' })
  const certs = join(here.cwd, 'certs')
  const key = join(certs, 'root-key.pem')
  await new CertificateAuthority({ certsDir: certs, clock: systemClock, constraints: () => undefined }).ready()
  t.match(await check('ca', here), { status: 'ok', detail: /root\.pem, 364 days left/ })
  const day = 86_400_000
  t.match(await check('ca', here, { now: Date.now() + 350 * day }), { status: 'warn', detail: /ends on .*, in 14 days: `sallyport ca rotate`/ })
  t.match(await check('ca', here, { now: Date.now() + 366 * day }), { status: 'fail', detail: /has expired on/ })
  chmodSync(key, 0o644)
  t.match(await check('ca', here), { status: 'fail', detail: /other users may open it.*`chmod 600 /, remedy: /ca show/ })
  chmodSync(key, 0o600)
  writeFileSync(join(certs, 'root.pem'), 'not a certificate')
  t.match(await check('ca', here), { status: 'fail', detail: /holds no certificate/ })
  rmSync(join(certs, 'root.pem'))
  utimesSync(key, 1, 1)
  t.match(await check('ca', here), { status: 'fail', detail: /root-key\.pem is there without/ })
})

t.test('a folder behind a link is judged by where it leads', async (t) => {
  const here = machine(t)
  symlinkSync(here.data, join(here.cwd, 'linked'))
  t.match(await check('data_folder', here, { flags: { data: 'linked' } }), { status: 'ok' })
})

t.test('an old Node is told what to do', async (t) => {
  t.match(runtimeFindings('v20.20.2', {}, []), [{ name: 'node', status: 'fail', remedy: /npm start/ }, { name: 'environment', status: 'ok' }])
  t.match(runtimeFindings('v26.0.0', {}, []), [{ status: 'ok' }, { status: 'ok' }])
})
