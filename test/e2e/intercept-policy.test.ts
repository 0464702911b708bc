// Policy on requests inside TLS that ended at the proxy: no spelling of a path gets further than what it may mean, no field
// makes another method of one, and a change of the rules acts on the next request of a connection that is in use.
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { testCertificates } from '../support/certificates.ts'
import { insideRequest, openInside } from '../support/inside.ts'
import { rawTlsOrigin } from '../support/origins.ts'
import { secureHost, startSecureProxy, type SecureOptions, type SecureProxy } from '../support/secure-world.ts'
import { fieldOf, strictOrigin, type StrictOrigin } from '../support/strict-origin.ts'
import { streamClient, versions, type Version } from '../support/stream-client.ts'

interface World extends SecureProxy {
  readonly origin: StrictOrigin
}

async function start(t: Test, options: SecureOptions): Promise<World> {
  const certificates = await testCertificates()
  const origin = await strictOrigin(t, undefined, (serve) => rawTlsOrigin(t, [secureHost], certificates, serve))
  return { ...(await startSecureProxy(t, certificates, origin, options)), origin }
}

/** The status of one request on a connection of its own; 0 when it broke off without one. */
async function status(t: Test, world: World, version: Version, path: string, fields: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<number> {
  if (version === 'HTTP/2') {
    const ask = await streamClient(t, world.proxy, world.authority, version)
    const { answer } = ask({ path, method, fields, hasBody: false })
    return answer.then((given) => given.status, () => 0)
  }
  const client = await openInside(t, world.proxy, world.authority)
  client.send(insideRequest(world.authority, path, { method, fields: Object.entries({ ...fields, Connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`).join('') }))
  const answer = await client.next()
  return answer?.status ?? 0
}

/** Spellings by which `/closed/secret` was reached past a rule for `/open/**` somewhere, and such as may be some day. */
const spellings = [
  '/closed/secret', '//closed/secret', '/open/../closed/secret', '/open/%2e%2e/closed/secret', '/open/%2E%2E/closed/secret', '/open/.%2e/closed/secret', '/open/%2e./closed/secret',
  '/open/..%2fclosed%2fsecret', '/open%2f..%2fclosed%2fsecret', '/open/%2e%2e%2fclosed/secret', '/open/..%5cclosed%5csecret', '/open/..\\closed\\secret', '/open\\..\\closed\\secret',
  '/open/%252e%252e/closed/secret', '/open/..%252fclosed/secret', '/open/%25%32%65%25%32%65/closed/secret', '/open/./../closed/secret', '/open//../closed/secret', '/open/a/../../closed/secret',
  '/open/..;/closed/secret', '/open/..;x=y/closed/secret', '/open;/../closed/secret', '/open/%2e%2e;/closed/secret', '/open/;/../closed/secret',
  '/open/..%00/closed/secret', '/open/%00/../closed/secret', '/open/%c0%ae%c0%ae/closed/secret', '/open/%e0%80%ae%e0%80%ae/closed/secret', '/open/..%c0%afclosed/secret', '/open/%u002e%u002e/closed/secret',
  '/open/..%0d%0a/closed/secret', '/open/..%09/closed/secret', '/open/%zz/../closed/secret', '/open/%2/../closed/secret', '/open/%/../closed/secret', '/open/.../../closed/secret', '/open/..', '/open/%2e%2e',
  '/OPEN/a', '/Open/a', '/open', '/openclosed/secret', '/%6fpen/../closed/secret', '/%2fclosed/secret', '/./closed/secret', '/%2e/closed/secret', '/closed%2fsecret', '/%63losed/secret',
  '/open/..?/x', '/open/\xe2\x80\xa5/closed/secret', '/open/%ef%bc%8e%ef%bc%8e/closed/secret',
]

/** Ways in which origins read a path: decoded once and twice, overlong UTF-8 and all, backslashes as slashes, parameters left out. */
function readings(raw: string): readonly string[] {
  const path = raw.split('?', 1)[0] ?? ''
  const decoded = (text: string): string => text.replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const lenient = (text: string): string => text.replaceAll(/\xc0\xae|\xe0\x80\xae|%u002e/gi, '.').replaceAll(/\xc0\xaf/g, '/').replaceAll('\\', '/')
  const withoutParameters = (text: string): string => text.replaceAll(/;[^/]*/g, '')
  const forms = [path, decoded(path), decoded(decoded(path)), lenient(decoded(path)), lenient(decoded(decoded(path)))]
  return [...forms, ...forms.map(withoutParameters), withoutParameters(path)].map(normalised)
}

function normalised(path: string): string {
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '.' && segment !== '') kept.push(segment)
  }
  return `/${kept.join('/')}`
}

for (const version of versions) {
  t.test(`${version}: ${spellings.length} spellings of a path get no further than what they may mean to an origin`, async (t) => {
    const world = await start(t, { rules: { open: 'paths = ["/open/**"]' } })
    t.equal(await status(t, world, version, '/open/a%20b/c;d/é'.replace('é', '%C3%A9')), 200, 'what can be read in one way alone passes')
    const before = world.origin.requests.length
    for (const path of spellings) {
      const given = await status(t, world, version, path)
      const arrived = world.origin.requests.slice(before).find(({ target }) => target === path)
      const means = arrived === undefined ? [] : readings(path)
      t.ok(means.every((meant) => meant === '/open' || meant.startsWith('/open/')), `${path}: ${given}${arrived === undefined ? '' : `, which means ${means.join(' or ')}`}`)
      t.equal(given === 200, arrived !== undefined, `${path}: served by the origin or refused, ${given}`)
      if (given !== 200) t.ok([0, 400, 403].includes(given), `${path}: ${given}`)
    }
    const allowed = world.decisions().filter(({ attributes }) => attributes['network.policy.decision'] === 'allow')
    t.equal(allowed.length, world.origin.requests.length, 'decisions that allowed = origin requests')
    t.same(world.origin.complaints, [])
  })

  t.test(`${version}: fields that would make another method of it are taken off`, async (t) => {
    const world = await start(t, { rules: { read: 'methods = ["GET", "POST"]' } })
    const names = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'x-http-method-override', 'X-Http-Method-OVERRIDE']
    for (const name of names) t.equal(await status(t, world, version, '/a', { [name]: 'DELETE', 'X-Kept': name }, name === 'X-HTTP-Method' ? 'POST' : 'GET'), 200)
    t.equal(world.origin.requests.length, names.length)
    for (const request of world.origin.requests) {
      t.same(request.fields.filter(([name]) => /method/i.test(name)), [])
      t.ok(fieldOf(request, 'x-kept'))
    }
  })

  t.test(`${version}: a change of the rules acts on the next request of a connection in use, and what it allows goes on`, async (t) => {
    const world = await start(t, { rules: { open: 'paths = ["/a", "/b"]' } })
    const ask = await streamClient(t, world.proxy, world.authority, version)
    const asked = async (path: string): Promise<number> => {
      const { answer } = ask({ path })
      const { status: given, body } = await answer
      body.resume()
      await new Promise((resolve) => body.once('end', resolve))
      return given
    }
    t.equal(await asked('/a'), 200)
    t.equal(await asked('/b'), 200)
    const loaded = (count: number): Promise<unknown> => world.proxy.recorded(() => world.proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length === count)
    writeFileSync(world.proxy.policyFile, world.policyWith({ rules: { open: 'paths = ["/a", "/c"]' } }))
    await loaded(2)
    t.same([await asked('/a'), await asked('/b'), await asked('/c')], [200, 403, 200], 'on the same connection')
    writeFileSync(world.proxy.policyFile, 'no policy at all\n')
    await world.proxy.recorded(({ name }) => name === 'sallyport.policy.rejected')
    t.same([await asked('/a'), await asked('/b')], [200, 403], 'a file that is none changes nothing')
    const revisions = new Set(world.decisions().map(({ attributes }) => attributes['sallyport.policy.revision']))
    t.equal(revisions.size, 2, 'each decision is of one revision')
    t.equal(world.proxy.decisions().filter(({ attributes }) => attributes['http.request.method'] === 'none').length, 2, 'and there was one tunnel, beside the first')
  })

  t.test(`${version}: under load every request inside has one revision and none fails`, async (t) => {
    const world = await start(t, { rules: { open: 'methods = ["GET"]' } })
    const over = new AbortController()
    const statuses = new Set<number>()
    const workers = Array.from({ length: 4 }, async () => {
      const ask = await streamClient(t, world.proxy, world.authority, version)
      for (let sent = 1; !over.signal.aborted; sent++) {
        const { status: given, body } = await ask({ path: `/${sent}` }).answer
        statuses.add(given)
        body.resume()
        await new Promise((resolve) => body.once('end', resolve))
      }
    })
    for (let round = 1; round <= 4; round++) {
      writeFileSync(world.proxy.policyFile, world.policyWith({ rules: { open: `methods = ["GET"]\nreason = "round ${round}"` } }))
      await world.proxy.recorded(() => world.proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').length === round + 1)
    }
    over.abort()
    await Promise.all(workers)
    t.same([...statuses], [200])
    const revisions = new Set(world.proxy.records().filter(({ name }) => name === 'sallyport.policy.loaded').map(({ attributes }) => attributes['sallyport.policy.revision']))
    t.equal(revisions.size, 5)
    t.ok(world.decisions().every(({ attributes }) => revisions.has(attributes['sallyport.policy.revision'])))
    t.equal(world.decisions().length, world.origin.requests.length, 'decisions = origin requests')
  })
}
