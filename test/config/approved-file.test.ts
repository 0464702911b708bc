// The file itself: written whole or not at all, after the policy compiled with it.
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { ApprovedFile, ApprovedFileFault } from '../../src/config/approved-file.ts'
import type { ApprovedEntry } from '../../src/config/approved-file.ts'
import { createPolicySource } from '../../src/config/policy-files.ts'
import type { PolicySource } from '../../src/config/policy-files.ts'
import { parseToml } from '../../src/policy/toml.ts'

// a worker alone does not keep a process alive while it is awaited
const alive = setInterval(() => undefined, 1000)
t.teardown(() => clearInterval(alive))

const entry = (pattern: string, more: Partial<ApprovedEntry> = {}): ApprovedEntry => ({ verdict: 'allow', pattern, agent: undefined, team: undefined, by: 'ada', atMs: 0, approvalId: '01JAPPROVAL', ...more })

async function folder(t: Test, files: Record<string, string> = {}): Promise<{ readonly dir: string; readonly path: string }> {
  const root = await mkdtemp(join(tmpdir(), 'approved-file-'))
  t.teardown(() => rm(root, { recursive: true }))
  const dir = join(root, 'policies')
  await mkdir(dir)
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  return { dir, path: join(dir, '90-approved.toml') }
}

const unchecked = async () => []

function sourceOf(t: Test, dir: string): PolicySource {
  const source = createPolicySource({ policiesDir: dir, requirementsFile: undefined, managedDefault: join(dir, '../requirements.toml'), reserved: [], clock: systemClock, onLog: () => undefined })
  t.teardown(() => source.close())
  return source
}

async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof ApprovedFileFault) return error.message
    throw error
  }
  return 'none'
}

t.test('the file is made, readable by all, and nothing else is left in the folder', async (t) => {
  const { dir, path } = await folder(t)
  const umask = process.umask(0o077)
  t.teardown(() => process.umask(umask))
  const file = new ApprovedFile({ policiesDir: dir, check: unchecked })
  t.equal(await file.add(entry('a.example')), 'written')
  t.equal(await file.add(entry('a.example')), 'present')
  t.equal((await stat(path)).mode & 0o777, 0o644)
  t.same(await readdir(dir), ['90-approved.toml'])
})

