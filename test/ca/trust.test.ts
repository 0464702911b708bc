// What the programs say that have to believe our certificates: OpenSSL, Node, Python, curl, Java. A program that is
// not on this machine is skipped by name.
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Leaf } from '../../src/ca/authority.ts'
import { LeafMaker, makeLeafKey } from '../../src/ca/leaf.ts'
import type { Signer } from '../../src/ca/signer.ts'
import { parseHost } from '../../src/target/host.ts'
import { madeSigner, missing, nodeVerdict, type Ran, ran, serve } from './fixture.ts'

const nowMs = Date.now()
const key = makeLeafKey()
const free = madeSigner(nowMs)
const limited = madeSigner(nowMs, ['example.com'])
const hosts = ['api.example.com', 'xn--bcher-kva.example.com', '_srv.example.com', 'single', '127.0.0.1', '[::1]'] as const

interface Files {
  readonly root: string
  readonly leaf: string
}

/** A leaf that the signer would not make: what a stolen key could do. */
function forced(signer: Signer, host: string): Leaf {
  return new LeafMaker({ ...signer, limits: [] }, key).make(parseHost(host), nowMs)
}

function write(t: Test, signer: Signer, leaf: Leaf): Files {
  const dir = t.testdir({})
  const files = { root: join(dir, 'root.pem'), leaf: join(dir, 'leaf.pem') }
  writeFileSync(files.root, signer.certificate.pem)
  writeFileSync(files.leaf, leaf.chainPem)
  return files
}

const noOpenssl = await missing('openssl', 'version')
const noCurl = await missing('curl', '--version')
const noPython = await missing('python3', '-c', 'import ssl')
const noJava = await missing('java', '-version') || await missing('keytool', '-help')

t.test('openssl verifies a leaf by the strictest rules', { skip: noOpenssl }, async (t) => {
  for (const host of hosts) {
    const { root, leaf } = write(t, free, forced(free, host))
    const name = host.replaceAll(/[[\]]/g, '')
    const isAddress = parseHost(host).kind === 'ip'
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', root, isAddress ? '-verify_ip' : '-verify_hostname']
    t.match(await ran('openssl', [...args, name, leaf]), { code: 0, out: /leaf\.pem: OK/ }, host)
    t.not((await ran('openssl', [...args, isAddress ? '192.0.2.1' : 'other.test', leaf])).code, 0, `${host} and no other`)
  }
})

t.test('openssl s_client completes a handshake and finds the chain good', { skip: noOpenssl }, async (t) => {
  const leaf = forced(free, 'api.example.com')
  const { root } = write(t, free, leaf)
  const port = await serve(t, leaf)
  const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'api.example.com', '-verify_hostname', 'api.example.com', '-CAfile', root, '-x509_strict', '-verify_return_error'], { stdio: ['pipe', 'pipe', 'ignore'] })
  let out = ''
  client.stdout.setEncoding('utf8').on('data', (text: string) => { out += text })
  client.stdin.end('GET / HTTP/1.1\r\n\r\n')
  await new Promise((resolve) => { client.once('close', resolve) })
  t.match(out, /Verification: OK/)
  t.match(out, /Verified peername: api\.example\.com/)
  t.match(out, /issuer=CN = sallyport/)
})

t.test("Node's client trusts a leaf for its host alone", async (t) => {
  for (const host of hosts) {
    const port = await serve(t, forced(free, host))
    const name = host.replaceAll(/[[\]]/g, '')
    t.equal(await nodeVerdict(port, free.certificate.pem, name), undefined, host)
    t.match(await nodeVerdict(port, free.certificate.pem, 'other.test'), /ERR_TLS_CERT_ALTNAME_INVALID/, host)
  }
})

t.test('Node knows that somebody else signed', async (t) => {
  const port = await serve(t, forced(madeSigner(nowMs), 'api.example.com'))
  t.match(await nodeVerdict(port, free.certificate.pem, 'api.example.com'), /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER/)
})

const pythonClient = `
import socket, ssl, sys
port, cafile, host = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=cafile)
context.verify_flags |= ssl.VERIFY_X509_STRICT
try:
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        print(tls.getpeercert()["subjectAltName"])
except ssl.SSLCertVerificationError as error:
    print("refused:", error.verify_message)
`

