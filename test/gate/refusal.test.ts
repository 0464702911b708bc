import t from 'tap'
import { errorTable, type ErrorCode } from '../../src/errors.ts'
import * as fc from '../support/property.ts'
import { refusalMessage, renderRefusal, type Refusal } from '../../src/gate/refusal.ts'

const rule = { id: 'denied_domains', pattern: 'pastebin.com', file: 'policies/10-default.toml', line: 7 }

function refusal(change: Partial<Refusal> = {}): Refusal {
  return { kind: 'refusal', code: 'denied_by_rule', reason: 'pastebin.com is on the denied list', host: 'pastebin.com', rule, requestId: '01JTESTTESTTESTTESTTESTTES', ...change }
}

t.test('a refused CONNECT says why in the only text that many clients show', async (t) => {
  const [statusLine] = refusalMessage(refusal()).split('\r\n')
  t.equal(statusLine, 'HTTP/1.1 403 Denied by policy: pastebin.com is on the denied list (req 01JTESTTESTTESTTESTTESTTES)')
})

t.test('the body tells an agent what was decided and how to go on', async (t) => {
  const { body, fields } = renderRefusal(refusal())
  const problem = JSON.parse(body)
  t.match(problem, { status: 403, code: 'denied_by_rule', host: 'pastebin.com', rule: 'denied_domains', request_id: '01JTESTTESTTESTTESTTESTTES', retryable: false })
  t.match(problem.hint, /intended network policy/)
  t.notMatch(body, /10-default\.toml/, 'where the policy stands is not for agents')
  t.equal(fields[fields.indexOf('Content-Length') + 1], String(Buffer.byteLength(body)))
  t.equal(fields[fields.indexOf('X-Proxy-Error') + 1], 'blocked-by-denylist')
  t.equal(fields[fields.indexOf('Proxy-Status') + 1], 'sallyport; error=http_request_denied; details="pastebin.com is on the denied list"')
})

t.test('every code renders: a status, a short visible phrase, a body that parses', async (t) => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { status, reasonPhrase, body } = renderRefusal(refusal({ code }))
    t.equal(status, errorTable[code].status, code)
    t.match(reasonPhrase, /^[\x20-\x7e]{1,200}$/, code)
    t.equal(body === '', status === 407, code)
  }
})

t.test('hostile text in a reason cannot break out of the status line or a field', async (t) => {
  const message = refusalMessage(refusal({ reason: `x"\r\nSet-Cookie: a=b\r\n\r\n<script>\u202e${'y'.repeat(500)}`, host: 'a\r\nb' }))
  const [head = '', body = ''] = message.split('\r\n\r\n', 2)
  const lines = head.split('\r\n')
  t.notOk(lines.some((line) => line.startsWith('Set-Cookie')))
  t.ok(lines.every((line) => /^[\x20-\x7e]*$/.test(line)))
  t.ok((lines[0] ?? '').length <= 'HTTP/1.1 403 '.length + 200)
  t.equal(JSON.parse(body).host, 'a\r\nb')
})

t.test('407 has an empty body and closes, or git does not try again', async (t) => {
  const message = refusalMessage(refusal({ code: 'credentials_invalid' }))
  t.match(message, /^HTTP\/1\.1 407 /)
  t.match(message, /\r\nContent-Length: 0\r\n/)
  t.notMatch(message, /Content-Type/)
  t.match(message, /\r\nConnection: close\r\n/)
  t.match(message, /\r\nProxy-Authenticate: Basic realm="sallyport"\r\n/)
  t.ok(message.endsWith('\r\n\r\n'))
})

t.test('every status has its reason phrase, and every code a hint', async (t) => {
  for (const code of Object.keys(errorTable).filter((each): each is ErrorCode => each in errorTable)) {
    const { body, status } = renderRefusal(refusal({ code }))
    if (status === 407) continue
    const { hint, title } = JSON.parse(body)
    t.ok(title !== 'Error' && hint.length > 40, code)
  }
})

t.test('the body is the problem as JSON has it, in ASCII, whatever stands in it', async (t) => {
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('"', '\\', '\n', '\u2028', '\ud800', '\x7f', '</script>', '\x1b[31m'))
  const codes = Object.keys(errorTable).filter((code): code is ErrorCode => code in errorTable)
  fc.assert(fc.property(fc.constantFrom(...codes), text, text, fc.option(text), fc.option(text), text, (code, reason, host, id, approval, requestId) => {
    const { body, status } = renderRefusal(refusal({ code, reason, host, requestId, approvalId: approval ?? undefined, rule: id === null ? undefined : { ...rule, id } }))
    if (status === 407) return
    t.match(body, /^[\x20-\x7e]*\n$/)
    const { hint, title, ...rest } = JSON.parse(body)
    t.ok(typeof hint === 'string' && hint.length > 40 && typeof title === 'string' && title.length > 3)
    t.strictSame(rest, {
      type: `urn:sallyport:error:${code}`, status, detail: reason, code, host, reason, ...(id === null ? {} : { rule: id }), request_id: requestId,
      ...(approval === null ? {} : { approval }), retryable: errorTable[code].retryable,
    })
  }))
})
