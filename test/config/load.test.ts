// Settings from flag, variable, file and default: which wins, how values are read, and that what is
// wrong is said with its place and never falls back.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'
import * as fc from '../support/property.ts'

interface Given {
  readonly file?: string
  readonly env?: Record<string, string>
  readonly flags?: Record<string, string | boolean>
}

function load(t: Test, given: Given): LoadedSettings {
  const cwd = t.testdir(given.file === undefined ? {} : { 'sallyport.toml': given.file })
  return loadSettings({ flags: given.flags ?? {}, env: given.env ?? {}, cwd })
}

function loaded(t: Test, given: Given): Settings {
  const { settings, problems } = load(t, given)
  if (settings === undefined) throw new Error(JSON.stringify(problems))
  return settings
}

function faults(t: Test, given: Given): string[] {
  const { settings, problems } = load(t, given)
  t.equal(settings, undefined, 'nothing is loaded when anything is wrong')
  return problems.map(({ where, message }) => `${where}: ${message}`)
}

t.test('the defaults are those of the contract', async (t) => {
  const cwd = t.testdir({})
  const settings = loaded(t, {})
  t.same(settings.listen, { host: '127.0.0.1', port: 3128 })
  t.same(settings.control, { host: '127.0.0.1', port: 3129 })
  t.same(settings.ops, { host: '127.0.0.1', port: 3130 })
  t.equal(settings.policiesDir, join(cwd, 'policies'))
  t.equal(settings.dataDir, join(cwd, 'var'))
  t.equal(settings.certsDir, join(cwd, 'certs'))
  t.equal(settings.requirementsFile, undefined)
  t.equal(settings.limits.urlBytes, 8192)
  t.equal(settings.limits.tunnelIdleMs, 300_000)
  t.ok(settings.limits.connectionsPerClient >= 10_000)
  t.equal(settings.audit.maxBytes, 10 * 2 ** 30)
  t.equal(settings.audit.maxAgeMs, 30 * 86_400_000)
  t.equal(settings.otel.exporter, undefined)
  t.equal(settings.upstreamProxy, undefined)
})

t.test('a flag wins over a variable, a variable over the file, the file over the default', async (t) => {
  const file = 'listen = "127.0.0.1:1"\n'
  const env = { SALLYPORT_LISTEN: '127.0.0.1:2' }
  t.equal(loaded(t, { file }).listen.port, 1)
  t.equal(loaded(t, { file, env }).listen.port, 2)
  t.equal(loaded(t, { file, env, flags: { listen: '127.0.0.1:3' } }).listen.port, 3)
})

t.test('an empty variable is one that is not set', async (t) => {
  t.equal(loaded(t, { env: { SALLYPORT_LISTEN: '', SALLYPORT_CONFIG: '' } }).listen.port, 3128)
})

t.test('paths in the file are relative to its folder, those of flags to the current one', async (t) => {
  const cwd = t.testdir({ etc: { 's.toml': 'policies = "p"\ndata = "/abs"\n[origin_tls]\ncrl_files = ["a.crl", "/b.crl"]\n' } })
  const { settings } = loadSettings({ flags: { config: 'etc/s.toml', certs: 'c' }, env: {}, cwd })
  t.same(settings?.originTls, { crlFiles: [join(cwd, 'etc/a.crl'), '/b.crl'], crlDir: undefined })
  t.same(loaded(t, { env: { SALLYPORT_ORIGIN_TLS_CRL_FILES: '/a.crl, /b.crl' } }).originTls.crlFiles, ['/a.crl', '/b.crl'])
  t.equal(settings?.policiesDir, join(cwd, 'etc/p'))
  t.equal(settings?.dataDir, '/abs')
  t.equal(settings?.certsDir, join(cwd, 'c'))
  t.equal(settings?.configFile, join(cwd, 'etc/s.toml'))
})

t.test('the file that was named must exist; the default one need not', async (t) => {
  t.same(faults(t, { flags: { config: 'no.toml' } }), ['--config: there is no file `no.toml`'])
  t.same(faults(t, { env: { SALLYPORT_CONFIG: 'no.toml' } }), ['SALLYPORT_CONFIG: there is no file `no.toml`'])
})

