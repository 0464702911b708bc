import t from 'tap'
import { keyedHash, looksSecret, redactUrl, scrubAgent, scrubText } from '../../src/audit/redaction.ts'
import { anyText, redaction } from './fixture.ts'
import * as fc from '../support/property.ts'

// in two parts, so that secret scanners leave this file alone
const token = (prefix: string, rest: string): string => prefix + rest

const secrets = [
  token('ghp', '_16C7e42F292c6912E7710c838347Ae178B4a'),
  token('github_pat', '_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz'),
  token('glpat', '-20charsOfTokenXyz12'),
  token('sk-proj', '-abcdEFGHijklMNOPqrst1234'),
  token('sk_live', '_4eC39HqLyjWDarjtT1zdp7dc'),
  token('xoxb', '-123456789012-abcdefGHIJKL'),
  token('AKIA', 'IOSFODNN7EXAMPLE'),
  token('AIza', 'SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe'),
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U',
  'npm_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8',
  'bot123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc',
  'XXyyZZ1122aabbCCddEEff33',
  '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  '3f2504e0-4f89-11d3-9a0c-0305e82c3301',
  'dGhpcyBpcyBhIHNlY3JldCB2YWx1ZQ==',
  'user:hunter2@db.example',
  'token=abc123',
  'kq3v9z8x7c6b5n4m3a2s1d0f',
]

const ordinary = [
  '/repos/nodejs/node/pulls/61234/commits',
  '/@types%2fnode',
  '/lodash/-/lodash-4.17.21.tgz',
  '/simple/charset-normalizer/',
  '/v1/chat/completions',
  '/debian/dists/bookworm/main/binary-amd64/Packages.xz',
  '/wheels/numpy-1.26.4-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
  '/blog/2026/11/20/how-we-made-our-internal-proxy-faster-in-2026',
  '/docs/MyReallyLongDocumentNameAboutEverything.html',
  '/org/repo.git/info/refs',
  '/users/1234567890123456789/messages',
  '/containers/createContainerFromTemplate',
  '/2026-11-20T23:04:05Z/report.json',
  '/internationalization/characteristically',
  '/kubernetes-sigs/kustomize/releases/download/kustomize%2Fv5.4.2',
]

t.test('path segments that look like secrets become a keyed hash', async (t) => {
  for (const secret of secrets) {
    t.ok(looksSecret(secret), secret)
    const { path } = redactUrl(`/api/${secret}/x`, undefined, redaction)
    t.equal(path, `/api/${keyedHash(secret, redaction.key)}/x`)
  }
})

t.test('ordinary paths stay readable', async (t) => {
  for (const path of ordinary) t.equal(redactUrl(path, undefined, redaction).path, path)
})

t.test('of a query only the keys stay', async (t) => {
  t.equal(redactUrl('/search', 'q=my%20secret&page=2&flag', redaction).query, 'q&page&flag')
  t.equal(redactUrl('/search', `${secrets[0]}&a=1`, redaction).query, `${keyedHash(secrets[0] ?? '', redaction.key)}&a`)
  t.equal(redactUrl('/search', undefined, redaction).query, undefined)
})

t.test('no query value ever stands in what path mode keeps', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[A-Z0-9]{6,20}$/)), { minLength: 1, maxLength: 80 }), (pairs) => {
      const kept = redactUrl('/', pairs.map(([key, value]) => `${key}=${value}`).join('&'), redaction).query ?? ''
      return pairs.every(([, value]) => !kept.includes(value))
    }),
  )
})

t.test('host mode keeps nothing of the URL, full mode keeps it as received', async (t) => {
  t.strictSame(redactUrl('/a', 'b=c', { ...redaction, url: 'host' }), { path: undefined, query: undefined })
  t.strictSame(redactUrl('/a', 'b=c', { ...redaction, url: 'full' }), { path: '/a', query: 'b=c' })
})

t.test('a path beyond 2 KiB is cut between segments and ends in the hash of the whole', async (t) => {
  const path = `/${'ab/'.repeat(2000)}`
  t.equal(redactUrl(path, undefined, redaction).path, path.slice(0, 2047) + keyedHash(path, redaction.key))
  const straddling = `/${'ab/'.repeat(680)}${secrets[0]}/x`
  t.equal(redactUrl(straddling, undefined, redaction).path, `/${'ab/'.repeat(680)}${keyedHash(straddling, redaction.key)}`, 'no half of a secret')
  const oneSegment = `/${'ordinary'.repeat(1000)}`
  t.equal(redactUrl(oneSegment, undefined, redaction).path, `/${keyedHash(oneSegment, redaction.key)}`)
  const many = '/token=ab'.repeat(1000)
  t.ok((redactUrl(many, undefined, redaction).path ?? '').length < 2048 + 64)
  const query = 'ab'.repeat(2000)
  t.equal(redactUrl(`/${query}`, query, { ...redaction, url: 'full' }).query, query.slice(0, 2048) + keyedHash(query, redaction.key))
})

t.test('equal secrets have equal hashes, and another key gives others', async (t) => {
  t.equal(keyedHash('a', redaction.key), keyedHash('a', redaction.key))
  t.not(keyedHash('a', redaction.key), keyedHash('a', new Uint8Array(32)))
  t.match(keyedHash('a', redaction.key), /^\{hmac:[0-9a-f]{16}\}$/)
})

