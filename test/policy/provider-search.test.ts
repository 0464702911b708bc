// What providers are asked of the web: the documented shapes of their requests, and what is done to hide one.
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { findSearch, isUpload } from '../../src/policy/provider-search.ts'
import type { ProviderApi, SearchLimit } from '../../src/policy/provider-search.ts'
import * as fc from '../support/property.ts'

interface Case {
  readonly name: string
  readonly path: string
  readonly contentType?: string
  readonly body?: unknown
  /** in the place of `body`: the bytes as they are sent */
  readonly raw?: string
  /** place of the search in each mode, or `unreadable`; absent: there is none */
  readonly cached?: string
  readonly disabled?: string
  readonly indexed?: string
}

interface CaseFile {
  readonly api: ProviderApi
  readonly cases: readonly Case[]
}

const folder = resolve(import.meta.dirname, 'cases/provider-search')
const limits: Readonly<Record<'cached' | 'disabled' | 'indexed', SearchLimit>> = {
  cached: { mode: 'cached', indexed: false },
  disabled: { mode: 'disabled', indexed: false },
  indexed: { mode: 'cached', indexed: true },
}
const utf8 = new TextEncoder()

function place(api: ProviderApi, path: string, body: string, limit: SearchLimit, contentType: string | undefined = 'application/json'): string | undefined {
  const found = findSearch({ api, path, contentType, body: utf8.encode(body) }, limit)
  return found.kind === 'none' ? undefined : found.kind === 'searches' ? found.where : found.kind
}

for (const file of readdirSync(folder)) {
  const { api, cases }: CaseFile = JSON.parse(readFileSync(join(folder, file), 'utf8'))
  t.test(`requests of ${file}`, async (t) => {
    for (const { name, path, contentType, body, raw, ...expected } of cases) {
      for (const mode of ['cached', 'disabled', 'indexed'] as const) {
        t.equal(place(api, path, raw ?? JSON.stringify(body), limits[mode], contentType), expected[mode], `${name}: ${mode}`)
      }
    }
  })
}

t.test('a search tool is found wherever it is put, but in data of others', async (t) => {
  const key = fc.constantFrom('request', 'params', 'body', 'batch', 'session', 'x', 'config', 'tools', 'input', 'parameters', 'response')
  fc.assert(fc.property(fc.array(fc.oneof(key, fc.constant(0)), { maxLength: 8 }), fc.constantFrom('web_search', 'web_fetch_20250910', 'web_search_preview'), (path, type) => {
    let body: unknown = { tools: [{ type }] }
    for (const step of path) body = step === 0 ? [body] : { [step]: body }
    t.match(place('openai', '/v1/responses', JSON.stringify(body), limits.cached), /type$/, JSON.stringify(body))
  }))
})

t.test('no value makes it throw, and none without a word of search is taken for one', async (t) => {
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), (body) => {
    t.equal(place('gemini', '/v1beta/interactions', body, limits.disabled), undefined, body)
  }))
})

t.test('a reason quotes no more of the body than keys, tools and models', async (t) => {
  const long = `x${'y'.repeat(60)}`
  const found = findSearch({
    api: 'openai', path: '/', contentType: undefined,
    body: utf8.encode(JSON.stringify({ [long]: { 'a b': { tools: [{ type: 'web_search <script>' }] } } })),
  }, limits.disabled)
  t.same(found, { kind: 'searches', where: '….….tools[0].type', what: '`….….tools[0].type` is one that searches' })
})

t.test('uploads are known by one spelling of their endpoint, and by their type', async (t) => {
  const form = 'multipart/form-data; boundary=b'
  for (const path of ['/v1/files', '/openai/v1/files', '/v1/uploads/upload_1/parts', '/v1/audio/transcriptions', '/v1/images/edits']) {
    t.ok(isUpload('openai', path, form), path)
    for (const type of [undefined, 'application/json', 'multipart/mixed; boundary=b', 'multipart/form-data']) t.notOk(isUpload('openai', path, type), `${path} ${type}`)
  }
  for (const path of ['/v1/files/', '/v1//files', '/v1/files/../responses', '/v1/Files', '/v1/responses', '/v1/%66iles', '/v1/files;x']) t.notOk(isUpload('openai', path, form), path)
  t.ok(isUpload('anthropic', '/v1/files', form))
  t.notOk(isUpload('anthropic', '/v1/messages', form))
  t.ok(isUpload('gemini', '/upload/v1beta/files', 'application/json'))
  t.notOk(isUpload('gemini', '/v1/files', form))
})