t.test('a settings file that is a folder is a problem, not an absence', async (t) => {
  const cwd = t.testdir({})
  mkdirSync(join(cwd, 'sallyport.toml'))
  const { settings, problems } = loadSettings({ flags: {}, env: {}, cwd })
  t.equal(settings, undefined)
  t.match(problems, [{ where: 'sallyport.toml', message: /cannot be read/ }])
})

t.test('a syntax error names file, line and column', async (t) => {
  t.match(faults(t, { file: 'listen = "127.0.0.1:1"\nops = \n' }), [/^sallyport\.toml:2:\d+: not valid TOML: /])
})

t.test('a file that is not UTF-8 is refused', async (t) => {
  const cwd = t.testdir({})
  writeFileSync(join(cwd, 'sallyport.toml'), Buffer.from([0x22, 0xff, 0xfe]))
  t.match(loadSettings({ flags: {}, env: {}, cwd }).problems, [{ message: /cannot be read/ }])
})

t.test('everything that is wrong is said at once, each with its place', async (t) => {
  const file = [
    'listne = "127.0.0.1:1"',
    'ops = 3130',
    '[limits]',
    '  drain = "30"',
    'header_count = "many"',
    '[log]',
    'level = "loud"',
  ].join('\n')
  t.same(faults(t, { file, env: { SALLYPORT_JSON: 'maybe' }, flags: { control: 'nowhere' } }), [
    'sallyport.toml:1:1: there is no setting `listne`, did you mean `listen`?',
    'sallyport.toml:2:1: `ops`: wants a string, got an integer',
    'sallyport.toml:4:3: `limits.drain`: `30` is not a duration: a number and ms, s, min, h or d, as in `30 s`',
    'sallyport.toml:5:1: `limits.header_count`: wants a whole number from 10 to 2000',
    'sallyport.toml:7:1: `log.level`: `loud` is not one of trace, debug, info, warn, error, fatal, silent',
    '--control: `nowhere` is not HOST:PORT, as in `127.0.0.1:3128` or `[::1]:3128`',
    'SALLYPORT_JSON: `maybe` is neither true nor false',
  ])
})

t.test('an unknown key in a table finds its neighbour, and one in the wrong table its home', async (t) => {
  t.match(faults(t, { file: '[limits]\nurl_byte = "8 KiB"\n' }), [/did you mean `limits\.url_bytes`/])
  t.match(faults(t, { file: 'tunnel_idle = "8 s"\n' }), [/did you mean `limits\.tunnel_idle`/])
  t.match(faults(t, { file: '[limit]\n' }), [/did you mean `limits`/])
  t.match(faults(t, { file: '["__proto__"]\nx = 1\n' }), [/there is no setting `__proto__`/])
  t.match(faults(t, { file: 'limits = 3\n' }), [/`limits` wants a table/])
})

t.test('policy in the settings file is an error that says where it belongs', async (t) => {
  t.match(faults(t, { file: '[network]\nallowed_domains = ["a.example"]\n' }), [/policies folder/])
  t.match(faults(t, { file: '[experimental_network]\n' }), [/policies folder/])
})

t.test('dns_servers is another spelling of dns.servers, and both at once is an error', async (t) => {
  t.same(loaded(t, { file: 'dns_servers = ["9.9.9.9", "[::1]:5353"]\n' }).dns.servers, ['9.9.9.9', '[::1]:5353'])
  t.same(loaded(t, { env: { SALLYPORT_DNS_SERVERS: '9.9.9.9, 1.1.1.1:53' } }).dns.servers, ['9.9.9.9', '1.1.1.1:53'])
  t.match(faults(t, { file: 'dns_servers = []\n[dns]\nservers = []\n' }), [/another spelling/])
  t.match(faults(t, { file: 'dns_servers = ["dns.example"]\n' }), [/is not/])
})

