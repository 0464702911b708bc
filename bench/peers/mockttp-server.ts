// The process of the mockttp peer: `node mockttp-server.ts PORT PACKAGE-FOLDER ROOT-CERT ROOT-KEY ORIGIN-ROOT`.
// It is no dependency, so its types are what is used of them here. Ends with its standard input.
import dns from 'node:dns'
import { createRequire } from 'node:module'
import { join } from 'node:path'

interface PassThrough {
  readonly additionalTrustedCAs: readonly { readonly certPath: string }[]
}

interface Mockttp {
  getLocal(options: Readonly<Record<string, unknown>>): {
    forAnyRequest(): { thenPassThrough(options: PassThrough): Promise<unknown> }
    start(port: number): Promise<void>
  }
}

const [port = '0', folder = '', certPath = '', keyPath = '', originRoot = ''] = process.argv.slice(2)
const mockttp: Mockttp = createRequire(join(folder, 'package.json'))('mockttp')

// it asks the system for names and knows no hosts file of its own
Object.assign(dns, {
  lookup: (_name: string, options: dns.LookupOptions, callback: (error: null, found: string | dns.LookupAddress[], family?: number) => void) => {
    if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }])
    else callback(null, '127.0.0.1', 4)
  },
})

const server = mockttp.getLocal({ https: { certPath, keyPath }, http2: true, recordTraffic: false, suggestChanges: false })
await server.forAnyRequest().thenPassThrough({ additionalTrustedCAs: [{ certPath: originRoot }] })
await server.start(Number(port))
process.stdin.resume().once('end', () => process.exit(0))
