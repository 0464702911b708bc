// The trail of events: one decision for each request, whatever was in it, in one line of plain ASCII and
// an unbroken chain; and what monitor mode writes instead of refusing.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readIndex } from '../../src/audit/record-index.ts'
import { verifyJournal } from '../../src/audit/verify.ts'
import { ControlClient } from '../support/control.ts'
import { plainHosts, plainPolicy, request, startPlain } from '../support/plain-world.ts'
import { startProxy, type TestProxy } from '../support/proxy.ts'
import { openTunnel } from '../support/raw-client.ts'
import { strictOrigin } from '../support/strict-origin.ts'
import { say, WireClient } from '../support/wire-client.ts'
import { hello, serverNames } from '../ingress/hello-bytes.ts'
import * as fc from '../support/property.ts'

const journalOf = (proxy: TestProxy): string => join(proxy.dir, 'var', 'journal')

function lines(proxy: TestProxy): readonly string[] {
  const names = readdirSync(journalOf(proxy)).filter((name) => /^segment-.*\.jsonl$/.test(name))
  return names.toSorted().flatMap((name) => readFileSync(join(journalOf(proxy), name), 'latin1').split('\n').slice(0, -1))
}

t.test('5,000 mixed requests leave exactly 5,000 decisions, without a gap, in a chain that verifies', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const total = 5000
  const workers = 10
  await Promise.all(Array.from({ length: workers }, async (_, worker) => {
    let client = await WireClient.open(proxy.port)
    for (let at = worker; at < total; at += workers) {
      if (client.isClosed) client = await WireClient.open(proxy.port)
      const kind = at % 20
      if (kind === 0) await say(proxy.port, `CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n`)
      else if (kind === 1) await say(proxy.port, `CONNECT a..b:443 HTTP/1.1\r\nHost: a\r\n\r\n`)
      else if (kind === 2) await say(proxy.port, 'BAD\r\n\r\n')
      else if (kind === 3) await say(proxy.port, request(origin.port, '/', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'))
      else {
        client.send(kind < 6 ? `GET http://denied.test/${at} HTTP/1.1\r\nHost: denied.test\r\n\r\n` : request(origin.port, `/${at}`))
        await client.next()
      }
    }
    client.socket.destroy()
  }))
  const decisions = proxy.decisions()
  t.equal(decisions.length, total)
  t.equal(new Set(decisions.map((record) => record.attributes['sallyport.request.id'])).size, total)
  t.equal(decisions.filter((record) => record.attributes['network.policy.decision'] === 'allow').length, origin.requests.length)
  t.strictSame(origin.complaints, [])
  const ended = (): number => proxy.records().filter(({ name }) => name === 'sallyport.exchange.ended').length
  while (ended() < total) await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(ended(), total, 'and one end for each')
  await proxy.stop(true)
  const records = proxy.records()
  t.ok(records.every(({ seq }, at) => seq === at + 1), 'the sequence has no gap')
  const verified = await verifyJournal(journalOf(proxy))
  t.match(verified, { ok: true, records: records.length })

  const [name = ''] = readdirSync(journalOf(proxy)).filter((file) => /^segment-.*\.jsonl$/.test(file))
  const bytes = readFileSync(join(journalOf(proxy), name))
  const line = Math.floor(records.length / 2)
  let start = 0
  for (let at = 1; at < line; at++) start = bytes.indexOf('\n', start) + 1
  const flipped = bytes.indexOf('"deny"', start) >= 0 ? bytes.indexOf('"deny"', start) + 1 : start + 40
  bytes[flipped] = (bytes[flipped] ?? 0) ^ 1
  writeFileSync(join(journalOf(proxy), name), bytes)
  const broken = await verifyJournal(journalOf(proxy))
  t.equal(broken.ok, false)
  t.equal(broken.fault?.line, bytes.subarray(0, flipped).toString('latin1').split('\n').length, 'one bit, and the verifier names the line')
})

t.test('what is written into hosts, paths and fields to forge a log stays one field of one record', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const forged = '{"seq":1,"name":"sallyport.decision"}'
  const strings = [forged, '"},{"x":"', '\\u000a\\n', '%0d%0aX:%20y', '\x1b[2K\x1b[1A', '\x9b31m', '\xe2\x80\xae', '\xe2\x80\xa8', '\xff\xfe', '=cmd|x', '${jndi:ldap://x}', '<script>', '\x7f', '\0', 'a\rb', 'a\nb', '__proto__', '\xc2\x85']
  let sent = 0
  for (const text of strings) {
    const each = [
      `CONNECT ${text}:443 HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET http://allowed.test:${origin.port}/${text} HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\nConnection: close\r\n\r\n`,
      `GET http://allowed.test:${origin.port}/?${text}=${text} HTTP/1.1\r\nHost: allowed.test:${origin.port}\r\nConnection: close\r\n\r\n`,
      request(origin.port, '/', `Connection: close\r\nUser-Agent: ${text}\r\nX-Agent: ${text}\r\nReferer: ${text}\r\n`),
      `${text} http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n`,
      `GET http://denied.test/${text} HTTP/1.1\r\nHost: denied.test\r\nUser-Agent: ${text}\r\nConnection: close\r\n\r\n`,
    ]
    for (const bytes of each) {
      const received = await say(proxy.port, bytes)
      sent += 1
      t.match(received, /^HTTP\/1\.1 [2-5]/)
      const head = received.slice(0, received.indexOf('\r\n\r\n'))
      if (!received.startsWith('HTTP/1.1 200')) t.notMatch(received.split('\n').join(''), /[^\r\x20-\x7e]/, 'a refusal is plain text')
      t.notMatch(head, /\nX: y/)
    }
  }
  const all = lines(proxy)
  t.notOk(all.some((line) => /[^\x20-\x7e]/.test(line)), 'visible ASCII only')
  t.ok(all.every((line) => typeof (JSON.parse(line) as { readonly seq: unknown }).seq === 'number'))
  t.equal(proxy.decisions().length, sent)
  const known = Object.keys(proxy.decisions()[0]?.attributes ?? {})
  t.ok(known.length > 10 && proxy.decisions().every(({ attributes }) => Object.getPrototypeOf(attributes) === Object.prototype))
  await proxy.stop(true)
  t.equal((await verifyJournal(journalOf(proxy))).fault, undefined)
})

