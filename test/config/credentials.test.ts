// Secrets are read when they are needed, from where settings say, and nothing of them is ever told.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Clock } from '../../src/clock.ts'
import { readCredential } from '../../src/config/credential-source.ts'
import { Credentials, dummyFor } from '../../src/config/credentials.ts'
import type { CredentialSettings, CredentialSource } from '../../src/config/settings.ts'
import { ProxyError } from '../../src/errors.ts'
import * as fc from '../support/property.ts'

const path = process.env['PATH'] ?? ''
const settingsOf = (source: CredentialSource, dummy?: string): CredentialSettings => ({ name: 'c', source, hosts: ['a.example:443'], dummy, anyLayer: false })
const read = (source: CredentialSource, env: Record<string, string> = {}): Promise<string> => readCredential({ name: 'c', source }, { PATH: path, ...env })

async function faultOf(reading: Promise<string>): Promise<string> {
  try {
    return `read: ${await reading}`
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'credential_unavailable') return error.detail
    return String(error)
  }
}

function secretFile(t: Test, content: string, mode = 0o600): CredentialSource {
  const file = join(t.testdir({ secret: '' }), 'secret')
  writeFileSync(file, content)
  chmodSync(file, mode)
  return { kind: 'file', path: file }
}

const script = (text: string): CredentialSource => ({ kind: 'command', command: [process.execPath, '-e', text] })

t.test('a variable is read when it is asked for', async (t) => {
  const source = { kind: 'env', variable: 'TOKEN' } as const
  t.equal(await read(source, { TOKEN: ' abc-123\n' }), 'abc-123')
  t.equal(await faultOf(read(source)), 'the credential `c`: the variable TOKEN is not set')
  t.equal(await faultOf(read(source, { TOKEN: ' ' })), 'the credential `c`: the variable TOKEN holds nothing')
})

