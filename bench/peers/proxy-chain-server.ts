// The process of the proxy-chain peer: `node proxy-chain-server.ts PORT DENIED-FILE`. Ends with its standard
// input. The set of denied names is ours: the library leaves that to its user.
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { RequestError, Server } from 'proxy-chain'

const [port = '0', deniedFile = ''] = process.argv.slice(2)
const denied = new Set(readFileSync(deniedFile, 'utf8').split('\n').filter((name) => name !== ''))
const httpAgent = new Agent({ keepAlive: true, maxSockets: 256 })

const server = new Server({
  host: '127.0.0.1',
  port: Number(port),
  prepareRequestFunction: ({ hostname }) => {
    if (denied.has(hostname)) throw new RequestError('denied', 403)
    return { httpAgent }
  },
})
await server.listen()
process.stdin.resume().once('end', () => process.exit(0))
