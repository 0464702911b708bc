// docs/notifications.md: its example is what is sent, and its two ways to verify a signature do verify one.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { typeOf, webhookBody } from '../../src/approvals/notification.ts'
import { signatureOf } from '../../src/approvals/webhook-sender.ts'
import { answered, question } from '../approvals/notification-receiver.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/notifications.md'), 'utf8')
const blocks = (language: string): string[] => [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].filter(([, name]) => name === language).map(([, , text = '']) => text)

const secret = 'a secret with an ü in it'
const body = webhookBody('d-1', { ...question, agent: 'ü' }, undefined, 0)
const now = 1_767_323_105
const good = signatureOf(secret, now, body)
/** Signature, body, clock of the receiver, and what it has to say. */
const cases = [
  [good, body, now, true],
  [good, body, now + 300, true],
  [good, body, now + 301, false],
  [good, body, now - 301, false],
  [good, `${body} `, now, false],
  [good.replace(`t=${now}`, `t=${now + 1}`), body, now, false],
  [signatureOf('another secret', now, body), body, now, false],
  [good.replace('v1', 'v0'), body, now, false],
  ['', body, now, false],
] as const

t.test('the example is what is sent', async (t) => {
  const [example = ''] = blocks('json')
  const at = Date.UTC(2026, 0, 2, 3, 5, 5)
  t.strictSame(JSON.parse(example), JSON.parse(webhookBody(`${typeOf(answered)}/${answered.id}`, answered, 'https://review.corp.example', at)))
})

t.test('every type of message is named', async (t) => {
  const source = readFileSync(join(import.meta.dirname, '../../src/approvals/notification.ts'), 'utf8')
  const type = /export type NotificationType = (.*)/.exec(source)?.[1] ?? ''
  const types = [...type.matchAll(/'([\w.]+)'/g)].map(([, name]) => name)
  t.ok(types.length > 3)
  t.strictSame([...page.matchAll(/^\| `(approval\.\w+)` \|/gm)].map(([, name]) => name), types)
})

t.test('the verification in JavaScript takes what is ours and nothing else', async (t) => {
  const [source = ''] = blocks('js')
  const { isFromSallyport } = await import(`data:text/javascript,${encodeURIComponent(source)}`)
  for (const [header, text, clock, expected] of cases) t.equal(isFromSallyport(secret, header, Buffer.from(text), clock), expected, header)
  t.equal(isFromSallyport(secret, undefined, Buffer.from(body), now), false)
})

t.test('the verification in Python takes what is ours and nothing else', { skip: hasPython() ? false : 'there is no python3' }, async (t) => {
  const [source = ''] = blocks('python')
  const program = `${source}\nimport json, sys\nprint(json.dumps([is_from_sallyport(${JSON.stringify(secret)}, h, b.encode(), n) for h, b, n in json.load(sys.stdin)]))\n`
  const input = JSON.stringify(cases.map(([header, text, clock]) => [header, text, clock]))
  const printed: unknown = JSON.parse(execFileSync('python3', ['-I', '-c', program], { encoding: 'utf8', input }))
  t.strictSame(printed, cases.map(([, , , expected]) => expected))
})

function hasPython(): boolean {
  return spawnSync('python3', ['-V']).status === 0
}
