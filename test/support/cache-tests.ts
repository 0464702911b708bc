// The suite `http-cache-tests` (BSD-3-Clause), run against the shared cache through a whole proxy. It is fetched into a
// git-ignored folder and never installed: what it depends on is needed by its pages alone. Its server's handlers and its
// client's tests are used as they are; the listener and the client are ours, so that all stays on loopback and no client
// library adds fields of its own.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import http from 'node:http'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { MemoryCacheStore } from './memory-cache-store.ts'
import { httpOrigin } from './origins.ts'
import { startProxy } from './proxy.ts'
import type { Scope } from './scope.ts'

const version = '0.4.5'
const integrity = 'sha512-DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A=='
const root = resolve(import.meta.dirname, '../..')
const folder = join(root, '.cache-tests', version)
const host = 'cache-tests.test'

/** `unmet`: a test that it depends on did not pass; `setup`: what it is about did not come to be */
export type Outcome = 'pass' | 'fail' | 'unmet' | 'setup'

export interface CacheTestResult {
  readonly group: string
  readonly kind: 'required' | 'optimal' | 'check'
  readonly outcome: Outcome
}

export interface CacheTestRun {
  readonly results: Readonly<Record<string, CacheTestResult>>
  /** name of each test, and what it found wrong */
  readonly says: ReadonlyMap<string, { readonly name: string; readonly message: string | undefined }>
}

interface SuiteTest {
  readonly id: string
  readonly name: string
  readonly kind?: 'required' | 'optimal' | 'check'
  readonly depends_on?: readonly string[]
  readonly browser_only?: boolean
}

interface SuiteGroup {
  readonly id: string
  readonly tests: readonly SuiteTest[]
}

type RawResult = true | readonly [name: string, message: string]
type Handler = (segments: string[], request: http.IncomingMessage, response: http.ServerResponse) => void