t.test('an auditor searches while the proxy runs, and is answered from the index as soon as there is one', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const control = new ControlClient(proxy.controlSocket)
  await say(proxy.port, 'GET http://denied.test/one HTTP/1.1\r\nHost: denied.test\r\nConnection: close\r\n\r\n')
  await say(proxy.port, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\nConnection: close\r\n\r\n')
  await say(proxy.port, request(origin.port, '/two', 'Connection: close\r\n'))
  const found = async (query: string): Promise<readonly { readonly name: string; readonly path: unknown }[]> => {
    const { status, body } = await control.call('GET', `/v1/events?${query}`)
    t.equal(status, 200, query)
    const { items } = body as { readonly items: readonly { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[] }
    return items.map(({ name, attributes }) => ({ name, path: attributes['url.path'] }))
  }
  const denied = [{ name: 'sallyport.decision', path: '/one' }, { name: 'sallyport.decision', path: undefined }]
  t.strictSame(await found('host=denied.*&verdict=deny'), denied)
  let index = readIndex(journalOf(proxy))
  while ((index?.segments().size ?? 0) === 0) {
    index?.close()
    await new Promise((resolve) => setTimeout(resolve, 20))
    index = readIndex(journalOf(proxy))
  }
  index?.close()
  t.strictSame(await found('host=denied.*&verdict=deny'), denied)
  t.strictSame(await found('host=*&verdict=allow'), [{ name: 'sallyport.decision', path: '/two' }])
})

t.test('hostile field names and random streams leave the process up and the next request served', async (t) => {
  const origin = await strictOrigin(t)
  const proxy = await startPlain(t, origin.port)
  const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', '__defineGetter__', 'valueOf', 'then']
  const fields = names.map((name) => `${name}: ${name}\r\n`).join('')
  t.match(await say(proxy.port, request(origin.port, '/', `Connection: close\r\n${fields}`)), /^HTTP\/1\.1 200 /)
  for (const name of names) t.ok(origin.requests[0]?.fields.some(([given]) => given === name), name)
  const valid = request(origin.port, '/fuzz', 'Content-Length: 5\r\nX-A: b\r\n', 'POST', 'hello')
  const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }).map((changes) => {
    const bytes = Buffer.from(valid, 'latin1')
    for (const [at, byte] of changes) bytes[at] = byte
    return bytes
  })
  const streams = fc.sample(fc.oneof({ weight: 3, arbitrary: mutated }, { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)) }), { numRuns: 600, seed: 97 })
  for (let at = 0; at < streams.length; at += 50) {
    await Promise.all(streams.slice(at, at + 50).map(async (bytes) => {
      const client = await WireClient.open(proxy.port)
      client.send(bytes)
      await new Promise((resolve) => setTimeout(resolve, 20))
      client.socket.destroy()
    }))
  }
  t.match(await say(proxy.port, request(origin.port, '/after', 'Connection: close\r\n')), /^HTTP\/1\.1 200 /)
  t.strictSame(origin.complaints, [], 'and nothing dirty went upstream')
  const allowed = proxy.decisions().filter((record) => record.attributes['network.policy.decision'] === 'allow').length
  t.ok(origin.requests.length <= allowed, 'nothing upstream without its decision')
  t.notOk(proxy.log.some((line) => line.startsWith('a fault')), proxy.log.join('\n'))
})