t.test('the mode of the file stays, and a link stays a link', async (t) => {
  const { dir, path } = await folder(t, { 'elsewhere.txt': '# mine\n' })
  await chmod(join(dir, 'elsewhere.txt'), 0o640)
  await symlink('elsewhere.txt', path)
  await new ApprovedFile({ policiesDir: dir, check: unchecked }).add(entry('a.example'))
  const text = await readFile(join(dir, 'elsewhere.txt'), 'utf8')
  t.match(text, /^# mine\n/)
  t.match(text, /"a\.example"/)
  t.equal((await stat(join(dir, 'elsewhere.txt'))).mode & 0o777, 0o640)
  t.same((await readdir(dir)).toSorted(), ['90-approved.toml', 'elsewhere.txt'])
})

t.test('entries that come at once are all written, one after the other', async (t) => {
  const { dir, path } = await folder(t)
  const file = new ApprovedFile({ policiesDir: dir, check: unchecked })
  const names = Array.from({ length: 20 }, (_, i) => `h${i}.example`)
  const [refused, ...written] = await Promise.allSettled([file.add(entry('*')), ...names.map((name) => file.add(entry(name)))])
  t.equal(refused.status, 'rejected')
  t.same(written.map(({ status }) => status), names.map(() => 'fulfilled'))
  t.same(parseToml(await readFile(path, 'utf8')), { table: { network: { allowed_domains: names.toReversed() } } })
})

t.test('what does not compile is not written', async (t) => {
  const { dir, path } = await folder(t, { '10.toml': '[network]\nunknown = "deny"\n', '90-approved.toml': '# mine\n' })
  const source = sourceOf(t, dir)
  const file = new ApprovedFile({ policiesDir: dir, check: (text) => source.tryApproved(text) })
  t.equal(await file.add(entry('a.example')), 'written')
  const before = await readFile(path, 'utf8')
  await writeFile(join(dir, '20.toml'), '[[network.rules]]\nid = "raw"\nhosts = ["ssh.example:22"]\nraw = "ssh"\nverdict = "oops"\n')
  t.match(await faultOf(file.add(entry('b.example'))), /90-approved\.toml` stays as it is: the policy would not load with it: .*20\.toml:5: `verdict` is one of/)
  t.equal(await readFile(path, 'utf8'), before)
})

t.test('a file that cannot be read as TOML or as text stays as it is', async (t) => {
  for (const [bytes, why] of [['[network\n', /line 1 of it is not valid TOML/], [Buffer.from([0x23, 0xff, 0x0a]), /it is not UTF-8/]] as const) {
    const { dir, path } = await folder(t)
    await writeFile(path, bytes)
    t.match(await faultOf(new ApprovedFile({ policiesDir: dir, check: unchecked }).add(entry('a.example'))), why)
    t.same(await readFile(path), Buffer.from(bytes))
    t.same(await readdir(dir), ['90-approved.toml'])
  }
  const { dir, path } = await folder(t)
  await mkdir(path)
  t.match(await faultOf(new ApprovedFile({ policiesDir: dir, check: unchecked }).add(entry('a.example'))), /it cannot be read: it is not a regular file/)
})

t.test('a folder that is not there is told', async (t) => {
  const { dir } = await folder(t)
  t.match(await faultOf(new ApprovedFile({ policiesDir: join(dir, 'none'), check: unchecked }).add(entry('a.example'))), /cannot be written: there is no such file/)
})

t.test('what somebody writes meanwhile is kept', async (t) => {
  const { dir, path } = await folder(t, { '90-approved.toml': '# first\n' })
  const seen: string[] = []
  const check = async (text: string) => {
    seen.push(text)
    if (seen.length === 1) await writeFile(path, '# second\n[network]\ndenied_domains = ["b.example"]\n')
    return []
  }
  t.equal(await new ApprovedFile({ policiesDir: dir, check }).add(entry('a.example')), 'written')
  t.equal(seen.length, 2)
  t.match(await readFile(path, 'utf8'), /^# second\n/)
  t.same(parseToml(await readFile(path, 'utf8')), { table: { network: { denied_domains: ['b.example'], allowed_domains: ['a.example'] } } })
  let writes = 0
  const busy = async () => {
    await writeFile(path, `# ${writes++}\n`)
    return []
  }
  t.match(await faultOf(new ApprovedFile({ policiesDir: dir, check: busy }).add(entry('c.example'))), /somebody else keeps writing it/)
  t.match(await readFile(path, 'utf8'), /^# \d\n$/)
})

t.test('a text is tried in place of the file, and changes nothing', async (t) => {
  const { dir } = await folder(t, { '10.toml': '[network]\nunknown = "deny"\n' })
  const source = sourceOf(t, dir)
  await source.load()
  const { revision } = source.current() ?? {}
  const errors = async (text: string) => (await source.tryApproved(text)).filter(({ severity }) => severity === 'error').map(({ file, line, message }) => `${file.slice(dir.length + 1)}:${line}: ${message}`)
  t.same(await errors('[network]\nallowed_domains = ["a.example"]\n'), [])
  t.same(await errors('[network]\nunknown = "deny"\n'), [])
  t.match(await errors('[network]\nallowed_domains = ["*.com"]\n'), [/^90-approved\.toml:2: `\*\.com` is broad/])
  await writeFile(join(dir, '90-approved.toml'), '[network\n')
  t.same(await errors('[network]\nallowed_domains = ["a.example"]\n'), [], 'what stands in the file does not count')
  t.equal(source.current()?.revision, revision)
  t.equal(source.state(), 'ok')
  await source.close()
  t.match(await source.tryApproved(''), [{ severity: 'error', message: /could not be compiled: closed/ }])
})
