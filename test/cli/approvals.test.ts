import t from 'tap'
import { answering, run, runOn } from './control-run.ts'
import { approval, fakeControl, ids } from './fake-control.ts'

const [pypi, paste, npm] = ids
const hosts = () => [approval(pypi, 'lib.test'), approval(paste, 'paste.example', { session: 's2', waiting: 0 }), approval(npm, 'lib.test', { port: 8443 })]
const decisions = (control: { readonly seen: readonly { readonly method: string; readonly path: string; readonly body: unknown }[] }) => control.seen.filter(({ method }) => method === 'POST')

t.test('list shows the open questions, and as JSON what the API says', async (t) => {
  const control = await fakeControl(t, [...hosts(), approval('01JQ2', 'old.example', { state: 'denied', decision: { verdict: 'deny', term: 'always', by: 'bo', second_by: null, at: '2027-03-01T11:00:00.000Z', comment: null, grant_id: null } })])
  const { code, out } = await run(['approvals', 'list', '--data', control.data])
  t.equal(code, 0)
  t.match(out, /^ID +HOST +AGENT +TEAM +TRIES +HELD +AGE +STATE\n/)
  t.match(out, /^01JQ0000000000000000000AAA +lib\.test:443 +codex +web +3 +1 /m)
  t.notMatch(out, 'old.example')
  const json = JSON.parse((await run(['approvals', 'list', '--state', 'all', '--json', '--data', control.data])).out)
  t.same(json, { items: [...control.approvals.values()], next_cursor: null })
  t.match((await run(['approvals', 'list', '--state', 'denied', '--data', control.data])).out, 'denied always by bo')
  for (const host of ['PASTE.example', 'paste.example:443']) t.match((await run(['approvals', 'list', '--host', host, '--data', control.data])).out, 'paste.example')
  t.match(await run(['approvals', 'list', '--host', 'a..b', '--data', control.data]), { code: 2, err: /is not a host name/ })
  t.match((await run(['approvals', 'list', '--session', 's2', '--data', control.data])).out, 'paste.example')
})

t.test('list goes through the pages and says when there is more', async (t) => {
  const many = Array.from({ length: 130 }, (_, at) => approval(`01JQ${String(at).padStart(22, '0')}`, `h${at}.example`))
  const control = await fakeControl(t, many)
  t.equal((await run(['approvals', 'list', '-n', '500', '--data', control.data])).out.trim().split('\n').length, 131)
  const some = await run(['approvals', 'list', '-n', '120', '--data', control.data])
  t.equal(some.out.trim().split('\n').length, 121)
  t.match(some.err, 'there are more')
})

t.test('show tells everything about one, escaped', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'xn--bcher-kva.example', { stated_reason: 'for \u001b[2Jthe \u202ework', advisory: true })])
  control.cards.set(pypi, {
    unicode_host: 'bücher.example', registrable_domain: 'xn--bcher-kva.example', hints: [{ code: 'punycode', text: 'the name is not ASCII' }],
    nearest_rules: [{ rule: { id: 'books', pattern: '*.books.example', file: 'policies/20.toml', line: 3 }, why: 'another domain' }],
    others: [{ agent: 'gemini', session: 's7', state: 'allowed' }], patterns: ['xn--bcher-kva.example', '**.xn--bcher-kva.example'],
    similar: [{ approval_id: 'x', host: 'buch.example', verdict: 'deny', term: 'once', by: 'bo', at: '2027-02-01T00:00:00.000Z', comment: 'no' }],
    rules: { four_eyes: true, comment_for: ['always'], owner_may: ['once'] },
  })
  const { out } = await run(['approvals', 'show', 'bücher.example', '--data', control.data])
  for (const text of ['version 1: pending', 'reads bücher.example', 'the name is not ASCII', 'same user as the proxy', 'books *.books.example at policies/20.toml:3: another domain', 'gemini in session s7: allowed', 'buch.example deny once by bo', 'two people', 'has to be given for always', 'for \\x1b[2Jthe \\u{202e}work', `approvals allow|deny ${pypi}`]) t.match(out, text)
  t.notMatch(out.replaceAll('\n', ''), /\p{Cc}|\p{Cf}/u)
  const json = await run(['approvals', 'show', pypi, '--json', '--data', control.data])
  t.match(JSON.parse(json.out), { id: pypi, rules: { four_eyes: true } })
  t.notMatch(json.out, /[^\x20-\x7e\n]/)
})

t.test('allow answers once, about the version that was read', async (t) => {
  const control = await fakeControl(t, hosts())
  const { code, out } = await run(['approvals', 'allow', 'paste.example', '--data', control.data])
  t.equal(code, 0)
  t.equal(out, 'paste.example:443 for codex was allowed once by bo; grant 01JG0000000000000000000AAA\n')
  t.match(decisions(control), [{ path: `/v1/approvals/${paste}/decision`, headers: { 'if-match': '"1"' } }])
  t.same(decisions(control)[0]?.body, { verdict: 'allow', term: 'once' })
})

