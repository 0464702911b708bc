import { cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { segmentName } from '../../src/audit/segments.ts'
import { loadSigningKey } from '../../src/audit/signing-key.ts'
import { verify } from '../../src/cli/audit-verify.ts'
import type { CommandIo } from '../../src/cli/run.ts'
import { decisionOf, folder, openTestJournal } from '../audit/fixture.ts'

async function run(cwd: string, argv: readonly string[], isProgressShown = false): Promise<{ readonly code: number; readonly text: string; readonly errors: string }> {
  let text = ''
  let errors = ''
  const io: CommandIo = { cwd, isTty: false, out: (more) => void (text += more), err: (more) => void (errors += more) }
  const code = await verify(argv, io, isProgressShown)
  return { code, text, errors }
}

/** A data folder with a signed journal in it. */
async function signed(t: Test, count = 3): Promise<string> {
  const dir = folder(t)
  const journal = await openTestJournal(t, dir, { checkpoints: { signer: loadSigningKey(dir), intervalMs: 3_600_000 } })
  await Promise.all(Array.from({ length: count }, (_, at) => journal.append(decisionOf(`r-${at}`))))
  await journal.close()
  return dir
}

t.test('on the machine itself the key beside the journal is taken, and it is said what that is worth', async (t) => {
  const dir = await signed(t)
  const { code, text } = await run(dir, ['--data', dir])
  t.equal(code, 0)
  t.match(text, /^the journal is intact: records 1 to 4, 4 in 1 segment\n1 checkpoint signed with [0-9a-f]{16}, covering records up to 3\nno signature covers record 4 yet\nthe key is the one that lies beside it: give a copy from elsewhere with --key\nhash of record 4: /)
  const json: unknown = JSON.parse((await run(dir, ['--data', dir, '--json'])).text)
  t.match(json, { ok: true, checkpoints: 1, signatures: 'checked', signed_through: 3, keys: [{ first_seq: 4 }], known_gaps: [], fault: null })
})

t.test('a copied folder is checked with a key that is given, anywhere', async (t) => {
  const dir = await signed(t)
  const elsewhere = folder(t)
  cpSync(join(dir, 'journal'), join(elsewhere, 'copy'), { recursive: true })
  cpSync(join(dir, 'audit-signing.pub'), join(elsewhere, 'their.pub'))
  const good = await run(elsewhere, ['--dir', 'copy', '--key', 'their.pub'])
  t.equal(good.code, 0)
  t.notMatch(good.text, /lies beside/)
  const unchecked = await run(elsewhere, ['--dir', 'copy'])
  t.equal(unchecked.code, 0)
  t.match(unchecked.text, /signatures of 1 checkpoint were not checked: give the public key with --key/)
  t.match(JSON.parse((await run(elsewhere, ['--dir', 'copy', '--json'])).text), { signatures: 'unchecked', keys: [] })
  loadSigningKey(join(elsewhere, 'other'))
  const wrong = await run(elsewhere, ['--dir', 'copy', '--key', 'other/audit-signing.pub'])
  t.equal(wrong.code, 1)
  t.match(wrong.errors, /not intact: .*record 4\): the checkpoint says that it is signed with key/)
  const range = await run(elsewhere, ['--dir', 'copy', '--range', '--key', 'their.pub'])
  t.match(range.text, /it is part of a journal: what came before and after is not here\n/)
})

t.test('exported lines are checked, and what a filter chose is not called complete', async (t) => {
  const dir = await signed(t)
  const lines = readFileSync(join(dir, 'journal', segmentName(1)), 'latin1').split('\n')
  const path = join(dir, 'export.jsonl')
  writeFileSync(path, lines.join('\n'))
  t.match((await run(dir, ['--file', 'export.jsonl'])).text, /^the file is intact: records 1 to 4 without a gap\n1 checkpoint signed with/)
  writeFileSync(path, lines.toSpliced(1, 1).join('\n'))
  const chosen = await run(dir, ['--file', 'export.jsonl'])
  t.equal(chosen.code, 0)
  t.match(chosen.text, /^each line is a whole record .*: 3 records between 1 and 4\n1 record between them is not in the file: this is not proof/)
  t.match(JSON.parse((await run(dir, ['--file', 'export.jsonl', '--json'])).text), { ok: true, complete: false, missing: 1 })
  writeFileSync(path, lines.with(1, 'x').join('\n'))
  const broken = await run(dir, ['--file', 'export.jsonl'])
  t.equal(broken.code, 1)
  t.match(broken.errors, /line 2 \(record 2\): the line is not JSON\n1 record before it is good\n/)
})

t.test('what cannot be read or asked is said plainly', async (t) => {
  const dir = await signed(t)
  writeFileSync(join(dir, 'no.pub'), 'x')
  t.match(await run(dir, ['--data', dir, '--key', 'no.pub']), { code: 1, errors: /no\.pub: holds no public key/ })
  t.match(await run(dir, ['--data', dir, '--key', 'nowhere.pub']), { code: 1, errors: /nowhere\.pub: is not there/ })
  t.match(await run(dir, ['--data', dir, '--key', 'audit-signing.key']), { code: 1, errors: /holds a private key: give the public half/ })
  t.match(await run(dir, ['--file', 'nowhere']), { code: 1, errors: /`.*nowhere` is not there/ })
  t.match(await run(dir, ['--dir', 'nowhere', '--json']), { code: 1, text: /there is no journal here/ })
  await t.rejects(run(dir, ['--dir', 'a', '--file', 'b']), { name: 'UsageError' })
  await t.rejects(run(dir, ['--range']), { name: 'UsageError' })
})

t.test('a key of a former time counts when its public half lies there, and a long journal shows how far it is', async (t) => {
  const dir = await signed(t, 5000)
  renameSync(join(dir, 'audit-signing.key'), join(dir, 'old.key'))
  renameSync(join(dir, 'audit-signing.pub'), join(dir, 'audit-signing-old.pub'))
  const journal = await openTestJournal(t, dir, { checkpoints: { signer: loadSigningKey(dir), intervalMs: 3_600_000 } })
  await journal.append(decisionOf('r-new'))
  await journal.close()
  const { code, text, errors } = await run(dir, ['--data', dir], true)
  t.equal(code, 0)
  t.match(text, /signed with [0-9a-f]{16}, then [0-9a-f]{16}, .*\nthe key was changed: from record 50\d\d on it is/)
  t.match(errors, /^\r\d+ % verified/)
  t.ok(errors.endsWith('\r\u001b[K'), 'and goes again')
})
