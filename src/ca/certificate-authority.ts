// scratch
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Host } from '../target/host.ts'
import type { Leaf, LeafSource } from './authority.ts'

export class CertificateAuthority implements LeafSource {
  readonly #dir: string
  readonly #leaves = new Map<string, Leaf>()
  constructor({ certsDir }: { certsDir: string; clock: Clock; constraints: () => readonly string[] | undefined }) {
    this.#dir = certsDir
  }

  async ready(): Promise<void> {
    const d = this.#dir
    if (existsSync(join(d, 'root.pem'))) return
    mkdirSync(d, { recursive: true })
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', join(d, 'root-key.pem'), '-out', join(d, 'root.pem'), '-subj', '/CN=scratch', '-days', '30'], { stdio: 'ignore' })
    execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', join(d, 'leaf.key')], { stdio: 'ignore' })
  }

  leafFor(host: Host): Leaf {
    const d = this.#dir
    let leaf = this.#leaves.get(host.text)
    if (leaf === undefined) {
      writeFileSync(join(d, 'ext'), `subjectAltName=${host.kind === 'ip' ? 'IP' : 'DNS'}:${host.text}\nextendedKeyUsage=serverAuth\n`)
      execFileSync('sh', ['-c', `cd ${d}; openssl req -new -key leaf.key -subj /CN=x -out l.csr; openssl x509 -req -in l.csr -CA root.pem -CAkey root-key.pem -CAcreateserial -days 2 -extfile ext -out l.pem`], { stdio: 'ignore' })
      leaf = { chainPem: readFileSync(join(d, 'l.pem'), 'utf8'), keyPem: readFileSync(join(d, 'leaf.key'), 'utf8'), notAfterMs: Date.now() + 1e8 }
      this.#leaves.set(host.text, leaf)
    }
    return leaf
  }
}