t.test('Python trusts a leaf with VERIFY_X509_STRICT', { skip: noPython }, async (t) => {
  for (const [host, shown] of [['api.example.com', "DNS', 'api.example.com"], ['127.0.0.1', "IP Address', '127.0.0.1"]] as const) {
    const leaf = forced(free, host)
    const { root } = write(t, free, leaf)
    const port = await serve(t, leaf)
    t.match((await ran('python3', ['-c', pythonClient, String(port), root, host])).out, shown)
    t.match((await ran('python3', ['-c', pythonClient, String(port), root, 'other.test'])).out, /refused: Hostname mismatch/)
  }
})

async function curl(port: number, root: string, host: string): Promise<{ code: number; out: string }> {
  return ran('curl', ['-sS', '--max-time', '20', '--noproxy', '*', '--cacert', root, '--resolve', `${host}:${port}:127.0.0.1`, `https://${host}:${port}/`])
}

t.test('curl trusts a leaf', { skip: noCurl }, async (t) => {
  for (const host of ['api.example.com', '127.0.0.1']) {
    const leaf = forced(free, host)
    const { root } = write(t, free, leaf)
    const port = await serve(t, leaf)
    t.match(await curl(port, root, host), { code: 0, out: 'hi' }, host)
  }
  const leaf = forced(free, 'api.example.com')
  const { root } = write(t, free, leaf)
  t.match(await curl(await serve(t, leaf), root, 'other.example.com'), { code: 60 })
})

const javaClient = `
import javax.net.ssl.*;
import java.net.Socket;
public class Client {
  public static void main(String[] args) throws Exception {
    for (int i = 1; i < args.length; i++) {
      try (Socket plain = new Socket("127.0.0.1", Integer.parseInt(args[0]));
           SSLSocket tls = (SSLSocket) ((SSLSocketFactory) SSLSocketFactory.getDefault()).createSocket(plain, args[i], 443, true)) {
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        tls.setSSLParameters(parameters);
        tls.startHandshake();
        System.out.println(args[i] + " trusted");
      } catch (SSLHandshakeException error) {
        System.out.println(args[i] + " refused");
      }
    }
  }
}
`

t.test('Java trusts a leaf by a trust store', { skip: noJava }, async (t) => {
  const leaf = forced(free, 'api.example.com')
  const { root } = write(t, free, leaf)
  const port = await serve(t, leaf)
  const store = root.replace('root.pem', 'trust.p12')
  const program = root.replace('root.pem', 'Client.java')
  writeFileSync(program, javaClient)
  t.match(await ran('keytool', ['-importcert', '-noprompt', '-alias', 'sallyport', '-file', root, '-keystore', store, '-storetype', 'PKCS12', '-storepass', 'changeit']), { code: 0 })
  const { out } = await ran('java', [`-Djavax.net.ssl.trustStore=${store}`, '-Djavax.net.ssl.trustStorePassword=changeit', program, String(port), 'api.example.com', 'other.example.com'])
  t.match(out, /api\.example\.com trusted/)
  t.match(out, /other\.example\.com refused/)
})

interface Client {
  readonly name: string
  readonly skip: string | false
  /** undefined when it trusts, else what it says */
  readonly asks: (port: number, files: Files, host: string) => Promise<string | undefined>
}

const said = async (running: Promise<Ran>, trusts: RegExp): Promise<string | undefined> => {
  const { out } = await running
  return trusts.test(out) ? undefined : out
}
const clients: readonly Client[] = [
  { name: 'Node', skip: false, asks: (port, { root }, host) => nodeVerdict(port, readFileSync(root, 'utf8'), host) },
  { name: 'openssl', skip: noOpenssl, asks: (_port, { root, leaf }) => said(ran('openssl', ['verify', '-x509_strict', '-CAfile', root, leaf]), /: OK/) },
  { name: 'curl', skip: noCurl, asks: (port, { root }, host) => said(curl(port, root, host), /^hi$/) },
  { name: 'Python', skip: noPython, asks: (port, { root }, host) => said(ran('python3', ['-c', pythonClient, String(port), root, host]), /^\(\(/) },
]

for (const { name, skip, asks } of clients) {
  t.test(`${name} keeps to the constraints of a root, whatever its key signs`, { skip }, async (t) => {
    for (const host of ['example.com', 'a.b.example.com']) {
      const leaf = new LeafMaker(limited, key).make(parseHost(host), nowMs)
      t.equal(await asks(await serve(t, leaf), write(t, limited, leaf), host), undefined, host)
    }
    for (const host of ['evil.test', 'badexample.com', '127.0.0.1']) {
      const leaf = forced(limited, host)
      const why = host === '127.0.0.1' ? /excluded subtree violation/i : /permitted subtree violation/i
      t.match(await asks(await serve(t, leaf), write(t, limited, leaf), host), why, host)
    }
  })
}
