// The scan of the suite's journals and logs finds what it is there to find: a secret of each kind, planted in a
// journal that is kept as tests keep theirs.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { newSecret } from '../../src/approvals/secret.ts'
import { decisionEvent } from '../../src/audit/decision-event.ts'
import { allowed, openTestJournal, redaction, subject } from '../audit/fixture.ts'
import { keepIn } from '../support/kept-logs.ts'
import { scanText } from '../support/secret-scan.ts'

const script = join(import.meta.dirname, 'scan-logs.ts')
const scan = (dir: string) => spawnSync(process.execPath, [script, dir], { encoding: 'utf8' })

/** Not the fixture's: what is planted here is not to be kept when the suite is scanned. */
const folder = (t: Test): string => join(t.testdir({ dir: {}, kept: {} }), 'dir')

// in two parts, so that scanners of the repository leave this file alone
const together = (...parts: readonly string[]): string => parts.join('')
const basic = Buffer.from('agent:a-password-of-7').toString('base64')
const planted: readonly (readonly [what: string, text: string, rule: RegExp])[] = [
  ['a session token', newSecret(), /^token-of-ours$/],
  ['a reviewer token', `sp_${newSecret()}`, /^token-of-ours$/],
  ['Bearer', together('agent/1.0 Bearer ', 'abcdef0123456'), /^authorization$/],
  ['Basic', `Basic ${basic}`, /^authorization$/],
  ['a field', 'Authorization: hunter2hunter2', /^authorization-field$/],
  ['a field with a short value', 'Authorization: Basic hunter', /^authorization-field$/],
  ['a field in JSON', '{"proxy-authorization":"hunter2"}', /^authorization-field$/],
  ['a cookie', 'Cookie: session=hunter2', /^cookie$/],
  ['user information', together('http://bob:', 'hunter2@allowed.test/'), /^user-information$|BASICAUTH|basicauth/i],
  ['a query value', '/search?token=hunter2', /^password$/],
  ['a private key', together('-----BEGIN ', 'PRIVATE KEY-----'), /^private-key$/],
  ['a JWT', together('eyJ', 'hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x'), /^jwt$/],
  ['an AWS key', together('AK', 'IAQYLPMN5HHHFPZAM2'), /^known-prefix$|aws/],
  ['a GitHub token', together('gh', `p_${'a1B2c3D4e5'.repeat(4).slice(0, 36)}`), /^known-prefix$|github/],
]

t.test('a secret of each kind is found in a journal that a test kept, by file and line, and is not repeated', async (t) => {
  const dir = folder(t)
  const kept = join(dir, '../kept')
  const journal = await openTestJournal(t, dir)
  await journal.append(decisionEvent(subject, allowed, 'policy', redaction))
  // past what makes events, as a fault in it would
  for (const [, text] of planted) await journal.append({ name: 'sallyport.policy.loaded', severity: 'INFO', body: text, attributes: { 'sallyport.policy.revision': text } })
  await journal.close()
  keepIn(kept, dir, { 'operator.log': 'sallyport is ready\n' })
  const { status, stdout, stderr } = scan(kept)
  t.equal(status, 1)
  t.match(stdout, /^scanned 1 journals, 0 set aside, 1 logs: 16 lines, .*; \d+ findings\n$/)
  for (const [at, [what, text, rule]] of planted.entries()) {
    const found = [...stderr.matchAll(new RegExp(`^\\S+/journal/segment-000000000001\\.jsonl:${at + 2}: (\\S+)$`, 'gm'))].map(([, name = '']) => name)
    t.ok(found.some((name) => rule.test(name)), `${what}: ${found.join(', ')}`)
    t.notOk(stderr.includes(text) || stdout.includes(text), what)
  }
  t.notMatch(stderr, /jsonl:1:|operator\.log/, 'and nothing else is')
})

t.test('what redaction leaves in the place of a secret is none', async (t) => {
  const harmless = [
    'agent/1.0 (Authorization: Bearer ***)', 'Authorization: ***', 'Basic ***', 'http://***@a.test/x', '/hooks/{hmac:0123456789abcdef}', '?token=***', 'Cookie: ***',
    'a client without credentials is asked for Basic authentication', 'the bearer of good news', `"hash":"${'0a'.repeat(32)}"`, '01M7ZQZCAD99TNNJV0000002AM', 'Proxy-Authorization is missing',
    'as Proxy-Authorization or Authorization: Basic, or by its own socket',
    `"sallyport.checkpoint.signature":"aB3${'x'.repeat(40)}/${'y'.repeat(42)}=="`,
    `"sallyport.sealed":["v1o.${'0a'.repeat(13)}.aB3${'x'.repeat(20)}-hf_${'a1B2'.repeat(8)}"]`,
  ]
  for (const text of harmless) t.strictSame(await scanText(`${text}\n`), [], text)
})

t.test('journals, what was set aside and logs are kept, and nothing else', async (t) => {
  const dir = folder(t)
  for (const path of ['var/journal', 'var/cache', 'policies']) mkdirSync(join(dir, path), { recursive: true })
  for (const path of ['var/journal/segment-000000000001.jsonl', 'var/journal/export.poison.jsonl', 'var/journal/segment-000000000001.jsonl.torn', 'var/audit.log', 'var/sallyport.db', 'policies/10.toml']) writeFileSync(join(dir, path), 'x\n')
  keepIn(join(dir, 'kept'), join(dir, 'var'), { 'stderr.log': 'y\n' })
  const [own = ''] = readdirSync(join(dir, 'kept'))
  t.match(own, /^scan-logs-/)
  t.strictSame(readdirSync(join(dir, 'kept', own), { recursive: true }).map(String).toSorted(), [
    'audit.log', 'journal', 'journal/export.poison.jsonl', 'journal/segment-000000000001.jsonl', 'journal/segment-000000000001.jsonl.torn', 'stderr.log',
  ])
  const { status, stdout } = scan(join(dir, 'kept'))
  t.equal(status, 0)
  t.match(stdout, /^scanned 1 journals, 2 set aside, 2 logs: 5 lines/)
})

t.test('a scan of nothing is no success', async (t) => {
  const dir = folder(t)
  const { status, stderr } = scan(dir)
  t.equal(status, 1)
  t.match(stderr, /there is nothing to scan/)
  t.equal(spawnSync(process.execPath, [script]).status, 2)
})
