// `doctor` as a command: where it thinks it is, what it checks there, what it prints, and its exit code.
import t, { type Test } from 'tap'
import { doctorCommand } from '../../src/cli/doctor.ts'
import { type Diagnosis, diagnosisTable } from '../../src/cli/doctor-finding.ts'
import { UsageError } from '../../src/cli/run.ts'
import { fakeIo } from './fake-io.ts'
import { type FakeNetwork, fakeProbes, type FakeProbes } from './fake-probes.ts'

interface Check {
  readonly name: string
  readonly group: string
  readonly status: string
  readonly detail: string
  readonly remedy: string | null
}

interface Report {
  readonly ok: boolean
  readonly enforced: boolean | null
  readonly place: string
  readonly proxy: string | null
  readonly checks: readonly Check[]
}

const agentProxy = 'http://session:topsecret@sallyport.example:3128'
const refused = { connect: { status: 403, reason: 'Denied by policy', body: '' } }

/** A machine of the test's own: no name server, no hosts, one policy. */
function machine(t: Test): string {
  return t.testdir({
    'sallyport.toml': 'data = "var"\n[dns]\nresolv_conf = "resolv.conf"\nhosts = "hosts"\n',
    'resolv.conf': '',
    hosts: '192.0.2.7 example.com\n',
    policies: { '00-default.toml': '[network]\nallowed_domains = ["example.com"]\n' },
  })
}

async function report(t: Test, argv: readonly string[], env: Record<string, string>, network: FakeNetwork, isIsolated = false): Promise<{ code: number; report: Report; probes: FakeProbes }> {
  const io = fakeIo(machine(t))
  const probes = fakeProbes(network)
  const code = await doctorCommand({ env, execArgv: [] }, { probes, isIsolated }).run([...argv, '--json'], io)
  return { code, report: JSON.parse(io.stdout()), probes }
}

t.test('where the proxy is elsewhere and nothing gets out, the exit code is 0', async (t) => {
  const { code, report: found } = await report(t, [], { HTTPS_PROXY: agentProxy, HTTP_PROXY: agentProxy }, refused)
  t.equal(code, 0)
  t.match(found, { ok: true, enforced: true, place: 'agent', proxy: 'http://sallyport.example:3128' })
  t.notMatch(JSON.stringify(found), /topsecret/)
  t.notOk(found.checks.some(({ name }) => name === 'journal'), 'the set-up is not looked for at the place of an agent')
})

t.test('where the proxy is elsewhere, one way out is a failure', async (t) => {
  const { code, report: found } = await report(t, ['--proxy', agentProxy], {}, { ...refused, tcp: ['1.1.1.1:443'] })
  t.equal(code, 1)
  t.match(found, { ok: false, enforced: false, place: 'agent' })
  t.same(found.checks.filter(({ status }) => status === 'fail').map(({ name }) => name), ['direct_tcp'])
})

t.test('where the proxy is here, a way out is a warning and the set-up is checked', async (t) => {
  const { code, report: found } = await report(t, [], {}, { ...refused, tcp: ['1.1.1.1:443', '127.0.0.1:3128'], pages: { '127.0.0.1:3128': 'sallyport: ...' } })
  t.same(found.checks.filter(({ status }) => status === 'fail'), [])
  t.equal(code, 0)
  t.match(found, { enforced: false, place: 'proxy', proxy: 'http://127.0.0.1:3128' })
  const status = (name: string): string | undefined => found.checks.find((check) => check.name === name)?.status
  t.equal(status('direct_tcp'), 'warn')
  for (const name of ['node', 'proxy_port', 'ops_port', 'policy', 'data_folder', 'clock', 'resolver']) t.equal(status(name), 'ok', name)
  for (const name of ['journal', 'ca']) t.equal(status(name), 'skip', name)
})

t.test('inside an isolation the proxy is elsewhere, whatever its address says', async (t) => {
  const bridge = { HTTPS_PROXY: 'http://127.0.0.1:3128', HTTP_PROXY: 'http://127.0.0.1:3128' }
  const { code, report: found } = await report(t, [], bridge, refused, true)
  t.equal(code, 0)
  t.match(found, { ok: true, enforced: true, place: 'agent', proxy: 'http://127.0.0.1:3128' })
  t.notOk(found.checks.some(({ name }) => name === 'policy'))
  const leaky = await report(t, [], bridge, { ...refused, socket: ['/var/run/docker.sock'] }, true)
  t.match(leaky, { code: 1, report: { enforced: false } })
})

t.test('the control socket is looked for in the data folder', async (t) => {
  const { code, report: found, probes } = await report(t, ['--data', '/srv/data', '--only', 'escape'], {}, { ...refused, socket: ['/srv/data/control.sock'] })
  t.equal(code, 1)
  t.match(found.checks.find(({ name }) => name === 'control_socket'), { status: 'fail', detail: /is reached \(\/srv\/data\/control\.sock\)/ })
  t.ok(probes.asked.includes('socket /srv/data/control.sock'))
})

t.test('--only escape makes any way out a failure wherever it is run', async (t) => {
  const { code, report: found } = await report(t, ['--only', 'escape'], {}, { ...refused, dnsUdp: ['8.8.8.8'] })
  t.equal(code, 1)
  t.notOk(found.checks.some(({ name }) => name === 'policy'))
})