t.test('terms and scopes go out as the API names them', async (t) => {
  for (const [argv, body] of [
    [['--session'], { verdict: 'deny', term: 'session' }],
    [['--for', '1h'], { verdict: 'deny', term: 'until', duration: '1h' }],
    [['--until', '2999-01-31T18:00Z'], { verdict: 'deny', term: 'until', until: '2999-01-31T18:00:00.000Z' }],
    [['--always', '--yes', '--comment', 'no'], { verdict: 'deny', term: 'always', comment: 'no' }],
    [['--subdomains', '--all-ports', '--team', '--yes'], { verdict: 'deny', term: 'once', subdomains: true, all_ports: true, who: 'team' }],
  ] as const) {
    const control = await fakeControl(t, hosts())
    t.equal((await run(['approvals', 'deny', paste, ...argv, '--data', control.data])).code, 0)
    t.same(decisions(control)[0]?.body, body)
  }
})

t.test('what could mean two is refused with both named, and what is nothing too', async (t) => {
  const control = await fakeControl(t, hosts())
  for (const asked of ['lib.test', '01JQ']) {
    const { code, err } = await run(['approvals', 'allow', asked, '--data', control.data])
    t.equal(code, 1)
    t.match(err, pypi)
    t.match(err, npm)
  }
  t.match(await run(['approvals', 'deny', 'nothing.example', '--data', control.data]), { code: 1, err: /no open question about `nothing\.example`/ })
  t.match(await run(['approvals', 'deny', '01J', '--data', control.data]), { code: 1, err: /no open question/ }, 'three letters are no id')
  t.same(decisions(control), [])
  for (const asked of ['lib.test:8443', 'https://LIB.test:8443/simple?x', '01jq1']) {
    t.match((await run(['approvals', 'show', asked, '--data', control.data])).out, npm, asked)
  }
})

t.test('an address is found with and without its brackets', async (t) => {
  const control = await fakeControl(t, [approval(pypi, '2001:db8::7'), approval(paste, '192.0.2.7')])
  for (const asked of ['2001:DB8::7', '[2001:db8::7]', '[2001:db8::7]:443']) t.match((await run(['approvals', 'show', asked, '--data', control.data])).out, 'https://[2001:db8::7]:443', asked)
})

t.test('a wide answer needs --yes where nobody can be asked', async (t) => {
  const control = await fakeControl(t, hosts())
  for (const wide of ['--always', '--subdomains', '--all-ports', '--agent', '--team']) {
    t.match(await run(['approvals', 'allow', paste, wide, '--data', control.data]), { code: 2, err: /--yes/ }, wide)
  }
  t.same(control.seen, [])
})

t.test('on a terminal a wide answer is typed out', async (t) => {
  const control = await fakeControl(t, hosts())
  const no = answering('y')
  t.match(await runOn(no, ['allow', paste, '--agent', '--always', '--data', control.data]), { code: 1, err: 'nothing was decided\n' })
  t.match(no.asked, [/^allow every session of agent codex, always .*: paste\.example:443\ntype yes/])
  t.same(decisions(control), [])
  t.match(await runOn(answering('yes'), ['allow', paste, '--agent', '--always', '--data', control.data]), { code: 0 })
  t.same(decisions(control)[0]?.body, { verdict: 'allow', term: 'always', who: 'agent' })
  const unasked = answering('no')
  t.match(await runOn(unasked, ['deny', pypi, '--data', control.data]), { code: 0 })
  t.same(unasked.asked, [], 'what is not wide is not asked twice')
})

t.test('a question that changed or was answered is not answered', async (t) => {
  const control = await fakeControl(t, hosts())
  t.match(await run(['approvals', 'allow', paste, '--seen', '7', '--data', control.data]), { code: 1, err: /changed since you looked at it: read it again with `sallyport approvals show`/ })
  control.change(paste, { state: 'denied', decision: { verdict: 'deny', term: 'session', by: 'bo', second_by: null, at: '2027-03-01T11:00:00.000Z', comment: 'a \u001b paste site', grant_id: null } })
  t.match(await run(['approvals', 'allow', paste, '--data', control.data]), { code: 1, err: 'sallyport approvals allow: nothing was changed: paste.example:443 for codex was denied for the session by bo: a \\x1b paste site\n' })
})

