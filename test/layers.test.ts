// Which room may import which: the direction of the house, tested. A room may always import itself,
// `errors.ts`, `clock.ts`, `roster.ts`, `turnstile.ts` and `deadlines.ts`. Only app.ts and tests see everything.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

const src = resolve(import.meta.dirname, '../src')
const rooms: Record<string, readonly string[]> = {
  target: [],
  policy: ['target'],
  audit: ['target', 'policy'],
  store: [],
  ca: ['target'],
  approvals: ['target', 'policy', 'audit', 'store'],
  cache: ['target', 'policy', 'audit', 'store', 'approvals', 'gate', 'egress'],
  gate: ['target', 'policy', 'audit', 'approvals'],
  egress: ['target', 'policy', 'ca', 'gate'],
  ingress: ['target', 'policy', 'approvals', 'ca', 'cache', 'gate', 'egress'],
  control: ['target', 'policy', 'audit', 'approvals', 'cache', 'config'],
  // the shapes of destinations and the names of formats are one for both
  config: ['target', 'policy', 'audit'],
  ops: ['config'],
  cli: ['target', 'policy', 'audit', 'store', 'ca', 'config', 'egress'],
}
const topLevel: Record<string, readonly string[]> = {
  'errors.ts': [],
  'clock.ts': [],
  'roster.ts': [],
  'turnstile.ts': [],
  'deadlines.ts': [],
  'app.ts': Object.keys(rooms),
  'main.ts': ['cli', 'config'],
}
const common: readonly string[] = ['errors.ts', 'clock.ts', 'roster.ts', 'turnstile.ts', 'deadlines.ts']
const sockets = ['node:net', 'node:tls', 'node:dgram', 'node:dns', 'node:dns/promises', 'node:http', 'node:https', 'node:http2', 'undici']
// who may open a socket: the two doors, the exporter's sinks, the health and control
// listeners, the notifier, the commands that speak to a running process or probe the way out, and the bridge
// of `run`, whose `run-ca` asks node:tls for the system's roots
const mayUseSockets = /^(ingress\/|egress\/|audit\/(?:otlp|syslog)-|ops\/|control\/|approvals\/webhook-|cli\/control-client|cli\/demo|cli\/doctor|cli\/run-(?:ca|inside))/

function* sources(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* sources(join(dir, entry.name))
    else if (entry.name.endsWith('.ts')) yield join(dir, entry.name)
  }
}

t.test('every import goes in the direction of the house', async (t) => {
  for (const file of sources(src)) {
    const name = relative(src, file)
    const room = name.includes('/') ? name.slice(0, name.indexOf('/')) : undefined
    const granted = room === undefined ? topLevel[name] : rooms[room]
    if (granted === undefined) {
      t.fail(`${name} stands in no known room`)
      continue
    }
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
      if (!specifier.startsWith('.')) {
        if (sockets.includes(specifier)) t.match(name, mayUseSockets, `${name} may not import ${specifier}`)
        if (room === 'policy') t.notOk(specifier.startsWith('node:'), `${name} is pure and may not import ${specifier}`)
        if (room === 'target') t.notOk(specifier.startsWith('node:') && !['node:url', 'node:net'].includes(specifier), `${name} is pure and may not import ${specifier}`)
        continue
      }
      const to = relative(src, resolve(dirname(file), specifier))
      if (common.includes(to) || (name === 'main.ts' && to === 'app.ts')) continue
      const toRoom = to.slice(0, to.indexOf('/'))
      t.ok(toRoom === room || granted.includes(toRoom), `${name} may not import ${to}`)
    }
  }
})

t.test('only the gate holds the key that makes Admitted and Vetted', async (t) => {
  for (const file of sources(src)) {
    const name = relative(src, file)
    if (!name.startsWith('gate/')) t.notMatch(readFileSync(file, 'utf8'), /seal\.ts|Vetted\.make|Admitted\.make|ParentTarget\.make/, name)
  }
})

t.test('process.env is read in config/ and nowhere else', async (t) => {
  for (const file of sources(src)) {
    const name = relative(src, file)
    if (name.startsWith('config/')) continue
    t.notMatch(readFileSync(file, 'utf8'), /process\.env/, name)
  }
})
