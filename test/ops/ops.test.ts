// The ops listener over real sockets: health, readiness, figures, and what it refuses.
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { createMetrics } from '../../src/ops/metrics.ts'
import { type Check, createOps } from '../../src/ops/ops.ts'
import { snapshot } from './snapshot.ts'

async function open(t: Test, checks: () => readonly Check[] = () => [], host = '127.0.0.1'): Promise<string> {
  const metrics = createMetrics({ version: '0', snapshot })
  const ops = createOps({ listen: { host, port: 0 }, checks, metrics })
  const url = await ops.start()
  t.teardown(async () => {
    await ops.stop()
    metrics.close()
  })
  return url
}

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: string
}

function ask(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => { body += chunk })
      response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], body }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

t.test('the URL names the port that was picked', async (t) => {
  t.match(await open(t), /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
})

t.test('livez is 200 whatever the checks say', async (t) => {
  const url = await open(t, () => [{ name: 'policy', state: 'fail' }])
  t.match(await ask(`${url}/livez`), { status: 200, body: 'ok\n' })
  t.match(await ask(`${url}/livez`, {}, 'HEAD'), { status: 200, body: '' })
})

t.test('readyz follows the checks and names those that fail', async (t) => {
  let checks: readonly Check[] = [{ name: 'policy', state: 'ok' }, { name: 'journal', state: 'warn', detail: '81 % full' }]
  const url = await open(t, () => checks)
  const ready = await ask(`${url}/readyz`)
  t.equal(ready.status, 200)
  t.same(JSON.parse(ready.body), {
    status: 'ready',
    failing: [],
    checks: [{ name: 'policy', state: 'ok' }, { name: 'journal', state: 'warn', detail: '81 % full' }],
  })
  checks = [{ name: 'policy', state: 'fail', detail: 'the last change is not valid' }, { name: 'journal', state: 'ok' }, { name: 'draining', state: 'fail' }]
  const failing = await ask(`${url}/readyz`)
  t.equal(failing.status, 503)
  t.match(JSON.parse(failing.body), { status: 'not ready', failing: ['policy', 'draining'] })
})

t.test('metrics are Prometheus text', async (t) => {
  const { status, type, body } = await ask(`${await open(t)}/metrics`)
  t.equal(status, 200)
  t.match(type, /^text\/plain; version=0\.0\.4/)
  t.match(body, /^sallyport_open_tunnels 16$/m)
})

t.test('what cannot be collected is a 500 that says nothing of why', async (t) => {
  const url = await open(t, () => { throw new Error('secret.example is down') })
  const { status, type, body } = await ask(`${url}/readyz`)
  t.equal(status, 500)
  t.match(type, /^application\/problem\+json/)
  t.notMatch(body, /secret/)
})

t.test('everything else is a problem document, and no method changes anything', async (t) => {
  const url = await open(t)
  for (const [path, method] of [['/', 'GET'], ['/livez/x', 'GET'], ['/readyz', 'POST'], ['/metrics', 'DELETE'], ['/livez', 'PUT'], ['//livez', 'GET']] as const) {
    const answer = await ask(`${url}${path}`, {}, method)
    t.equal(answer.status, 404, `${method} ${path}`)
    t.match(answer.type, /^application\/problem\+json/)
    t.match(JSON.parse(answer.body), { status: 404, code: 'not_found' })
  }
})

t.test('on loopback only its own names are answered, so a rebound name reads nothing', async (t) => {
  const url = await open(t)
  for (const host of ['127.0.0.1', '127.0.0.1:80', 'localhost:3130', 'LOCALHOST', '[::1]:3130']) {
    t.equal((await ask(`${url}/metrics`, { host })).status, 200, host)
  }
  for (const host of ['evil.example', 'evil.example:3130', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.2', 'localhost:x']) {
    const answer = await ask(`${url}/metrics`, { host })
    t.equal(answer.status, 421, host)
    t.notMatch(answer.body, /sallyport_/)
  }
})

t.test('off loopback any name is right', async (t) => {
  const url = await open(t, () => [], '0.0.0.0')
  const answer = await ask(url.replace('0.0.0.0', '127.0.0.1') + '/livez', { host: 'sallyport.svc' })
  t.equal(answer.status, 200)
})

t.test('a port that is taken is the error of the system', async (t) => {
  const url = await open(t)
  const metrics = createMetrics({ version: '0', snapshot })
  const ops = createOps({ listen: { host: '127.0.0.1', port: Number(new URL(url).port) }, checks: () => [], metrics })
  await t.rejects(ops.start(), { code: 'EADDRINUSE' })
  await ops.stop()
  metrics.close()
})