t.test('durations and sizes take units, and only those', async (t) => {
  const limits = (line: string): Settings['limits'] => loaded(t, { file: `[limits]\n${line}\n` }).limits
  t.equal(limits('drain = "30s"').drainMs, 30_000)
  t.equal(limits('drain = "5 min"').drainMs, 300_000)
  t.equal(limits('drain = "5m"').drainMs, 300_000)
  t.equal(limits('drain = "1.5 s"').drainMs, 1500)
  t.equal(limits('drain = "0 s"').drainMs, 0)
  t.equal(limits('url_bytes = "10 KB"').urlBytes, 10_000)
  t.equal(limits('url_bytes = "10 KiB"').urlBytes, 10_240)
  t.equal(limits('url_bytes = 1000').urlBytes, 1000)
  for (const wrong of ['"5"', '5', '"5 sec"', '"-5 s"', '"s"', '"5 S"', '"1e3 s"', '"5  s"', '"2 h"', '"constructor"', '"1 toString"']) {
    t.not(faults(t, { file: `[limits]\ndrain = ${wrong}\n` }).length, 0, wrong)
  }
  for (const wrong of ['"5 kib"', '-1', '1.5', '"1 B"', '"2 MiB"', '0']) {
    t.not(faults(t, { file: `[limits]\nurl_bytes = ${wrong}\n` }).length, 0, wrong)
  }
})

t.test('what is not an address and a port is not a listener', async (t) => {
  t.same(loaded(t, { flags: { listen: '[::1]:0' } }).listen, { host: '::1', port: 0 })
  t.same(loaded(t, { flags: { listen: 'localhost:8080' } }).listen, { host: '127.0.0.1', port: 8080 })
  t.equal(loaded(t, { flags: { ops: 'off', control: 'off' } }).ops, 'off')
  for (const wrong of ['', '3128', ':3128', '::1:3128', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '127.1:80', '[127.0.0.1]:80', 'proxy.example:80', 'off', '127.0.0.1:+80', ' 127.0.0.1:80']) {
    t.not(faults(t, { flags: { listen: wrong } }).length, 0, JSON.stringify(wrong))
  }
})

t.test('a proxy listener off loopback needs clients', async (t) => {
  t.match(faults(t, { flags: { listen: '0.0.0.0:3128' } }), [/^--listen: .*reachable from other machines.*`clients`/])
  t.match(faults(t, { flags: { listen: '[::ffff:127.0.0.1]:3128' } }), [/reachable from other machines/])
  const settings = loaded(t, { flags: { listen: '0.0.0.0:3128' }, file: 'clients = ["10.0.0.0/8", "fd00::/8"]\n' })
  t.same(settings.clients.map(({ text }) => text), ['10.0.0.0/8', 'fd00::/8'])
  t.match(faults(t, { file: 'clients = ["10.0.0.1/8"]\n' }), [/neither an address nor a CIDR/])
})

t.test('a client list that holds everybody is warned about', async (t) => {
  t.match(load(t, { flags: { clients: '0.0.0.0/0' } }).warnings, [/every address may connect/])
})

t.test('require_session stands for a client list off loopback', async (t) => {
  t.equal(loaded(t, { file: 'require_session = true\n' }).requireSession, true)
  t.equal(loaded(t, { file: 'require_session = true\nlisten = "0.0.0.0:3128"\n' }).listen.host, '0.0.0.0')
  t.match(faults(t, { file: 'require_session = false\nlisten = "0.0.0.0:3128"\n' }), [/reachable from other machines.*`require_session = true`/])
})

t.test('a control listener off loopback is refused without a certificate', async (t) => {
  t.match(faults(t, { flags: { control: '0.0.0.0:3129' } }), [/needs TLS: set `control_tls\.cert_file` and `control_tls\.key_file`/])
  const file = 'control_hosts = ["Review.Corp.Example", "10.0.0.5", "[2001:DB8::1]"]\n[control_tls]\ncert_file = "cert.pem"\nkey_file = "key.pem"\n'
  const settings = loaded(t, { file, flags: { control: '0.0.0.0:3129' } })
  t.match(settings.controlTls, { certFile: /\/cert\.pem$/, keyFile: /\/key\.pem$/ })
  t.same(settings.controlHosts, ['review.corp.example', '10.0.0.5', '[2001:db8::1]'])
  t.match(load(t, { file: file.slice(file.indexOf('[control_tls]')), flags: { control: '0.0.0.0:3129' } }).warnings, [/answers to its own address only/])
})