t.test('a first yes of two says that one more is needed', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test', { four_eyes: true })])
  t.match(await run(['approvals', 'allow', 'lib.test', '--data', control.data]), { code: 0, out: /first of two/ })
  t.match((await run(['approvals', 'list', '--data', control.data])).out, 'one yes of two')
  t.match((await run(['approvals', 'allow', 'lib.test', '--data', control.data])).out, 'was allowed once')
})

t.test('a comment that the policy wants is asked for before anything is sent', async (t) => {
  const control = await fakeControl(t, hosts())
  control.cards.set(paste, { rules: { four_eyes: false, comment_for: ['wide', 'until'], owner_may: [] } })
  for (const argv of [['--for', '1h'], ['--subdomains', '--yes']]) t.match(await run(['approvals', 'allow', paste, ...argv, '--data', control.data]), { code: 2, err: /wants a comment.*--comment TEXT/ })
  t.same(decisions(control), [])
  t.equal((await run(['approvals', 'allow', paste, '--for', '1h', '--comment', 'x', '--data', control.data])).code, 0)
})

t.test('wrong command lines end with 2', async (t) => {
  for (const argv of [[], ['lits'], ['allow'], ['allow', 'a', 'b'], ['allow', 'a', '--once', '--always'], ['allow', 'a', '--for', 'soon'], ['allow', 'a', '--until', 'tomorrow'], ['allow', 'a', '--until', '2001-01-01'], ['allow', 'a', '--agent', '--team'], ['allow', 'a', '--seen', 'x'], ['list', '--state', 'open'], ['watch', 'x'], ['wait', 'x', '--timeout', '0s']]) {
    t.equal((await run(['approvals', ...argv])).code, 2, argv.join(' '))
  }
  t.match((await run(['approvals', 'wacth'])).err, /did you mean `watch`/)
})

t.test('wait ends with what became of it', async (t) => {
  const decided = (verdict: string) => ({ state: verdict === 'allow' ? 'allowed' : 'denied', decision: { verdict, term: 'once', by: 'bo', second_by: null, at: '2027-03-01T11:00:00.000Z', comment: null, grant_id: null } })
  for (const [members, code] of [[decided('allow'), 0], [decided('deny'), 3], [{ state: 'expired' }, 4], [{ state: 'withdrawn' }, 1]] as const) {
    const control = await fakeControl(t, hosts())
    const waiting = run(['approvals', 'wait', paste, '--data', control.data])
    while (!control.seen.some(({ headers }) => headers['if-none-match'] === '"1"')) await new Promise((resolve) => { setImmediate(resolve) })
    control.change(paste, members)
    t.equal((await waiting).code, code)
  }
})

t.test('wait gives up after its time, and a server that answers early is asked again', async (t) => {
  const control = await fakeControl(t, hosts())
  const waiting = run(['approvals', 'wait', paste, '--timeout', '1s', '--data', control.data])
  const answer = setInterval(() => control.changed(), 20)
  t.match(await waiting, { code: 4, out: /still waiting/ })
  clearInterval(answer)
  t.ok(control.seen.length > 2)
})

t.test('watch without a terminal prints each new question once, with what answers it', async (t) => {
  for (const hasStream of [true, false]) {
    const control = await fakeControl(t, [approval(pypi, 'lib.test')], { hasStream })
    const stop = new AbortController()
    const lines: string[] = []
    const io = { cwd: '/', isTty: false, signal: stop.signal, err: () => undefined, out: (text: string) => {
      lines.push(text)
      if (lines.length === 1) void (hasStream ? control.streaming(1) : Promise.resolve()).then(() => {
        control.approvals.set(paste, approval(paste, 'paste.example', { stated_reason: 'a \u001b b' }))
        control.changed()
      })
      else stop.abort()
    } }
    const { approvalsCommand } = await import('../../src/cli/approvals.ts')
    t.equal(await approvalsCommand({ env: {} }, { terminal: { ...answering(''), isInteractive: false } }).run(['watch', '--data', control.data], io), 0)
    t.equal(lines.length, 2)
    t.match(lines[0], `codex in session s1a2b3c4d5e6f asks for lib.test:443: no rule names lib.test\n  sallyport approvals allow ${pypi} `)
    t.match(lines[1], 'the agent says: “a \\x1b b”')
  }
})

t.test('watch --json prints questions as the API says them', async (t) => {
  const control = await fakeControl(t, [approval(pypi, 'lib.test')])
  const stop = new AbortController()
  const running = runOn(answering(''), ['watch', '--json', '--data', control.data], stop.signal)
  await control.streaming(1)
  stop.abort()
  t.same(JSON.parse((await running).out), approval(pypi, 'lib.test'))
})

t.test('watch says at once when there is no proxy', async (t) => {
  t.match(await run(['approvals', 'watch', '--data', '/nowhere']), { code: 1, err: /no sallyport is running with data folder/ })
})
