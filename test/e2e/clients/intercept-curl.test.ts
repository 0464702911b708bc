// curl inside TLS that ends at the proxy, in HTTP/1.1 and in HTTP/2: a rule of each kind, what passes, what is refused and
// what is said then, and bodies of any size both ways.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findClient } from '../../support/clients.ts'
import { effort } from '../../support/effort.ts'
import { startSecureWorld, type SecureOptions, type SecureWorld } from '../../support/secure-world.ts'
import type http from 'node:http'

const { program: { command }, options } = findClient('curl')
const mebibytes = effort(24, 64)

interface CurlAnswer {
  readonly status: number
  /** the version that curl spoke to the proxy */
  readonly version: string
  readonly output: string
}

interface Curl extends SecureWorld {
  curl(path: string, ...args: readonly string[]): Promise<CurlAnswer>
}

async function start(t: Test, version: string, settings: SecureOptions, answer?: http.RequestListener): Promise<Curl> {
  const world = await startSecureWorld(t, settings, answer)
  const curl = async (path: string, ...args: readonly string[]): Promise<CurlAnswer> => {
    const { exitCode, output } = await world.run(command, ['-sS', `--http${version}`, '-w', '\n%{http_version} %{http_code}', ...args, `${world.base}${path}`])
    const [, body = '', spoken = '', status = ''] = /^([^]*)\n([\d.]+) (\d+)$/.exec(output) ?? []
    t.equal(exitCode, 0, output.slice(0, 300))
    return { status: Number(status), version: spoken, output: body }
  }
  return { ...world, curl }
}

const echo: http.RequestListener = (request, response) => {
  const hash = createHash('sha256')
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  request.on('end', () => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes, sha256: hash.digest('hex') }))
  })
}

