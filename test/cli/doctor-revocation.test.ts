import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { revocationFindings } from '../../src/cli/doctor-revocation.ts'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { systemClock } from '../../src/clock.ts'
import { loadSettings } from '../../src/config/load.ts'
import { testCertificates, type ListShape } from '../support/certificates.ts'

t.test('revocation lists are read as the proxy reads them', async (t: Test) => {
  const certificates = await testCertificates()
  const dir = t.testdir({ 'sallyport.toml': '' })
  const found = async (lines: string): Promise<Finding[]> => {
    writeFileSync(join(dir, 'sallyport.toml'), lines)
    const { settings, problems } = loadSettings({ flags: {}, env: {}, cwd: dir })
    if (settings === undefined) throw new Error(JSON.stringify(problems))
    return revocationFindings(settings, systemClock)
  }
  const put = async (shape?: ListShape): Promise<void> => writeFileSync(join(dir, 'a.crl'), await certificates.revoke(['01', '02'], shape))
  const one = '[origin_tls]\ncrl_files = ["a.crl"]\n'
  t.same(await found(''), [])
  t.match(await found(one), [{ status: 'fail', detail: /a\.crl`: ENOENT/ }])
  await put()
  t.match(await found(one), [{ name: 'revocation_lists', group: 'setup', status: 'ok', detail: '1 list with 2 certificates' }])
  await put({ untilHours: -1 })
  t.match(await found('[origin_tls]\ncrl_dir = "."\n'), [{ status: 'warn', detail: /due to be replaced/ }])
})
