// Destinations stand in process settings, are checked whole, and none of their secrets is in a message or in what is kept.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addressOf } from '../../src/audit/destination.ts'
import { destinationsOf, revived } from '../../src/config/destinations.ts'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'
import { ownFiles } from '../../src/config/own-files.ts'
import { reservedDestinations } from '../../src/config/own-places.ts'

function load(t: Test, file: string, env: Record<string, string> = {}): LoadedSettings {
  return loadSettings({ flags: {}, env, cwd: t.testdir({ 'sallyport.toml': file }) })
}

const told = ({ problems }: LoadedSettings): string[] => problems.map(({ where, message }) => `${where} ${message}`)
const one = (lines: string): string => `[[audit.destinations]]\n${lines}\n`

t.test('each type is read with what it takes, paths relative to the file, and the rest as it is by default', async (t) => {
  const { settings, problems } = load(t, `
[otel.exporter.otlp-http]
endpoint = "https://one.example/v1/logs"
tls = { ca-certificate = "ca.pem" }
[audit]
heartbeat = "5 min"
[[audit.destinations]]
name = "two"
type = "otlp-http"
endpoint = "https://two.example:4318/v1/logs"
headers = { "X-Key" = "\${KEY}" }
verdicts = ["ask", "deny"]
[[audit.destinations]]
name = "archive"
type = "file"
path = "log/events"
format = "ecs"
[[audit.destinations]]
name = "siem"
type = "syslog"
address = "SIEM.example"
events = ["sallyport.approval.*"]
tls = { client-certificate = "c.pem", client-private-key = "k.pem" }
[[audit.destinations]]
name = "here"
type = "syslog"
address = "[::1]:1514"
transport = "tcp"
facility = "audit"
app_name = "egress"
`, { KEY: 'secret' })
  t.same(problems, [])
  if (settings === undefined) return
  const cwd = settings.configFile?.replace(/sallyport\.toml$/, '') ?? ''
  t.equal(settings.audit.heartbeatMs, 300_000)
  t.match(destinationsOf(settings), [
    { name: 'otel', type: 'otlp-http', filter: {}, endpoint: 'https://one.example/v1/logs', compression: 'gzip', tls: { caFile: join(cwd, 'ca.pem') } },
    { name: 'two', protocol: 'binary', headers: { 'x-key': 'secret' }, headersWritten: { 'x-key': '${KEY}' }, filter: { verdicts: ['deny', 'ask'] } },
    { name: 'archive', path: join(cwd, 'log/events'), format: 'ecs' },
    { name: 'siem', host: 'siem.example', port: 6514, transport: 'tls', format: 'jsonl', facility: 'local0', appName: 'sallyport', filter: { events: ['sallyport.approval.*'] } },
    { name: 'here', host: '::1', port: 1514, transport: 'tcp', facility: 'audit', appName: 'egress' },
  ])
  t.same(reservedDestinations(settings), [{ host: 'one.example', port: 443 }, { host: 'two.example', port: 4318 }, { host: 'siem.example', port: 6514 }, { host: '::1', port: 1514 }])
  for (const path of ['ca.pem', 'log/events', 'c.pem', 'k.pem']) t.ok(ownFiles(settings).includes(join(cwd, path)), path)
  const [, two] = settings.audit.destinations.length === 0 ? [] : destinationsOf(settings)
  if (two !== undefined) t.match(revived({ ...two, ...(two.type === 'otlp-http' ? { headers: {} } : {}) }, { KEY: 'newer' }), { headers: { 'x-key': 'newer' } })
  t.equal(addressOf(destinationsOf(settings)[4] ?? { name: '', type: 'file', filter: {}, path: '', format: 'jsonl' }), 'tcp://[::1]:1514')
})

t.test('what cannot be used as written is an error with its place, and repeats no secret', async (t) => {
  const wrong: readonly [string, RegExp][] = [
    ['name = "a"', /^sallyport\.toml:1:1 a destination without `type`/],
    ['name = "a"\ntype = "kafka"', /^sallyport\.toml:3:1 `type`: `kafka` is not one of otlp-http, file, syslog/],
    ['type = "file"\npath = "x"', /without `name`/],
    ['name = "A b"\ntype = "file"\npath = "x"', /`A b` is no name for a destination/],
    ['name = "otel"\ntype = "file"\npath = "x"', /is the name of the one in `\[otel\]`/],
    ['name = "a"\ntype = "file"\npath = "x"\nendpoint = "https://h"', /no setting `endpoint` of a destination of type `file`/],
    ['name = "a"\ntype = "file"\nfromat = "cef"\npath = "x"', /`fromat`.*did you mean `format`/],
    ['name = "a"\ntype = "file"\npath = "x"\nverdicts = ["no"]', /`no` is not one of allow, deny, ask/],
    ['name = "a"\ntype = "file"\npath = "x"\nevents = []', /array of strings that is not empty/],
    ['name = "a"\ntype = "otlp-http"\nendpoint = "https://u:topsecret@h/v1/logs"', /may not hold credentials/],
    ['name = "a"\ntype = "otlp-http"\nendpoint = "http://h/v1/logs"\ntls = {}', /for an endpoint of https/],
    ['name = "a"\ntype = "otlp-http"\nendpoint = "https://h/v1/logs"\nheaders = { a = "${NOPE}" }', /destination `a` names the variable NOPE, which is not set/],
    ['name = "a"\ntype = "syslog"\naddress = "h:99999"', /is not a host, or host:port/],
    ['name = "a"\ntype = "syslog"\naddress = "h"\ntransport = "tcp"', /plain text, and the receiver is another machine/],
    ['name = "a"\ntype = "syslog"\naddress = "h"\ntls = { client-certificate = "x" }', /without `client-private-key`/],
    ['name = "a"\ntype = "syslog"\naddress = "h"\ntls = { ca = "x" }', /no setting `ca` of `tls`/],
    ['name = "a"\ntype = "syslog"\naddress = "h"\nfacility = "local9"', /`local9` is not one of/],
  ]
  for (const [lines, expected] of wrong) {
    const problems = told(load(t, one(lines)))
    t.match(problems[0], expected)
    t.notMatch(problems.join(), /topsecret/)
  }
  t.match(told(load(t, one('name = "a"\ntype = "file"\npath = "x"') + one('name = "a"\ntype = "file"\npath = "y"'))), [/`a` is the name of two destinations/])
  t.match(told(load(t, '[audit]\ndestinations = 1\n')), [/holds a table for each destination/])
  t.same(told(load(t, one('name = "a"\ntype = "syslog"\naddress = "h"\ntransport = "tcp"\ninsecure = true'))), [])
})
