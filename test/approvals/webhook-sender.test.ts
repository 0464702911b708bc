import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { createWebhookSender, signatureOf } from '../../src/approvals/webhook-sender.ts'
import { systemClock } from '../../src/clock.ts'
import { startReceiver } from './notification-receiver.ts'

const secret = 'a secret of thirty-two characters'

/** As a receiver would check it: from the documentation alone. */
function verified(header: string, body: string, nowSeconds: number): boolean {
  const parts = new Map(header.split(',').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]))
  const time = parts.get('t') ?? ''
  if (Math.abs(nowSeconds - Number(time)) > 300) return false
  const expected = createHmac('sha256', secret).update(`${time}.${body}`).digest()
  const given = Buffer.from(parts.get('v1') ?? '', 'hex')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

t.test('a receiver can tell that a message is ours, whole and fresh', async (t) => {
  const receiver = await startReceiver(t)
  const sender = createWebhookSender({ url: receiver.url, secret, clock: systemClock, timeoutMs: 5000 })
  t.teardown(() => sender.close())
  t.same(await sender.send('{"a":"ü"}'), { kind: 'delivered' })
  const [post] = receiver.posts
  if (post === undefined) throw new Error('nothing was received')
  const header = String(post.headers['x-sallyport-signature'])
  const now = Date.now() / 1000
  t.equal(post.body, '{"a":"ü"}')
  t.equal(post.path, '/hook/s3cretPathOfTheHook?key=s3cretQuery')
  t.equal(post.headers['content-type'], 'application/json')
  t.ok(verified(header, post.body, now))
  t.notOk(verified(header, `${post.body} `, now), 'a changed body')
  t.notOk(verified(header.replace(/t=\d+/, `t=${Math.floor(now) + 1}`), post.body, now), 'a changed time')
  t.notOk(verified(header, post.body, now + 301), 'an old one')
})

t.test('the signature of a known message is the known one', async (t) => {
  // printf '1767323045.{}' | openssl dgst -sha256 -hmac 'a secret of thirty-two characters'
  t.equal(signatureOf(secret, 1_767_323_045, '{}'), 't=1767323045,v1=eb7934454bd8c14c5aeb4fbabb8e3235dfce268c6b8f303218489a31b60cc93f')
})

t.test('what goes to Slack is not signed', async (t) => {
  const receiver = await startReceiver(t)
  const sender = createWebhookSender({ url: receiver.url, secret: undefined, clock: systemClock, timeoutMs: 5000 })
  t.teardown(() => sender.close())
  await sender.send('{}')
  t.notOk(Object.hasOwn(receiver.posts[0]?.headers ?? {}, 'x-sallyport-signature'))
})

t.test('a redirect is a failure, and nobody goes there', async (t) => {
  const elsewhere = await startReceiver(t)
  const receiver = await startReceiver(t)
  receiver.reply = () => ({ status: 307, headers: { location: elsewhere.url } })
  const sender = createWebhookSender({ url: receiver.url, secret, clock: systemClock, timeoutMs: 5000 })
  t.teardown(() => sender.close())
  t.same(await sender.send('{}'), { kind: 'failed', reason: 'status 307', retryAfterMs: undefined })
  t.equal(elsewhere.posts.length, 0)
})

t.test('a receiver that is busy may say when to come again', async (t) => {
  const receiver = await startReceiver(t)
  receiver.reply = () => ({ status: 429, headers: { 'retry-after': '7' } })
  const sender = createWebhookSender({ url: receiver.url, secret, clock: systemClock, timeoutMs: 5000 })
  t.teardown(() => sender.close())
  t.same(await sender.send('{}'), { kind: 'failed', reason: 'status 429', retryAfterMs: 7000 })
})

t.test('a receiver that hangs, resets, refuses or is no https is a failure that tells no secret', async (t) => {
  const receiver = await startReceiver(t)
  receiver.reply = (_, number) => (number === 1 ? 'hang' : 'reset')
  const plain = createServer((socket) => socket.end('not TLS')).listen(0, '127.0.0.1')
  await once(plain, 'listening')
  const address = plain.address()
  const plainPort = typeof address === 'object' && address !== null ? address.port : 0
  const told: string[] = []
  for (const [url, timeoutMs] of [
    [receiver.url, 50], [receiver.url, 5000], [`https://127.0.0.1:${plainPort}/s3cretPath`, 5000], ['http://s3cret-name.invalid/s3cretPath', 5000],
  ] as const) {
    const sender = createWebhookSender({ url, secret, clock: systemClock, timeoutMs })
    const delivery = await sender.send('{}')
    sender.close()
    t.equal(delivery.kind, 'failed', url)
    told.push(JSON.stringify(delivery))
  }
  plain.close()
  t.match(told[0], 'no answer in 50 ms')
  for (const text of told) t.notMatch(text, /s3cret|a secret of|hook/)
})

t.test('the variables of a proxy in the environment change nothing', async (t) => {
  const receiver = await startReceiver(t)
  const proxy = await startReceiver(t)
  const before = { ...process.env }
  t.teardown(() => {
    process.env = before
  })
  process.env['http_proxy'] = process.env['HTTP_PROXY'] = proxy.url
  process.env['NODE_USE_ENV_PROXY'] = '1'
  const sender = createWebhookSender({ url: receiver.url, secret, clock: systemClock, timeoutMs: 5000 })
  t.teardown(() => sender.close())
  t.same(await sender.send('{}'), { kind: 'delivered' })
  t.equal(proxy.posts.length, 0)
})

t.test('what is under way when the sender is closed is nobody\'s failure', async (t) => {
  const receiver = await startReceiver(t)
  receiver.reply = () => 'hang'
  const sender = createWebhookSender({ url: receiver.url, secret, clock: systemClock, timeoutMs: 60_000 })
  const sending = sender.send('{}')
  await receiver.received(1)
  sender.close()
  t.same(await sending, { kind: 'stopped' })
})