t.test('half a certificate, and a control host that is none, are refused', async (t) => {
  t.match(faults(t, { file: '[control_tls]\ncert_file = "cert.pem"\n' }), [/without `control_tls\.key_file`/])
  t.match(faults(t, { file: '[control_tls]\nkey_file = "key.pem"\n' }), [/without `control_tls\.cert_file`/])
  for (const host of ['a.example:3129', 'https://a.example', '*.a.example', '']) t.match(faults(t, { file: `control_hosts = ["${host}"]\n` }), [/not a host name or an address without a port/], host)
})

t.test('questions, sessions and grants have bounds of their own, each within reason', async (t) => {
  t.same(loaded(t, {}).approvals, { perSession: 20, perSessionPerMinute: 30, total: 1000, waitingTtlMs: 600_000, idleTtlMs: 86_400_000 })
  t.same(loaded(t, {}).sessions, { hold: 'auto', ttlMs: 86_400_000 })
  t.same(loaded(t, {}).grants, { maxTtlMs: 30 * 86_400_000 })
  const sessions = (line: string): Settings['sessions'] => loaded(t, { file: `[sessions]\n${line}\n` }).sessions
  t.equal(sessions('hold = "10 min"').hold, 600_000)
  t.equal(sessions('hold = "0 s"').hold, 0)
  t.match(faults(t, { file: '[sessions]\nhold = "11 min"\n' }), [/not between 0 s and 10 min/])
  t.match(faults(t, { file: '[sessions]\nhold = "never"\n' }), [/not a duration/])
  t.match(faults(t, { file: '[approvals]\nper_session = 0\n' }), [/from 1 to/])
  t.match(faults(t, { file: '[approvals]\nper_sesion = 1\n' }), [/did you mean `approvals\.per_session`/])
})

t.test('two listeners on one address are refused; several free ports are not', async (t) => {
  t.match(faults(t, { flags: { ops: '127.0.0.1:3128' } }), [/`ops` and `listen` are both `127\.0\.0\.1:3128`/])
  t.ok(loaded(t, { flags: { listen: '127.0.0.1:0', ops: '127.0.0.1:0', control: '127.0.0.1:0' } }))
})

t.test('limits that contradict each other are refused', async (t) => {
  t.match(faults(t, { file: '[audit]\nmax_bytes = "100 MiB"\n' }), [/more than half of `audit\.max_bytes`/])
})

t.test('a misspelt variable is warned about, those of a Kubernetes service are not', async (t) => {
  const env = { SALLYPORT_LISTE: 'x', SALLYPORT_PORT: 'tcp://10.0.0.1:3128', SALLYPORT_PORT_3128_TCP_ADDR: '10.0.0.1', SALLYPORT_SERVICE_HOST: '10.0.0.1' }
  t.same(load(t, { env }).warnings, ['there is no setting for the variable SALLYPORT_LISTE, did you mean SALLYPORT_LISTEN?'])
})

t.test('no text makes the loader throw, and none is accepted as a listener off loopback without clients', async (t) => {
  const cwd = t.testdir({})
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: 'grapheme' }), (listen, toml) => {
      writeFileSync(join(cwd, 'sallyport.toml'), toml)
      const { settings, problems } = loadSettings({ flags: { listen }, env: {}, cwd })
      return (settings === undefined) === problems.length > 0 && (settings === undefined || /^127\.|^::1$/.test(settings.listen.host))
    }),
    { numRuns: 300 },
  )
})

t.test('a duration that is written is the duration that is read', async (t) => {
  const cwd = t.testdir({})
  const units = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.constantFrom(...(['ms', 's', 'min', 'h'] as const)), fc.boolean(), (amount, unit, space) => {
      const env = { SALLYPORT_LIMITS_TUNNEL_IDLE: `${amount}${space ? ' ' : ''}${unit}` }
      return loadSettings({ flags: {}, env, cwd }).settings?.limits.tunnelIdleMs === amount * units[unit]
    }),
    { numRuns: 100 },
  )
})