t.test('credentials, query values and tokens are blotted out of foreign text', async (t) => {
  t.equal(scrubText('http://user:hunter2@example.com/x?token=abc&b=c', 300), 'http://***@example.com/x?token=***&b=***')
  t.equal(scrubText('the host is not valid: `user:hunter2@example.com`', 300), 'the host is not valid: `***@example.com`')
  t.equal(scrubText(`bad ${secrets[0]} here`, 300), 'bad *** here')
  for (const secret of [token('AKIA', 'IOSFODNN7EXAMPLE'), token('eyJ', 'hbGciOiJIUzI1NiJ9'), token('sk-', 'abcdefghijklmnop')]) t.equal(scrubText(`bad ${secret}`, 300), 'bad ***', secret)
  t.equal(scrubText(`http://h/x%3D${token('sk-', 'abcdefghijklmnop')}`, 300), 'http://h/x%3D***')
  t.equal(scrubText('task-management-board.example.com is not allowed', 300), 'task-management-board.example.com is not allowed')
  t.equal(scrubText('pastebin.com is on the denied list', 300), 'pastebin.com is on the denied list')
  t.equal(scrubText('abcdef', 3), 'abc')
})

t.test('what a client calls itself keeps its name and loses its credentials', async (t) => {
  for (const agent of [
    'curl/8.5.0', 'git/2.43.0', 'node', 'pip/24.0 {"ci":null,"cpu":"x86_64","distro":{"name":"Debian GNU/Linux","version":"12"}}',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7; rv:109.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109 Safari/537.36',
    'npm/10.8.2 node/v22.11.0 linux x64 workspaces/false', 'aws-cli/2.15.30 Python/3.11.8 Linux/6.1.0 exe/x86_64.debian.12', 'Go-http-client/1.1', 'python-requests/2.31.0', 'agent (+https://example.com/about)',
  ]) t.equal(scrubAgent(agent, 512), agent)
  for (const secret of [...secrets.slice(0, 12), token('hvs', '.CAESIJx0abcdefGHIJ12345')]) t.equal(scrubAgent(`agent/1.0 (${secret})`, 512), 'agent/1.0 (***)', secret)
  t.equal(scrubAgent('agent/1.0 Bearer hunter2 x', 512), 'agent/1.0 Bearer *** x')
  t.equal(scrubAgent('agent api_key: hunter2, {"token":"hunter2"}', 512), 'agent api_key: ***, {"token":"***"}')
  t.equal(scrubAgent(`${'a '.repeat(10)}Bearer ${'hunter2'.repeat(9)}`, 30), `${'a '.repeat(10)}Bearer ***`)
})

t.test('credentials are blotted out before foreign text is cut, and whatever they hold', async (t) => {
  t.equal(scrubText(`http://bob:${'LongPassword'.repeat(30)}@a.test/`, 30), 'http://***@a.test/')
  t.equal(scrubText(`x ?token=${'Long'.repeat(30)} y`, 20), 'x ?token=*** y')
  t.equal(scrubText(`${'a'.repeat(15)} ${secrets[0]}`, 24), `${'a'.repeat(15)} ***`)
  for (const password of ["hunter2'x", 'hunter2"x', 'x/hunter2', 'x@hunter2', 'x@/hunter2', 'x?hunter2', 'x://hunter2']) {
    for (const scheme of ['', 'http://', 'https://']) t.notMatch(scrubText(`bad target: ${scheme}bob:${password}@a.test/x`, 300), /hunter2|bob/, `${scheme}${password}`)
  }
  t.notMatch(scrubText(`http://a.test/?token=hun'ter2"hunter2&b=hunter2`, 300), /ter2/)
  t.notMatch(scrubText('bob:hunter2@x,http://a.test/', 300), /hunter2/)
  t.equal(scrubText('tool/1.0 (key=hunter2; api_token=hunter2; build=7)', 300), 'tool/1.0 (key=***; api_token=***; build=7)')
  t.equal(scrubText('see https://wiki.test/@team/page', 300), 'see https://wiki.test/***@team/page')
})

t.test('text that a client made to be slow to look through is looked through all the same', async (t) => {
  const units = [
    ':', '/:', ':@', '@', '/@', 'a:', '%3a', ' ', '`', '=', '?', '&', '?=', '?a=', ';', 'token', 'token=', 'secret_', 'ghp_', 'ghp_a', 'sk-', '-sk-', '%3Dsk-', 'eyJ', 'eyJa.', 'AKIA', 'xoxb-', '-bot1', '-bot111111', 'bot',
    '0', 'a', 'A', 'aA', 'a1', 'a0-', 'deadbeef', '.', '-', '_', '%', '\u202e', '\ud800', '/', '//', '://', 'http://', 'http://a:', 'http://a@', "'", '"', '\\', '{', '20261120T2304', 'key: ', 'Bearer ', 'Bearer abcdef', 'token"', '\t',
  ]
  for (const bytes of [8192, 16_384, 65_536]) {
    for (const unit of units) {
      for (const end of ['', '!', '@', '=', ':']) {
        const text = unit.repeat(Math.ceil(bytes / unit.length)) + end
        const { path, query } = redactUrl(`/${text}`, text, redaction)
        if (bytes < 65_536) looksSecret(text)
        t.ok((path ?? '').length <= 2048 + 64 && (query ?? '').length <= 65 * 129, `${bytes} of ${unit}`)
        t.ok(scrubText(text, 512).length <= 512)
        if (bytes < 65_536) t.ok(scrubAgent(text, 512).length <= 512)
      }
    }
  }
})

t.test('any path can be redacted', async () => {
  fc.assert(fc.property(anyText, anyText, (path, query) => (redactUrl(path, query, redaction).path ?? '').length <= 2048 + 64))
})