t.test('monitor mode lets pass what policy would refuse and writes what it would have said', async (t) => {
  const origin = await strictOrigin(t)
  const rule = plainPolicy(origin.port).replace('[network]', '[network]\nmode = "monitor"')
  const proxy = await startProxy(t, {
    policy: `${rule}[[network.rules]]\nid = "loop"\nhosts = ["*.test:${origin.port}"]\nbroad = true\nlocal = ["127.0.0.1/32"]\nverdict = "allow"\n`,
    hosts: { ...plainHosts, 'private.test': '10.0.0.1' },
  })
  const denied = await say(proxy.port, 'GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nConnection: close\r\n\r\n')
  t.match(denied, /"code":"ip_denied"/, 'the address stays closed')
  const [first] = proxy.decisions()
  t.match(first?.attributes, { 'network.policy.decision': 'allow', 'sallyport.mode': 'monitor', 'sallyport.monitored.verdict': 'deny', 'sallyport.monitored.code': 'denied_by_rule' })
  t.match(await say(proxy.port, 'GET http://a..b/ HTTP/1.1\r\nHost: a..b\r\n\r\n'), /^HTTP\/1\.1 400 /, 'syntax too')
  t.match(await say(proxy.port, 'GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'), /"code":"ip_denied"/)
  const { socket, head } = await openTunnel(proxy.port, `allowed.test:${origin.port}`)
  t.match(head, /^HTTP\/1\.1 200/)
  socket.on('error', () => socket.destroy()).on('end', () => socket.end()).resume()
  socket.write(hello(serverNames({ name: 'other.test' })))
  const noted = await proxy.recorded((record) => record.attributes['sallyport.stage'] === 'tls')
  t.match(noted.attributes, { 'network.policy.decision': 'allow', 'sallyport.monitored.code': 'name_mismatch' })
  socket.destroy()
})

t.test('the budget for new names is noted in monitor mode, and kept in enforce mode', async (t) => {
  const proxy = await startProxy(t, { policy: '[network]\nmode = "monitor"\nallowed_domains = ["*.exfil.test"]\n', change: (settings) => ({ ...settings, limits: { ...settings.limits, newNamesPerMinute: 2 } }) })
  for (let at = 0; at < 4; at++) t.match(await say(proxy.port, `CONNECT n${at}.exfil.test:443 HTTP/1.1\r\nHost: n${at}.exfil.test:443\r\n\r\n`), /^HTTP\/1\.1 50[24] /)
  t.strictSame(proxy.decisions().map((record) => record.attributes['sallyport.monitored.code'] ?? ''), ['', '', 'name_budget_exceeded', 'name_budget_exceeded'])
})
