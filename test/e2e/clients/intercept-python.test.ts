// Python inside TLS that ends at the proxy: urllib and ssl with the checks of X.509 as strict as they get, which Python 3.13
// has by default. Every interpreter that is found is asked.
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ask } from '../../support/client-run.ts'
import { findClient } from '../../support/clients.ts'
import { startSecureWorld } from '../../support/secure-world.ts'

const program = `
import json, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context()
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
for url in sys.argv[1:]:
    data = b"x" * 3_000_000 if url.endswith("/upload") else None
    try:
        with opener.open(urllib.request.Request(url, data=data)) as answer:
            print(answer.status, answer.read().decode().strip())
    except urllib.error.HTTPError as error:
        print(error.code, error.reason.split(" (req")[0], json.load(error)["code"])
`

/** Paths of interpreters, those of a version manager among them, with their versions. */
function interpreters(): readonly { readonly command: string; readonly version: string }[] {
  const managed = join(homedir(), '.pyenv', 'versions')
  const others = existsSync(managed) ? readdirSync(managed).filter((name) => /^3\.1[2-9]/.test(name)).map((name) => join(managed, name, 'bin', 'python3')) : []
  const found = [findClient('python-urllib').program.command, '/usr/bin/python3', ...others].map((name) => ask(name, ['-c', 'import ssl, sys, platform; ssl.VERIFY_X509_PARTIAL_CHAIN; print(sys.executable, platform.python_version())']))
  const unique = new Map(found.flatMap((line) => {
    const [command, version] = line?.split(' ') ?? []
    return command === undefined || version === undefined ? [] : [[version, command] as const]
  }))
  return [...unique].map(([version, command]) => ({ command, version }))
}

const { options } = findClient('python-urllib')

for (const { command, version } of interpreters()) {
  t.test(`Python ${version}: urllib with VERIFY_X509_STRICT reads what is allowed and is told what is not`, options, async (t) => {
    const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]\npaths = ["/open"]', write: 'methods = ["POST"]\npaths = ["/upload"]' } }, (request, response) => {
      let bytes = 0
      request.on('data', (chunk: Buffer) => (bytes += chunk.length))
      request.on('end', () => response.end(`${request.method} ${request.url} ${bytes}\n`))
    })
    const { exitCode, output } = await world.run(command, ['-c', program, ...['/open', '/closed', '/upload', '/open?a=b'].map((path) => `${world.base}${path}`)])
    t.equal(exitCode, 0, output)
    t.same(output.trim().split('\n'), [
      '200 GET /open 0', '403 Denied by policy: no rule of origin.test allows GET /closed request_not_allowed', '200 POST /upload 3000000', '200 GET /open?a=b 0',
    ])
  })
}

t.test('Python: a client that does not trust the root is told so, and so is the journal', options, async (t) => {
  const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]' }, change: (settings) => ({ ...settings, limits: { ...settings.limits, headersTimeoutMs: 500 } }) })
  const { program: { command } } = findClient('python-urllib')
  const { exitCode, output } = await world.run(command, ['-c', program, `${world.base}/`], { env: { SSL_CERT_FILE: '/dev/null' } })
  t.equal(exitCode, 1)
  t.match(output, /CERTIFICATE_VERIFY_FAILED/)
  await world.proxy.recorded(({ attributes }) => attributes['sallyport.code'] === 'client_handshake_failed')
  t.equal(world.origin.connections(), 0)
})
