// What the fetch service makes of pages: as they came, as text and as Markdown, within bounds of size, time and memory.
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import type http from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { ControlClient } from '../support/control.ts'
import { article, ask, codeOf, question, startFetching } from '../support/fetch-world.ts'
import { WireClient } from '../support/wire-client.ts'

t.test('a page is given as text and as Markdown; what is text already is left as it is; the rest is 406', async (t) => {
  const types: Readonly<Record<string, readonly [string, string | Buffer]>> = {
    '/html': ['text/html', article], '/plain': ['text/plain', 'as it is\n'], '/json': ['application/json', '{"a":1}'], '/png': ['image/png', 'x'],
    '/latin': ['text/html; charset=iso-8859-1', Buffer.from('<title>T</title><p>caf\u00e9', 'latin1')],
    '/entities': ['text/html', '<p>a &lt;b&gt; &eacute; &#x1b;[31m</p>'],
  }
  const { base, fetch } = await startFetching(t, {
    answer: (request, response) => {
      const [type, body] = types[request.url ?? ''] ?? ['text/html', '']
      response.writeHead(200, { 'content-type': type }).end(body)
    },
  })
  const text = await fetch(`${base}/html`, { format: 'text' })
  t.equal(text.fields.get('content-type'), 'text/plain; charset=utf-8')
  t.match(text.body, /^A page & more\nURL: http:\/\/site\.test:\d+\/html\n\n/)
  t.match(text.body, 'See the other page, not this.')
  t.notMatch(text.body, /evil|Home/)
  const markdown = await fetch(`${base}/html`, { format: 'markdown' })
  t.equal(markdown.fields.get('content-type'), 'text/markdown; charset=utf-8')
  t.match(markdown.body, `[the other page](${base}/other?a=1), not this.`)
  t.notMatch(markdown.body, /evil|Home/)
  t.match(await fetch(`${base}/plain`, { format: 'text' }), { status: 200, body: 'as it is\n' })
  t.match(await fetch(`${base}/json`, { format: 'markdown' }), { status: 200, body: '{"a":1}' })
  const png = await fetch(`${base}/png`, { format: 'text' })
  t.match(png, { status: 406 })
  t.match(JSON.parse(png.body), { code: 'fetch_format', hint: /format=raw/ })
  t.match(Buffer.from((await fetch(`${base}/latin`, { format: 'text' })).body, 'latin1').toString('utf8'), 'caf\u00e9')
  const entities = Buffer.from((await fetch(`${base}/entities`, { format: 'text' })).body, 'latin1').toString('utf8')
  t.match(entities, 'a <b> \u00e9 [31m')
  t.match(await fetch(`${base}/html`, { format: 'text', method: 'HEAD' }), { status: 200, body: '' })
})

t.test('hostile pages cost their reader an answer, and the proxy goes on', async (t) => {
  const pages: Readonly<Record<string, string>> = {
    '/deep': `<body>${'<div>'.repeat(3_000)}deep`, '/deeper': '<div>'.repeat(250_000), '/tags': '<b>'.repeat(1_700_000), '/open': '<'.repeat(5_000_000),
    '/entities': '&amp;'.repeat(900_000), '/good': article,
  }
  const { base, proxy, session, fetch } = await startFetching(t, { answer: (request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(pages[request.url ?? '']) })
  const asked = ['/deep', '/tags', '/open', '/entities'].map((path) => fetch(`${base}${path}`, { format: 'text' }))
  t.match(await ask(proxy, '/', `Proxy-Authorization: ${session.field}\r\n`), { status: 200 })
  const answers = await Promise.all(asked)
  t.match(answers.map(({ status }) => status), [200, 406, Number, 406])
  t.match(answers[0]?.body, /deep/)
  t.match(await fetch(`${base}/good`, { format: 'text' }), { status: 200 })
})

t.test('an answer beyond the cap is refused, or cut when it has begun, and so is one that does not end', async (t) => {
  const { base, fetch, proxy } = await startFetching(t, {
    change: (settings) => ({ ...settings, cache: { ...settings.cache, maxBodyBytes: 100_000, fetchTimeoutMs: 400 } }),
    answer: (request, response) => {
      const whole = 'x'.repeat(70_000)
      if (request.url === '/stated') response.end(whole + whole)
      else if (request.url === '/packed') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1_000_000)))
      else if (request.url === '/not-packed') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')
      else if (request.url === '/odd-coding') response.writeHead(200, { 'content-encoding': 'rot13' }).end('x')
      else if (request.url === '/silent') response.writeHead(200).write('x')
      else if (request.url === '/never') response.setTimeout(0)
      else if (request.url === '/broken') response.writeHead(200, { 'content-length': '10' }).write('x', () => response.destroy())
    },
  })
  const cases = [
    ['/stated', 502, 'fetch_too_large'], ['/not-packed', 502, 'origin_protocol_error'], ['/odd-coding', 502, 'origin_protocol_error'],
    ['/silent', 504, 'origin_timeout'], ['/never', 504, 'origin_timeout'], ['/broken', 502, 'origin_incomplete'],
  ] as const
  for (const [path, status, code] of cases) {
    const answer = await fetch(`${base}${path}`)
    t.equal(answer.status, status, path)
    t.equal(codeOf(answer), code, path)
  }
  t.match(await fetch(`${base}/packed`), { status: 200, isWhole: false })
  const ended = proxy.records().filter(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['server.address'] === 'site.test')
  t.equal(ended.length, cases.length + 1)
})