for (const version of ['1.1', '2'] as const) {
  t.test(`curl, HTTP/${version}: methods and paths`, options, async (t) => {
    const { curl, origin, said } = await start(t, version, { rules: { read: 'methods = ["GET", "HEAD"]\npaths = ["/open/**"]', write: 'methods = ["POST"]\npaths = ["/inbox"]' } })
    t.match(await curl('/open/a?b=c'), { status: 200, version, output: 'GET /open/a?b=c\n' })
    t.match(await curl('/inbox', '-d', 'x=y'), { status: 200, output: 'POST /inbox\n' })
    t.match(await curl('/open/a', '-I'), { status: 200 })
    const refused = await curl('/open/a', '-X', 'DELETE')
    t.equal(refused.status, 403)
    t.match(JSON.parse(refused.output), { code: 'request_not_allowed', host: 'origin.test', retryable: false, hint: /sallyport why/ })
    t.match(await curl('/closed'), { status: 403 })
    t.match(await curl('/inbox'), { status: 403 })
    t.match(await curl('/closed', '-d', 'x=y'), { status: 403 })
    t.same(said(), [
      'GET /open/a allowed', 'POST /inbox allowed', 'HEAD /open/a allowed', 'DELETE /open/a request_not_allowed', 'GET /closed request_not_allowed',
      'GET /inbox request_not_allowed', 'POST /closed request_not_allowed',
    ])
    t.same(origin.requests.map(({ method, url }) => `${method} ${url}`), ['GET /open/a?b=c', 'POST /inbox', 'HEAD /open/a'])
  })

  t.test(`curl, HTTP/${version}: query and fields`, options, async (t) => {
    const { curl, origin } = await start(t, version, { rules: { reader: 'query = { service = ["git-upload-pack"], v = ["1", "2"] }\nheaders = { X-Team = ["red", "blue-*"] }' } })
    t.match(await curl('/r?service=git-upload-pack&v=2', '-H', 'X-Team: blue-7'), { status: 200 })
    for (const [path, team] of [
      ['/r?service=git-receive-pack&v=2', 'red'], ['/r?service=git-upload-pack', 'red'], ['/r?service=git-upload-pack&service=git-receive-pack&v=1', 'red'],
      ['/r?service=git-upload-pack&v=1', 'green'], ['/r', 'red'],
    ] as const) t.match(await curl(path, '-H', `X-Team: ${team}`), { status: 403 }, `${path} of ${team}`)
    t.match(await curl('/r?service=git-upload-pack&v=1', '-H', 'X-Team: red', '-H', 'X-Team: green'), { status: 403 })
    t.match(await curl('/r?service=git-upload-pack&v=1'), { status: 403 })
    t.equal(origin.requests.length, 1)
  })

  t.test(`curl, HTTP/${version}: content types and sizes, declared or not`, options, async (t) => {
    const { curl, dir, origin, said } = await start(t, version, { rules: { small: 'methods = ["POST"]\ncontent_types = ["application/json"]\nmax_content = "64 KiB"' } }, echo)
    const json = ['-H', 'Content-Type: application/json']
    t.match(JSON.parse((await curl('/a', ...json, '-d', '{}')).output), { bytes: 2 })
    t.match(await curl('/b', '-d', 'a=b'), { status: 403 })
    const file = join(dir, 'large')
    writeFileSync(file, Buffer.alloc(65_537, 'x'))
    t.match(await curl('/d', ...json, '--data-binary', `@${file}`), { status: 403 }, 'more than may be sent, and said so')
    const declared = origin.requests.length
    // without a length what comes is counted: whatever of it went, the origin never sees a whole request of it
    const streamed = await curl('/e', ...json, '-H', 'Transfer-Encoding: chunked', '-H', 'Content-Length:', '-T', file, '-X', 'POST')
    t.equal(streamed.status, 403)
    t.match(streamed.output, /content_not_allowed/)
    t.ok(origin.requests.length <= declared + 1)
    t.notOk(origin.requests.at(-1)?.complete === true && origin.requests.at(-1)?.url === '/e', 'and not to its end')
    writeFileSync(file, Buffer.alloc(65_536, 'x'))
    t.match(JSON.parse((await curl('/f', ...json, '--data-binary', `@${file}`)).output), { bytes: 65_536 }, 'as much as may be sent')
    t.same(said(), ['POST /a allowed', 'POST /b content_not_allowed', 'POST /d content_not_allowed', 'POST /e allowed', 'POST /e content_not_allowed', 'POST /f allowed'])
  })

  t.test(`curl, HTTP/${version}: read_only passes reading, and nothing with content`, options, async (t) => {
    const { curl, origin } = await start(t, version, { rules: { reader: 'read_only = true' } })
    t.match(await curl('/a'), { status: 200 })
    t.match(await curl('/a', '-X', 'OPTIONS'), { status: 200 })
    t.match(await curl('/a', '-d', 'x'), { status: 403 })
    t.match(await curl('/a', '-X', 'GET', '-d', 'x'), { status: 403 })
    t.equal(origin.requests.length, 2)
  })

  t.test(`curl, HTTP/${version}: fields that rules strip and set`, options, async (t) => {
    const { curl } = await start(t, version, { rules: { changes: 'set_headers = { Authorization = "Bearer of-the-rule", X-Added = "yes" }\nstrip_headers = ["Cookie", "X-Gone"]' } }, echo)
    const { headers } = JSON.parse((await curl('/a', '-H', 'Authorization: Bearer of-the-client', '-H', 'Cookie: a=b', '-H', 'X-Gone: 1', '-H', 'X-Kept: 2')).output)
    t.match(headers, { authorization: 'Bearer of-the-rule', 'x-added': 'yes', 'x-kept': '2', cookie: undefined, 'x-gone': undefined, via: version === '2' ? /^2\.0 sallyport-/ : /^1\.1 sallyport-/ })
  })

  t.test(`curl, HTTP/${version}: the certificate of the origin is judged, and a rule may trust it all the same`, options, async (t) => {
    const { curl, proxy, authority, origin } = await start(t, version, { rules: { read: 'methods = ["GET"]' } })
    const rule = (trust: string): string => `[network]\nunknown = "deny"\n[[network.rules]]\nid = "read"\nhosts = ["${authority}"]\nlocal = ["127.0.0.1/32"]\nmethods = ["GET"]\n${trust}verdict = "allow"\n`
    t.match(await curl('/a'), { status: 200 })
    const loaded = (count: number): Promise<unknown> => proxy.recorded(() => proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length === count)
    writeFileSync(proxy.policyFile, rule(''))
    await loaded(2)
    const refused = await curl('/b')
    t.equal(refused.status, 502)
    t.match(JSON.parse(refused.output), { code: /^tls_/ })
    writeFileSync(proxy.policyFile, rule('insecure = true\n'))
    await loaded(3)
    t.match(await curl('/c'), { status: 200 })
    t.same(origin.requests.map(({ url }) => url), ['/a', '/c'])
  })

  t.test(`curl, HTTP/${version}: an upload waits for 100-continue, and a refused one is not sent`, options, async (t) => {
    const { curl, dir, origin } = await start(t, version, { rules: { upload: 'methods = ["POST"]\npaths = ["/in"]' } }, echo)
    const file = join(dir, 'upload')
    writeFileSync(file, Buffer.alloc(3_000_000, 'x'))
    const upload = ['-H', 'Expect: 100-continue', '--expect100-timeout', '20', '--data-binary', `@${file}`]
    t.match(JSON.parse((await curl('/in', ...upload)).output), { bytes: 3_000_000 })
    const refused = await curl('/closed', ...upload, '-w', '\n%{size_upload} bytes sent\n%{http_version} %{http_code}')
    t.equal(refused.status, 403)
    t.match(refused.output, /\n0 bytes sent$/)
    t.equal(origin.requests.length, 1)
  })

  t.test(`curl, HTTP/${version}: ${mebibytes} MiB up and down arrive whole`, options, async (t) => {
    const block = Buffer.alloc(1024 * 1024, 'sallyport')
    const { curl, dir } = await start(t, version, { rules: { files: 'methods = ["GET", "PUT"]' } }, (request, response) => {
      if (request.method === 'PUT') {
        echo(request, response)
        return
      }
      response.setHeader('Content-Length', mebibytes * block.length)
      let left = mebibytes
      const more = (): void => {
        while (left > 0) {
          left -= 1
          if (!response.write(block)) break
        }
        if (left === 0) response.end()
      }
      response.on('drain', more)
      more()
    })
    const file = join(dir, 'large')
    writeFileSync(file, Buffer.concat(Array.from({ length: mebibytes }, () => block)))
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
    t.match(JSON.parse((await curl('/up', '-T', file)).output), { bytes: mebibytes * block.length, sha256 })
    t.match(await curl('/down', '-o', join(dir, 'copy')), { status: 200 })
    t.equal(createHash('sha256').update(readFileSync(join(dir, 'copy'))).digest('hex'), sha256)
  })

  t.test(`curl, HTTP/${version}: a redirect to a denied host is a request of its own, and Alt-Svc leads nowhere`, options, async (t) => {
    const { curl, run, base, proxy, decisions } = await start(t, version, { rules: { read: 'methods = ["GET"]' } }, (_request, response) => {
      response.writeHead(302, { Location: 'https://denied.test/next', 'Alt-Svc': 'h3=":443"' }).end()
    })
    const first = await curl('/a', '-i')
    t.equal(first.status, 302)
    t.notMatch(first.output, /alt-svc/i)
    const followed = await run(command, ['-sS', '-L', `--http${version}`, `${base}/a`])
    t.same(followed, { exitCode: 56, output: 'curl: (56) CONNECT tunnel failed, response 403\n' })
    const denied = await proxy.recorded(({ name, attributes }) => name === 'sallyport.decision' && attributes['server.address'] === 'denied.test')
    t.match(denied.attributes, { 'sallyport.code': 'denied_by_rule', 'network.policy.decision': 'deny' })
    t.equal(decisions().length, 2)
  })

  t.test(`curl, HTTP/${version}: requests share one tunnel, and each has its decision`, options, async (t) => {
    const { run, base, proxy, said } = await startSecureWorld(t, { rules: { read: 'paths = ["/open"]' } })
    const before = proxy.decisions().length
    const { output } = await run(command, ['-sS', `--http${version}`, '-o', '/dev/null', '-w', '%{num_connects} %{http_code}\n', `${base}/open`, '-o', '/dev/null', `${base}/closed`, '-o', '/dev/null', `${base}/open`])
    t.equal(output, '1 200\n0 403\n0 200\n')
    t.same(said(), ['GET /open allowed', 'GET /closed request_not_allowed', 'GET /open allowed'])
    t.equal(proxy.decisions().length - before, 4, 'and one for the tunnel')
  })
}
