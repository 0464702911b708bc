// A session that reads the web and does nothing else: what it is answered by a whole proxy, beside one that is not so.
import http from 'node:http'
import t from 'tap'
import { fillWorld, page } from '../support/fill-world.ts'

interface Answer {
  readonly status: number
  readonly text: string
}

function ask(port: number, proxyUrl: string, url: string, method = 'GET'): Promise<Answer> {
  const { username, password } = new URL(proxyUrl)
  return new Promise((resolve, reject) => {
    const headers = { host: new URL(url).host, 'proxy-authorization': `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
    const sent = http.request({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

t.test('it reads from the cache what others read live, and may do nothing else', async (t) => {
  const world = await fillWorld(t, {}, (port) => `[network]
unknown = "deny"
[[network.rules]]
id = "site"
hosts = ["docs.test:${port}"]
local = ["127.0.0.1/32"]
verdict = "allow"
`)
  world.pages.set('/guide', page('guide'))
  const make = async (body: object): Promise<string> => {
    const made: unknown = (await world.control.call('POST', '/v1/sessions', { body })).body
    if (typeof made !== 'object' || made === null || !('proxy_url' in made)) throw new Error(JSON.stringify(made))
    return String(made.proxy_url)
  }
  const fetcher = await make({ agent: 'fetcher', web_fetch: true })
  const other = await make({ agent: 'codex' })
  t.equal((await ask(world.proxy.port, fetcher, `${world.site}/guide`)).status, 504)
  t.strictSame(world.asked, [], 'a miss asks nobody')
  t.match(await ask(world.proxy.port, other, `${world.site}/guide`), { status: 200, text: 'guide' })
  t.match(await world.cache('add', `${world.site}/guide`), { code: 0 })
  const asked = world.asked.length
  t.match(await ask(world.proxy.port, fetcher, `${world.site}/guide`), { status: 200, text: 'guide' })
  t.equal(world.asked.length, asked)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    t.match(await ask(world.proxy.port, fetcher, `${world.site}/guide`, method), { status: 403, text: /reads the web and does nothing else/ }, method)
  }
  t.equal(world.asked.length, asked)
  const started = world.proxy.records().filter(({ name }) => name === 'sallyport.session.started')
  t.strictSame(started.map(({ attributes }) => attributes['sallyport.session.web_fetch']), [true, false])
})
