// What Chromium says of our certificates, with the root in its own store: trusted within the constraints, refused
// outside of them.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LeafMaker, makeLeafKey } from '../../src/ca/leaf.ts'
import { parseHost } from '../../src/target/host.ts'
import { browserMissing, openBrowser } from '../support/browser.ts'
import { madeSigner, ran, serve } from './fixture.ts'

const noCertutil = await ran('certutil', ['-H']).then(() => false as const, () => 'certutil is not installed')
const skip = browserMissing || noCertutil

t.test('Chromium trusts leaves of a root in its store, and keeps to its constraints', { skip }, async (t) => {
  const nowMs = Date.now()
  const signer = madeSigner(nowMs, ['example.com'])
  const make = (host: string, limits = signer.limits): ReturnType<LeafMaker['make']> => new LeafMaker({ ...signer, limits }, makeLeafKey()).make(parseHost(host), nowMs)
  const home = t.testdir({})
  const store = join(home, '.pki', 'nssdb')
  mkdirSync(store, { recursive: true })
  writeFileSync(join(home, 'root.pem'), signer.certificate.pem)
  t.match(await ran('certutil', ['-N', '--empty-password', '-d', `sql:${store}`]), { code: 0 })
  t.match(await ran('certutil', ['-A', '-d', `sql:${store}`, '-n', 'sallyport', '-t', 'C,,', '-i', join(home, 'root.pem')]), { code: 0 })
  const browser = await openBrowser(t, { home, args: ['--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.example.com 127.0.0.1'] })
  const page = await browser.newPage()
  const good = await serve(t, make('api.example.com'))
  t.equal(await page.goto(`https://api.example.com:${good}/`).then((answer) => answer?.status()), 200)
  await t.rejects(page.goto(`https://other.example.com:${good}/`), { message: /ERR_CERT_COMMON_NAME_INVALID/ }, 'for its host alone')
  const outside = await serve(t, make('www.evil.test', []))
  await t.rejects(page.goto(`https://www.evil.test:${outside}/`), { message: /ERR_CERT_INVALID/ }, 'whatever its key signs')
})
