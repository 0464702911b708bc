// What stands in the origin's namespace: HTTP, TLS, and a DNS server that answers everybody, on IPv4 and
// IPv6. It writes down who reached it; a line that is not the proxy's is an escape.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { testCertificates } from '../support/certificates.ts'

const [contactsFile = '', ...addresses] = process.argv.slice(2)

function contact(what: string, from: string | undefined): void {
  appendFileSync(contactsFile, `${what} ${from ?? 'gone'}\n`)
}

const isV6 = (address: string): boolean => address.includes(':')

/** An answer to any query: the same id, the response bit, no records. */
function dnsAnswer(query: Uint8Array): Buffer {
  const answer = Buffer.from(query)
  if (answer.length > 2) answer[2] = (answer[2] ?? 0) | 0x80
  return answer
}

async function listen(server: Server, port: number, address: string): Promise<void> {
  server.listen({ host: address, port, ipv6Only: isV6(address) })
  await once(server, 'listening')
}

const authority = await testCertificates()
const { cert, key } = await authority.issue(['allowed.test'])

for (const address of addresses) {
  const web = createHttpServer((request, response) => {
    contact('http', request.socket.remoteAddress)
    response.end('the origin\n')
  })
  await listen(web, 80, address)

  const secure = createTlsServer({ cert, key }, (socket) => {
    contact('tls', socket.remoteAddress)
    socket.on('error', () => socket.destroy())
    socket.end('the origin\n')
  })
  await listen(secure, 443, address)

  const dnsOverTcp = createServer((socket: Socket) => {
    contact('dns-tcp', socket.remoteAddress)
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => socket.end(dnsAnswer(bytes)))
  })
  await listen(dnsOverTcp, 53, address)

  const dns = createSocket({ type: isV6(address) ? 'udp6' : 'udp4' })
  dns.on('message', (query, { address: from, port }) => {
    contact('dns-udp', from)
    dns.send(dnsAnswer(query), port, from)
  })
  dns.bind(53, address)
  await once(dns, 'listening')
}
process.stdout.write('ready\n')