t.test('what has begun is cut at the cap', async (t) => {
  const started: http.ServerResponse[] = []
  const { base, proxy, session, fetch } = await startFetching(t, {
    change: (settings) => ({ ...settings, cache: { ...settings.cache, maxBodyBytes: 100_000 } }),
    answer: (request, response) => {
      const whole = 'x'.repeat(70_000)
      if (request.url === '/more') {
        started[0]?.end(whole)
        response.end()
      } else {
        started.push(response)
        response.write(whole)
      }
    },
  })
  const client = await WireClient.open(proxy.port)
  t.teardown(() => client.socket.destroy())
  client.send(`GET ${question(`${base}/begun`)} HTTP/1.1\r\nHost: 127.0.0.1\r\nProxy-Authorization: ${session.field}\r\n\r\n`)
  await client.until((text) => text.startsWith('HTTP/1.1 200 '))
  const closed = once(client.socket, 'close')
  t.match(await fetch(`${base}/more`), { status: 200 })
  await closed
  t.notMatch(client.received, /\r\n0\r\n\r\n$/, 'its last chunk never came')
  const ended = await proxy.recorded(({ name, attributes }) => name === 'sallyport.exchange.ended' && attributes['sallyport.code'] === 'fetch_too_large')
  t.equal(ended.attributes['sallyport.outcome'], 'failed')
})

t.test('a page of another coding, and a large one, comes whole', async (t) => {
  const large = 'abcdefghij'.repeat(100_000)
  const { base, fetch } = await startFetching(t, {
    answer: (request, response) => {
      if (request.url === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/plain' }).end(gzipSync('plain words'))
      else response.writeHead(200, { 'content-type': 'text/plain', 'content-length': large.length }).end(large)
    },
  })
  const gzip = await fetch(`${base}/gzip`)
  t.match(gzip, { status: 200, body: 'plain words' })
  t.notOk(gzip.fields.has('content-encoding'))
  const whole = await fetch(`${base}/large`)
  t.equal(whole.isWhole, true)
  t.equal(whole.body, large)
  const head = await fetch(`${base}/large`, { method: 'HEAD' })
  t.equal(head.fields.get('content-length'), String(large.length))
})

const listsFiles = existsSync('/proc/self/fd') ? {} : { skip: 'this machine does not list open files' }

t.test('a large page of the cache that cannot be given leaves no file open', listsFiles, async (t) => {
  const { proxy, base, fetch } = await startFetching(t, {
    top: 'allowed_web_search_modes = ["cached"]', rule: 'via = "cache"\nverdict = "allow"',
    answer: (_request, response) => response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.alloc(2 * 1024 * 1024, 'x')),
  })
  await new ControlClient(proxy.controlSocket).call('POST', '/v1/cache/fetch', { body: { url: `${base}/png` } })
  const open = (): readonly string[] => readdirSync('/proc/self/fd').filter((fd) => {
    const link = `/proc/self/fd/${fd}`
    return existsSync(link) && readlinkSync(link).startsWith(join(realpathSync(proxy.dir), 'var', 'cache', 'bodies'))
  })
  for (let i = 0; i < 20; i++) t.match(await fetch(`${base}/png`, { format: 'text' }), { status: 406 })
  while (open().length > 0) await new Promise((resolve) => setImmediate(resolve))
})
