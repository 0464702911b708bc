// What is printed when the proxy is open.
import t from 'tap'
import { banner, startLine } from '../../src/cli/banner.ts'
import { listening } from './fake-io.ts'

t.test('the banner says where it listens, what it loaded and one line to try', async (t) => {
  const text = banner(listening, '1.2.3')
  t.match(text, /^sallyport 1\.2\.3 is running, pid 4242\n/)
  t.match(text, / proxy +http:\/\/127\.0\.0\.1:3128\n/)
  t.match(text, / ops +http:\/\/127\.0\.0\.1:3130 /)
  t.match(text, / control +http:\/\/127\.0\.0\.1:3129 .*\n +\/srv\/var\/control\.sock /)
  t.match(text, /revision abc123def456, enforce, 3 rules from 1 file\n +\/p\/policies\/00-default\.toml\n/)
  t.match(text, / journal +\/p\/var\/journal\n/)
  t.match(text, / export +none: events stay in the journal\n/)
  t.ok(text.endsWith('  try: curl -x http://127.0.0.1:3128 https://example.com/ -I\n'))
  t.notMatch(text, /advisory|warning|monitor/)
})

t.test('advisory and monitor mode and warnings are said in plain words', async (t) => {
  const text = banner({ ...listening, advisory: true, mode: 'monitor', warnings: ['clients: every address may connect'] }, '1')
  t.match(text, /advisory mode: a program that runs as the same user as sallyport can go around it/)
  t.match(text, /monitor mode: nothing is denied by rules/)
  t.match(text, /warning: clients: every address may connect\n/)
})

t.test('lists of names are counted', async (t) => {
  t.match(banner({ ...listening, feedNames: 1_000_000 }, '1'), /policy .*\n +1,000,000 names on denied lists\n +\/p\/policies/)
})

t.test('a collector is shown without anything that could be a secret', async (t) => {
  const otlp = 'https://user:topsecret@otel.example/v1/logs?key=topsecret'
  for (const text of [banner({ ...listening, otlp }, '1'), startLine({ ...listening, otlp }, '1')]) {
    t.notMatch(text, /topsecret/)
    t.match(text, /https:\/\/otel\.example\/v1\/logs/)
  }
})

t.test('every place that events go to is named', async (t) => {
  const otherDestinations = [{ name: 'siem', type: 'syslog' }, { name: 'archive', type: 'file' }]
  t.match(banner({ ...listening, otlp: 'https://otel.example/v1/logs', otherDestinations }, '1'), / export +OTLP to https:\/\/otel\.example\/v1\/logs, siem \(syslog\), archive \(file\)\n/)
  t.match(banner({ ...listening, otherDestinations }, '1'), / export +siem \(syslog\), archive \(file\)\n/)
})

t.test('a wildcard address is not offered as one to connect to', async (t) => {
  t.match(banner({ ...listening, proxy: 'http://0.0.0.0:3128' }, '1'), /curl -x http:\/\/127\.0\.0\.1:3128 /)
  t.match(banner({ ...listening, proxy: 'http://[::]:3128' }, '1'), /curl -x http:\/\/\[::1\]:3128 /)
})

t.test('control characters in a file name or warning do not reach the terminal', async (t) => {
  const text = banner({ ...listening, policyFiles: ['/p/\u{1b}[2Jx.toml'], warnings: ['a\u{202e}b'] }, '1')
  for (const hidden of ['\u{1b}', '\u{202e}']) t.notOk(text.includes(hidden))
})

t.test('the JSON line is one line and keeps its keys', async (t) => {
  const line = startLine({ ...listening, warnings: ['a\nb'] }, '1.2.3')
  t.equal(line.indexOf('\n'), line.length - 1)
  t.same(Object.keys(JSON.parse(line)), ['proxy', 'control', 'control_socket', 'ops', 'policy', 'pid', 'version', 'mode', 'policy_files', 'rules', 'feed_names', 'journal', 'otlp', 'destinations', 'advisory', 'warnings'])
})
