// The collector of W7: `node receiver.ts`. It reads what it is sent, keeps nothing and says yes, so that it is
// not what the exporter waits for. Says its port in one line; ends with its standard input.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  request.resume().once('end', () => {
    response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 })
    response.end()
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`)
})
process.stdin.resume().once('end', () => process.exit(0))
