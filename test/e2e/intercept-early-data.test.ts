// Early data (RFC 8446 section 2.3), which anybody can replay: TLS that ends here gives no client leave to send any, and
// what a client sends all the same, on a ticket of another server's, is never a request.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ask } from '../support/client-run.ts'
import { insideRequest } from '../support/inside.ts'
import { secureHost, startSecureWorld, type SecureWorld } from '../support/secure-world.ts'

const skip = ask('openssl', ['version']) === undefined ? 'no openssl' : false

/** What `s_client` says; once hands are shaken `then` has its input, and it stays until its connection or its input ends. */
async function client(args: readonly string[], then: (input: Writable) => void | Promise<void>): Promise<string> {
  const program = spawn('openssl', ['s_client', '-tls1_3', '-servername', secureHost, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  let isThrough = false
  program.stderr.resume()
  program.stdin.on('error', () => program.kill())
  program.stdout.setEncoding('latin1').on('data', (text: string) => {
    said += text
    if (isThrough || !said.includes('Verify return code')) return
    isThrough = true
    void then(program.stdin)
  })
  await once(program, 'close')
  return said
}

/** A ticket comes behind the handshake. */
async function leaveWithTicket(input: Writable, ticket: string): Promise<void> {
  while (!existsSync(ticket)) await delay(10)
  input.end()
}

/** The port of a server that lets clients send early data. */
async function earlyServer(t: Test, { dir, certificates }: SecureWorld): Promise<number> {
  const { cert, key } = await certificates.issue([secureHost])
  const pem = join(dir, 'early.pem')
  writeFileSync(pem, `${cert}\n${key}`)
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-cert', pem, '-key', pem, '-early_data'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const closed = once(server, 'close')
  t.teardown(async () => {
    server.kill()
    await closed
  })
  let said = ''
  return new Promise((resolve, reject) => {
    server.stdout.setEncoding('latin1').on('data', (text: string) => {
      said += text
      const [, port] = /ACCEPT \S*:(\d+)\s/.exec(said) ?? []
      if (port !== undefined) resolve(Number(port))
    })
    server.once('close', () => reject(new Error(`openssl s_server ended: ${said}`)))
  })
}

t.test('early data on a ticket of another server\'s is no request, and what comes behind the handshake is', { skip }, async (t) => {
  const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]' } })
  const { dir, authority, proxy, origin } = world
  const ticket = join(dir, 'ticket.pem')
  const early = join(dir, 'early.txt')
  writeFileSync(early, insideRequest(authority, '/early'))
  const port = await earlyServer(t, world)
  const direct = ['-connect', `127.0.0.1:${port}`]
  await client([...direct, '-sess_out', ticket], (input) => leaveWithTicket(input, ticket))
  t.match(readFileSync(ticket, 'latin1'), /BEGIN SSL SESSION/)
  t.match(await client([...direct, '-sess_in', ticket, '-early_data', early], (input) => void input.end()), /Early data was accepted/, 'the ticket lets the client send some')

  const last = insideRequest(authority, '/late', { fields: 'Connection: close\r\n' })
  const said = await client(['-proxy', `127.0.0.1:${proxy.port}`, '-connect', authority, '-sess_in', ticket, '-early_data', early], (input) => void input.write(last))
  t.match(said, /Early data was rejected/, 'it is sent, and not taken')
  t.match(said, /HTTP\/1\.1 200 OK[^]*GET \/late/)
  t.strictSame(world.said(), ['GET /late allowed'])
  t.strictSame(origin.requests.map(({ url }) => url), ['/late'])
})

t.test('a ticket of ours gives no leave to send early data', { skip }, async (t) => {
  const world = await startSecureWorld(t, { rules: { read: 'methods = ["GET"]' } })
  const { dir, authority, proxy } = world
  const ticket = join(dir, 'ticket.pem')
  const early = join(dir, 'early.txt')
  writeFileSync(early, insideRequest(authority, '/early'))
  const closing = (path: string): string => insideRequest(authority, path, { fields: 'Connection: close\r\n' })
  const through = ['-proxy', `127.0.0.1:${proxy.port}`, '-connect', authority]
  await client([...through, '-sess_out', ticket], (input) => void input.write(closing('/first')))
  const said = await client([...through, '-sess_in', ticket, '-early_data', early], (input) => void input.write(closing('/second')))
  t.match(said, /Early data was not sent/)
  t.strictSame(world.said(), ['GET /first allowed', 'GET /second allowed'])
})
