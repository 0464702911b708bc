// The schema table: what every setting must have so that parsing, help and documentation can come from it.
import t from 'tap'
import { settingList, variableOf } from '../../src/config/schema.ts'

const unique = (words: readonly string[]): boolean => new Set(words).size === words.length

t.test('keys, flags and variables are each used once', async (t) => {
  t.ok(unique(settingList.map(({ key }) => key)))
  t.ok(unique(settingList.map(({ key }) => variableOf(key))))
  t.ok(unique(settingList.flatMap(({ flag }) => (flag === undefined ? [] : [flag]))))
})

t.test('every default is a value of its own kind, written as an operator would write it', async (t) => {
  for (const { key, kind, default: fallback } of settingList) {
    if (fallback === undefined) continue
    t.doesNotThrow(() => kind.fromText(fallback), key)
    if (kind.name === 'size') t.match(fallback, /^\d+ [KMGT]?i?B$/, key)
    if (kind.name === 'duration') t.match(fallback, /^\d+ (ms|s|min|h|d)$/, key)
  }
})

t.test('every setting says what it does in one sentence without a final stop', async (t) => {
  for (const { key, doc } of settingList) {
    t.match(doc, /^[^\n]{10,}[^.\s]$/, key)
  }
})

t.test('the flags of the command line contract are all there', async (t) => {
  const flags = settingList.map(({ flag }) => flag)
  for (const flag of ['policies', 'requirements', 'listen', 'control', 'ops', 'data', 'certs', 'json']) {
    t.ok(flags.includes(flag), flag)
  }
})

t.test('a variable is the key in capitals', async (t) => {
  t.equal(variableOf('listen'), 'SALLYPORT_LISTEN')
  t.equal(variableOf('otel.exporter.otlp-http.endpoint'), 'SALLYPORT_OTEL_EXPORTER_OTLP_HTTP_ENDPOINT')
})
