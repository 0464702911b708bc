// How long a client is held, held to what docs/clients.md says was measured.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { holdMs } from '../../src/approvals/hold.ts'
import { captured } from '../support/clients-report.ts'

t.test('a session that says how long is held for so long, whoever asks', async (t) => {
  t.equal(holdMs(0, 'curl/8.0'), 0)
  t.equal(holdMs(7_000, 'curl/8.0'), 7_000)
  t.equal(holdMs(7_000, undefined), 7_000)
})

t.test('auto is 20 s for programs that are known to wait and 4 s for everybody else', async (t) => {
  for (const patient of ['curl/7.88.1', 'git/2.39.5', 'Wget/1.21.3', 'npm/11.19.1 node/v26.10.0 linux x64 workspaces/false', 'Go-http-client/1.1']) t.equal(holdMs('auto', patient), 20_000, patient)
  for (const other of [undefined, '', 'pip/23.2.1', 'node', 'Python-urllib/3.11', 'python-requests/2.34.2', 'my-curl/1', 'curl', 'github/1']) t.equal(holdMs('auto', other), 4_000, String(other))
})

t.test('whoever is held for 20 s was served after 20 s at the first try, and everybody was served after 4 s', async (t) => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/clients.md'), 'utf8')
  const rows = (captured(page, 'holds') ?? '').split('\n').slice(2).map((line) => line.split('|').map((cell) => cell.trim()))
  t.ok(rows.length > 10)
  for (const [, client, says = '', after2, after4, after20, nobody] of rows) {
    const ms = holdMs('auto', says === 'nothing' ? undefined : says.replaceAll('`', ''))
    t.strictSame([after2, after4], ['served', 'served'], String(client))
    if (ms === 20_000) t.equal(after20, 'served', String(client))
    if (ms === 20_000) t.match(nobody, /^told after 2\d s/, String(client))
  }
})
