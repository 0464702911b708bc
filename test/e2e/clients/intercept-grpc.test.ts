// gRPC inside TLS that ends at the proxy: calls of every kind, trailers and status codes, what a client takes back, and
// what it is told of a call that policy refuses.
import { resolve } from 'node:path'
import t, { type Test } from 'tap'
import { testCertificates } from '../../support/certificates.ts'
import { startEchoServer, type EchoServer } from '../../support/grpc-echo.ts'
import { secureHost, startSecureProxy, type SecureProxy } from '../../support/secure-world.ts'

const program = resolve(import.meta.dirname, '../../support/grpc-client.ts')

async function start(t: Test, rule: string): Promise<SecureProxy & { readonly server: EchoServer }> {
  const certificates = await testCertificates()
  const server = await startEchoServer(await certificates.issue([secureHost]))
  t.teardown(() => server.stop())
  return { ...(await startSecureProxy(t, certificates, server, { rules: { calls: rule } })), server }
}

async function calls(world: SecureProxy): Promise<Map<string, Record<string, unknown>>> {
  const { exitCode, output } = await world.run(process.execPath, [program, world.authority], { env: { GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: world.caFile } })
  if (exitCode !== 0) throw new Error(output)
  return new Map(output.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>).map((each) => [String(each['what']), each]))
}

t.test('calls of every kind pass, with what is before and behind their messages', async (t) => {
  const world = await start(t, 'methods = ["POST"]\npaths = ["/echo.Echo/*"]\ncontent_types = ["application/grpc"]')
  const said = await calls(world)
  t.match(said.get('unary'), { code: 0, bytes: 5, isSame: true, head: { 'echo-head': 'hello' }, metadata: { 'echo-trailer': 'behind', 'echo-bin': { type: 'Buffer', data: [0, 1, 255] } } })
  t.match(said.get('empty'), { code: 0, bytes: 0 })
  t.match(said.get('large'), { code: 0, bytes: 8 * 1024 * 1024, isSame: true })
  for (const code of [3, 5, 7, 14, 16]) {
    t.match(said.get(`fail ${code}`), { code, details: 'not today: grüße', metadata: { 'echo-trailer': 'of an error' } })
  }
  t.match(said.get('deadline'), { code: 4 })
  t.match(said.get('taken back'), { code: 1 })
  t.match(said.get('server stream'), { code: 0, messages: 1000, bytes: 5_000_000, metadata: { counted: '1000' } })
  t.match(said.get('client stream'), { code: 0, total: '5000000' })
  t.match(said.get('bidi'), { code: 0, back: 200 })
  t.same(said.get('beside each other')?.['codes'], Array.from({ length: 50 }, () => 0))
  const { attributes } = await world.proxy.recorded(({ name, attributes: all }) => name === 'sallyport.exchange.ended' && all['sallyport.outcome'] === 'failed')
  t.match(attributes, { 'http.request.method': 'POST' }, 'a call that hangs')
  while (world.server.cancelled() === 0) await new Promise((done) => setTimeout(done, 10))
  t.equal(world.server.cancelled(), 1, 'is taken back from the server too')
  t.equal(world.decisions().length, 63)
})

t.test('a call that policy refuses is PERMISSION_DENIED to its client, and reaches no server', async (t) => {
  const world = await start(t, 'methods = ["POST"]\npaths = ["/echo.Echo/Fail"]')
  const said = await calls(world)
  t.match(said.get('unary'), { code: 7, details: 'Received HTTP status code 403' })
  t.match(said.get('fail 5'), { code: 5 })
  t.match(said.get('server stream'), { code: 7, messages: 0 })
  t.match(said.get('client stream'), { code: 7 })
})
