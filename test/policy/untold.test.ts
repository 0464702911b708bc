import t from 'tap'
import { compilePolicy } from '../../src/policy/compile.ts'
import { readTarget } from '../../src/policy/explain-target.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { untold } from '../../src/policy/untold.ts'

const principal = { session: 's-1', agent: 'codex', team: undefined, owner: undefined }
const request = (url: string, method = 'GET'): Facts => readTarget(url, { method, upgrade: undefined, principal }).facts

function wants(terms: string, facts: Facts, wholePath = true): readonly string[] {
  const text = `[[network.rules]]\nid = "a"\nhosts = ["a.example"]\n${terms}\nverdict = "allow"\n`
  const { policy, problems } = compilePolicy([{ path: 'p.toml', text, layer: 'policy' }], new Map())
  if (policy === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
  return untold(policy, facts, { wholePath })
}

t.test('what a rule looks at and nobody remembers is named', async (t) => {
  t.same(wants('methods = ["GET"]', request('http://a.example/x')), [])
  t.same(wants('paths = ["/x"]', request('http://a.example/x')), [])
  t.same(wants('paths = ["/x"]', request('http://a.example/x'), false), ['path'])
  t.same(wants('query = { q = ["a"] }', request('http://a.example/x')), [], 'no query is no query')
  t.same(wants('query = { q = ["a"] }', request('http://a.example/x?q')), ['query'])
  t.same(wants('headers = { x = ["a"] }', request('http://a.example/x')), ['headers'])
  t.same(wants('content_types = ["text/plain"]', request('http://a.example/x', 'POST')), ['headers'])
  t.same(wants('max_content = 10', request('http://a.example/x', 'POST')), ['content'])
})

t.test('a rule about other hosts, ports, methods or tunnels wants nothing', async (t) => {
  const terms = 'methods = ["GET"]\nheaders = { x = ["a"] }'
  t.same(wants(terms, request('http://b.example/x')), [])
  t.same(wants(terms, request('http://a.example:8080/x')), [])
  t.same(wants(terms, request('http://a.example/x', 'PUT')), [])
  t.same(wants(terms, request('https://a.example/x')), [], 'a tunnel is decided by host and port')
  t.same(wants(terms, request('http://a.example/x')), ['headers'])
})
