// `sallyport test`: the policies' own cases, counted.
import t from 'tap'
import { testCommand } from '../../src/cli/test.ts'
import { policyFolder } from './policy-folder.ts'

const rule = (id: string, match: readonly string[], notMatch: readonly string[]) => `[[network.rules]]
id = "${id}"
hosts = ["${id}.example"]
methods = ["GET"]
verdict = "allow"
match = ${JSON.stringify(match)}
not_match = ${JSON.stringify(notMatch)}
`

t.test('cases that hold are counted over all files', async (t) => {
  const { run } = await policyFolder(t, testCommand, {
    'policies/10-a.toml': rule('a', ['GET https://a.example/', 'http://a.example/x'], ['POST https://a.example/']),
    'policies/20-b.toml': rule('b', ['CONNECT b.example:443'], []),
    'policies/30-c.toml': 'network.unknown = "deny"\n',
  })
  const { code, out, err } = await run()
  t.same({ code, err }, { code: 0, err: '' })
  t.match(out, /(?:^|\n)4 passed, 0 failed\n/)
  t.match(JSON.parse((await run('--json')).out), { passed: 4, failed: 0, failures: [], errors: [] })
})

t.test('a case that does not hold is told with file and line, and is exit code 1', async (t) => {
  const { run } = await policyFolder(t, testCommand, {
    'policies/10-a.toml': rule('a', ['GET https://a.example/', 'POST https://a.example/'], ['HEAD https://a.example/']),
    'policies/20-b.toml': rule('b', [], ['GET https://b.example/']),
  })
  const { code, out } = await run()
  t.equal(code, 1)
  t.match(out, /policies\/10-a\.toml:6:\d+: error: `match` does not hold for `POST https:\/\/a\.example\/`.*covers GET and not POST/)
  t.match(out, /policies\/20-b\.toml:7:\d+: error: `not_match` does not hold for `GET https:\/\/b\.example\/`/)
  t.match(out, /\n2 passed, 2 failed\n$/)
  const json: unknown = JSON.parse((await run('--json')).out)
  t.match(json, { passed: 2, failed: 2, errors: [], failures: [{ file: 'policies/10-a.toml', line: 6 }, { file: 'policies/20-b.toml', line: 7 }] })
})

t.test('a case that cannot be read does not hold', async (t) => {
  const { run } = await policyFolder(t, testCommand, { 'policies/10-a.toml': rule('a', ['GET ftp://a.example/'], []) })
  t.match(await run(), { code: 1, out: /0 passed, 1 failed\n$/ })
})

t.test('a policy with errors runs no case', async (t) => {
  const { run } = await policyFolder(t, testCommand, {
    'policies/10-a.toml': rule('a', ['POST https://a.example/'], []),
    'policies/20-b.toml': 'network.unknown = "maybe"\n',
  })
  const { code, out, err } = await run()
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, /policies\/20-b\.toml:1:\d+: error: /)
  t.match(err, /\nno case was run: the policy has errors\n$/)
  t.match(JSON.parse((await run('--json')).out), { passed: 0, failed: 0, errors: [{ file: 'policies/20-b.toml' }] })
})

t.test('files that are named are run alone', async (t) => {
  const { run } = await policyFolder(t, testCommand, { 'policies/10-a.toml': '= broken', 'pack.toml': rule('a', ['GET https://a.example/'], []) })
  t.match(await run('pack.toml'), { code: 0, out: /^1 passed, 0 failed\n/ })
  t.match(await run('--help'), { code: 0, out: /examples:/ })
})