t.test('a file is read, unless others could read it, too', async (t) => {
  t.equal(await read(secretFile(t, 'abc 123\r\n')), 'abc 123')
  t.equal(await read(secretFile(t, 'abc', 0o640)), 'abc', 'its group is the operator\'s affair')
  for (const mode of [0o604, 0o602, 0o666]) t.match(await faultOf(read(secretFile(t, 'topsecret', mode))), /can be read by others: `chmod o= /)
  t.match(await faultOf(read({ kind: 'file', path: join(t.testdir({}), 'none') })), /cannot be read: there is no such file$/)
  t.match(await faultOf(read({ kind: 'file', path: t.testdir({}) })), /cannot be read: it is not a regular file$/)
  t.match(await faultOf(read(secretFile(t, 'x'.repeat(20_000)))), /larger than 16384 bytes$/)
})

t.test('what no field could carry is no secret', async (t) => {
  for (const text of ['topsecret\nmore', 'topsecret\rmore', 'topsecret\0more', 'topsécret', 'topsecret\tmore']) {
    const fault = await faultOf(read(secretFile(t, text)))
    t.match(fault, /holds more than one line of visible ASCII/, JSON.stringify(text))
    t.notMatch(fault, /topsecret|tops/, 'the message repeats nothing of it')
  }
})

t.test('a command is run without a shell, and its output is the secret', async (t) => {
  t.equal(await read(script('console.log("abc")')), 'abc')
  t.equal(await read({ kind: 'command', command: [process.execPath, '-e', 'console.log(process.argv[1])', '$(id); a'] }), '$(id); a')
  t.match(await faultOf(read(script('console.log("topsecret"); console.error("topsecret"); process.exit(3)'))), /^the credential `c`: the command `[^`]*node` could not be read: `[^`]*` ended with 3$/)
  t.match(await faultOf(read(script('process.stdout.write("x".repeat(20000))'))), /printed more than 16384 bytes$/)
  t.match(await faultOf(read({ kind: 'command', command: ['/nonexistent/program'] })), /there is no program/)
  t.equal(await read(script('process.stdin.on("end", () => console.log("ended")).resume()')), 'ended', 'its input is closed')
})

t.test('the keyring is asked by the program of this system', { skip: process.platform === 'linux' ? false : 'secret-tool is asked on Linux' }, async (t) => {
  const bin = t.testdir({ 'secret-tool': '#!/bin/sh\necho "$@"\n' })
  chmodSync(join(bin, 'secret-tool'), 0o755)
  const source = { kind: 'keyring', service: 'git hub', account: '-x' } as const
  t.equal(await read(source, { PATH: `${bin}:${path}` }), 'lookup service git hub account -x')
  t.equal(await faultOf(read(source, { PATH: '/nonexistent' })), 'the credential `c`: the keyring entry of `git hub` could not be read: there is no program `secret-tool`')
})

class StillClock implements Clock {
  time = 0
  now(): number {
    return this.time
  }
  monotonic(): number {
    return this.time
  }
}

t.test('a file is read again after 30 s, a variable each time', async (t) => {
  const clock = new StillClock()
  const source = secretFile(t, 'first')
  const env: Record<string, string> = { TOKEN: 'one' }
  const credentials = new Credentials([settingsOf(source), { ...settingsOf({ kind: 'env', variable: 'TOKEN' }), name: 'e' }], env, clock)
  t.equal(await credentials.value('c'), 'first')
  if (source.kind === 'file') writeFileSync(source.path, 'second')
  clock.time = 29_999
  t.equal(await credentials.value('c'), 'first')
  clock.time = 30_000
  t.equal(await credentials.value('c'), 'second')
  t.equal(await credentials.value('e'), 'one')
  env['TOKEN'] = 'two'
  t.equal(await credentials.value('e'), 'two')
  t.equal(await faultOf(credentials.value('unknown')), 'the credential `unknown`: the settings know none of this name')
})

t.test('a secret that is gone is not sent from memory', async (t) => {
  const clock = new StillClock()
  const source = secretFile(t, 'first')
  const credentials = new Credentials([settingsOf(source)], {}, clock)
  await credentials.value('c')
  if (source.kind === 'file') chmodSync(source.path, 0o604)
  clock.time = 30_000
  t.match(await faultOf(credentials.value('c')), /can be read by others/)
  t.match(await faultOf(credentials.value('c')), /can be read by others/)
  if (source.kind === 'file') chmodSync(source.path, 0o600)
  t.equal(await credentials.value('c'), 'first')
})

t.test('who asks at the same time shares one run of the command', async (t) => {
  const dir = t.testdir({ count: '' })
  const source = script(`require('node:fs').appendFileSync(${JSON.stringify(join(dir, 'count'))}, 'x'); console.log('abc')`)
  const credentials = new Credentials([settingsOf(source)], { PATH: path }, new StillClock())
  const values = await Promise.all([credentials.value('c'), credentials.value('c'), credentials.value('c')])
  t.same(values, ['abc', 'abc', 'abc'])
  t.equal((await import('node:fs')).readFileSync(join(dir, 'count'), 'utf8'), 'x')
})

t.test('a placeholder is the one of the settings, else one that stays', async (t) => {
  const clock = new StillClock()
  const source = secretFile(t, 'ghp_0123456789abcdefABCDEF')
  const made = new Credentials([settingsOf(source)], {}, clock)
  const [one, two] = await Promise.all([made.dummy('c'), made.dummy('c')])
  t.equal(one, two)
  if (source.kind === 'file') writeFileSync(source.path, 'ghp_ffffffffffffffffffffffffffffff')
  clock.time = 60_000
  t.equal(await made.dummy('c'), one, 'also when the secret has been rotated')
  const given = new Credentials([settingsOf({ kind: 'env', variable: 'NONE' }, 'dummy-of-ours')], {}, clock)
  t.equal(await given.dummy('c'), 'dummy-of-ours', 'without the secret being read')
  t.match(await faultOf(new Credentials([settingsOf(secretFile(t, 'short'))], {}, clock).dummy('c')), /too short for a placeholder/)
  t.match(await faultOf(new Credentials([settingsOf(secretFile(t, 'the-secret-itself'), 'the-secret-itself')], {}, clock).value('c')), /`dummy` is the secret itself/)
})

t.test('a placeholder has the length, the classes and the prefix of the secret, and is not the secret', async (t) => {
  const shape = (text: string): string => text.replaceAll(/[a-z]/g, 'a').replaceAll(/[A-Z]/g, 'A').replaceAll(/\d/g, '0')
  const prefixes = ['', 'sk-ant-api03-', 'sk-ant-', 'sk-proj-', 'sk-', 'ghp_', 'github_pat_', 'glpat-', 'xoxb-', 'AKIA']
  fc.assert(fc.property(fc.constantFrom(...prefixes), fc.stringMatching(/^[\x21-\x7e]{0,40}[a-zA-Z0-9]{8,40}$/), (prefix, rest) => {
    const secret = prefix + rest
    const dummy = dummyFor(secret)
    if (dummy === undefined) throw new Error(`no placeholder for ${secret}`)
    if (dummy === secret || shape(dummy) !== shape(secret) || !dummy.startsWith(prefix)) throw new Error(`${secret} -> ${dummy}`)
  }), { numRuns: 300 })
  t.match(dummyFor('0123456789abcdef0123456789abcdef'), /^[\da-f]{32}$/, 'hexadecimal stays hexadecimal')
  t.equal(dummyFor('sk-ant-1234567'), undefined)
})

t.test('nothing of a secret shows in what is printed of the credentials', async (t) => {
  const credentials = new Credentials([settingsOf(secretFile(t, 'topsecret-0123456789'))], { A: 'topsecret' }, new StillClock())
  await credentials.value('c')
  const { inspect } = await import('node:util')
  t.notMatch(inspect(credentials, { depth: 9, showHidden: true }) + JSON.stringify(credentials), /topsecret/)
})
