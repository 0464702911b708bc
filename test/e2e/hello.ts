import net from 'node:net'
import tls from 'node:tls'
import { once } from 'node:events'
/** The bytes of a real ClientHello with this server name. */
export async function helloFor(servername: string): Promise<Buffer> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ host: '127.0.0.1', port, servername })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy(); socket.destroy(); server.close()
  return hello
}