t.test('--only setup sends nothing out', async (t) => {
  const { report: found, probes } = await report(t, ['--only', 'setup'], {}, {})
  t.equal(found.enforced, null)
  t.same(probes.asked, ['tcp 127.0.0.1:3128', 'tcp 127.0.0.1:3130'])
})

t.test('targets can be named, and then no other is asked', async (t) => {
  const argv = ['--proxy', agentProxy, '--probe-host', '198.51.100.7:8443', '--probe-address', '198.51.100.7:8443,[2001:db8::7]', '--probe-dns', '198.51.100.53:5353']
  const { probes } = await report(t, argv, {}, refused)
  // sockets are on this machine: nothing leaves it
  t.same(new Set(probes.asked.filter((asked) => !asked.startsWith('socket '))), new Set([
    'connect sallyport.example:3128 198.51.100.7:8443 session:topsecret',
    'tcp 198.51.100.7:8443',
    'tcp [2001:db8::7]:443',
    'dnsUdp 198.51.100.53:5353',
    'dnsTcp 198.51.100.53:5353',
  ]))
})

t.test('settings that are wrong are findings, not a crash', async (t) => {
  const cwd = t.testdir({ 'sallyport.toml': 'lissten = 1\n', 'resolv.conf': '', hosts: '' })
  const io = fakeIo(cwd)
  const code = await doctorCommand({ env: {}, execArgv: [] }, { probes: fakeProbes() }).run(['--only', 'setup', '--json'], io)
  t.equal(code, 1)
  const found: Report = JSON.parse(io.stdout())
  t.match(found.checks.find(({ name }) => name === 'settings'), { status: 'fail', detail: /sallyport\.toml:1:1: there is no setting `lissten`/ })
})

t.test('a variable of a header that is not set here is a warning, and the other checks are made', async (t) => {
  const cwd = t.testdir({ 'sallyport.toml': '[dns]\nresolv_conf = "resolv.conf"\nhosts = "hosts"\n[otel.exporter.otlp-http]\nendpoint = "http://127.0.0.1:4318/v1/logs"\nprotocol = "json"\nheaders = { a = "${NOPE}" }\n', 'resolv.conf': '', hosts: '' })
  const io = fakeIo(cwd)
  await doctorCommand({ env: {}, execArgv: [] }, { probes: fakeProbes() }).run(['--only', 'setup', '--json'], io)
  const found: Report = JSON.parse(io.stdout())
  t.match(found.checks.find(({ name }) => name === 'settings'), { status: 'warn', detail: /NOPE, which is not set/ })
  t.ok(found.checks.some(({ name }) => name === 'data_folder'))
})

t.test('a dangerous environment and an old Node are failures', async (t) => {
  const { report: found } = await report(t, ['--only', 'setup'], { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, {})
  t.match(found.checks.find(({ name }) => name === 'environment'), { status: 'fail', detail: /NODE_TLS_REJECT_UNAUTHORIZED/ })
})

t.test('what is not a target, a proxy or a half is a wrong command line', async (t) => {
  const command = doctorCommand({ env: {}, execArgv: [] }, { probes: fakeProbes() })
  for (const argv of [['--only', 'all'], ['--probe-host', 'a b'], ['--probe-host', '0177.0.0.1'], ['--probe-dns', 'dns.example'], ['--proxy', 'socks5://h:1'], ['--proxy', 'http://']]) {
    await t.rejects(command.run(argv, fakeIo(machine(t))), UsageError, argv.join(' '))
  }
})

const diagnosis: Diagnosis = {
  place: 'agent',
  proxy: 'http://p:3128',
  enforced: false,
  findings: [
    { name: 'node', group: 'setup', status: 'ok', detail: 'v26.10.0' },
    { name: 'proxy', group: 'proxy', status: 'warn', detail: 'odd \u{1b}[2J', remedy: 'look' },
    { name: 'direct_tcp', group: 'escape', status: 'fail', detail: 'a direct TCP connection gets out', remedy: 'close it' },
  ],
}

t.test('the table marks each check, says what to do, and ends in the one sentence that matters', async (t) => {
  const text = diagnosisTable(diagnosis, false)
  t.match(text, /^set-up\n {2}ok +node +v26\.10\.0\n/)
  t.match(text, /\npast the proxy\n {2}fail +direct_tcp +a direct TCP connection gets out\n +-> close it\n/)
  t.match(text, /nothing enforces the proxy here: .*\n$/)
  t.notOk(text.includes('\u{1b}'))
  t.match(diagnosisTable({ ...diagnosis, enforced: true }, false), /nothing got past the proxy from here\n$/)
  t.match(diagnosisTable({ ...diagnosis, place: 'proxy' }, false), /run `sallyport doctor` again from where the agent runs\n$/)
  t.match(diagnosisTable({ ...diagnosis, enforced: undefined }, false), /was not tried\n$/)
})

t.test('colour is for terminals', async (t) => {
  t.ok(diagnosisTable(diagnosis, true).includes('\u{1b}[31mfail\u{1b}[0m'))
})