/** The suite's folder; undefined with the reason where it is not here and cannot be fetched. */
export async function cacheTestsFolder(): Promise<{ readonly folder: string } | { readonly missing: string }> {
  if (existsSync(folder)) return { folder }
  mkdirSync(join(root, '.cache-tests'), { recursive: true })
  const work = mkdtempSync(join(root, '.cache-tests', 'fetch-'))
  try {
    const run = promisify(execFile)
    await run('npm', ['pack', `http-cache-tests@${version}`, '--silent', '--pack-destination', work], { cwd: work, timeout: 60_000 })
    const tarball = join(work, `http-cache-tests-${version}.tgz`)
    const digest = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
    if (digest !== integrity) return { missing: `http-cache-tests ${version} is not what it was: ${digest}` }
    await run('tar', ['-xzf', tarball, '-C', work])
    renameSync(join(work, 'package'), folder)
    return { folder }
  } catch (error) {
    return { missing: `http-cache-tests ${version} cannot be fetched: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}` }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Runs the whole suite, `atOnce` tests at a time. Those whose outcome is not the one in `expected` are run once more, few
 * at a time: the suite counts seconds, which a machine that is busy with other things does not keep. Once in a process:
 * the suite keeps its results in its modules. */
export async function runCacheTests(scope: Scope, suite: string, expected: Readonly<Record<string, CacheTestResult>> = {}, atOnce = 60): Promise<CacheTestRun> {
  const load = async <T>(path: string): Promise<T> => import(pathToFileURL(join(suite, path)).href) as Promise<T>
  const { authority, port } = await startWorld(scope, {
    config: (await load<{ default: Handler }>('server/handle-config.mjs')).default,
    test: (await load<{ default: Handler }>('server/handle-test.mjs')).default,
    state: (await load<{ default: Handler }>('server/handle-state.mjs')).default,
  })
  const agent = new http.Agent({ keepAlive: true })
  scope.teardown(() => agent.destroy())
  const config = await load<{ setFetch(fetch: unknown): void; setBaseUrl(url: string): void }>('client/config.mjs')
  config.setFetch(fetchThrough(port, agent))
  config.setBaseUrl(`http://${authority}`)
  const client = await load<{ makeCacheTest(test: SuiteTest): Promise<void>; testResults: Record<string, RawResult> }>('client/test.mjs')
  const groups = [
    ...(await load<{ default: readonly SuiteGroup[] }>('tests/index.mjs')).default,
    (await load<{ default: SuiteGroup }>('tests/surrogate-control.mjs')).default,
  ]
  // a test is changed by its run
  const all = groups.flatMap(({ tests }) => tests).filter((test) => test.browser_only !== true)
  const runAll = async (tests: readonly SuiteTest[], atATime: number): Promise<void> => {
    const left = tests.values()
    await Promise.all(Array.from({ length: atATime }, async () => {
      for (const test of left) await client.makeCacheTest(structuredClone(test))
    }))
  }
  await runAll(all, atOnce)
  const first = judged(groups, client.testResults)
  const others = all.filter(({ id }) => expected[id] !== undefined && first.results[id]?.outcome !== expected[id].outcome)
  for (const { id } of others) delete client.testResults[id]
  await runAll(others, 8)
  return others.length === 0 ? first : judged(groups, client.testResults)
}

async function startWorld(scope: Scope, handlers: Readonly<Record<string, Handler>>): Promise<{ readonly authority: string; readonly port: number }> {
  const origin = await httpOrigin(scope, (request, response) => {
    const [, name = '', ...segments] = (request.url ?? '').replace(/\?.*/, '').split('/')
    const handler = handlers[name]
    if (handler === undefined) response.writeHead(404).end()
    else handler(segments, request, response)
  })
  const authority = `${host}:${origin.port}`
  const { port } = await startProxy(scope, { policy: policyFor(authority), hosts: { [host]: '127.0.0.1' }, cacheStore: new MemoryCacheStore() })
  return { authority, port }
}

/** What the suite tells its server is not for the cache. */
function policyFor(authority: string): string {
  return `[network]
unknown = "deny"

[[network.rules]]
id = "cached"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
paths = ["/test/**"]
shared_cache = true
verdict = "allow"

[[network.rules]]
id = "suite"
hosts = ["${authority}"]
local = ["127.0.0.1/32"]
paths = ["/config/**", "/state/**"]
verdict = "allow"
`
}

interface SuiteInit {
  readonly method?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string
}

/** As much of fetch as the suite uses, in absolute-form, with the fields it says and no others. */
function fetchThrough(port: number, agent: http.Agent): (url: string, init?: SuiteInit) => Promise<unknown> {
  return (url, { method = 'GET', headers = [], body } = {}) => new Promise((settle, reject) => {
    const length = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))]
    const request = http.request({ host: '127.0.0.1', port, agent, method, path: url, headers: ['Host', new URL(url).host, ...headers.flat(), ...length] })
    request.on('error', reject)
    request.on('response', (response) => {
      const fields = new Headers()
      for (let i = 0; i + 1 < response.rawHeaders.length; i += 2) fields.append(response.rawHeaders[i] ?? '', response.rawHeaders[i + 1] ?? '')
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => settle({ status: response.statusCode, statusText: response.statusMessage, headers: fields, text: async () => text }))
    })
    request.end(body)
  })
}

function judged(groups: readonly SuiteGroup[], raw: Readonly<Record<string, RawResult>>): CacheTestRun {
  const tests = new Map(groups.flatMap(({ tests: each }) => each).map((test) => [test.id, test]))
  const outcomeOf = (id: string): Outcome => {
    const result = raw[id]
    if (tests.get(id)?.depends_on?.some((other) => raw[other] !== undefined && outcomeOf(other) !== 'pass') === true) return 'unmet'
    if (result === true) return 'pass'
    return result?.[0] === 'Setup' ? 'setup' : 'fail'
  }
  const results: Record<string, CacheTestResult> = {}
  const says = new Map<string, { name: string; message: string | undefined }>()
  for (const { id: group, tests: each } of groups) {
    for (const { id, name, kind = 'required' } of each) {
      const result = raw[id]
      if (result === undefined) continue
      results[id] = { group, kind, outcome: outcomeOf(id) }
      says.set(id, { name, message: result === true ? undefined : result[1] })
    }
  }
  return { results, says }
}
